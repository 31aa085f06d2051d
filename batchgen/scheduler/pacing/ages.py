"""How old jobs of one model were when they ended, and from that when the next ones are likely to end."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

_FIRST_S = 0.05
_RATIO = 1.02
EDGES_S = (0.0, *(_FIRST_S * _RATIO**step for step in range(740)))
"""Ages that part the bins: log-spaced up to a day, so that a bin is 2% of its age whatever jobs take."""

_BINS = len(EDGES_S) - 1
_WIDTHS_S = [upper_s - lower_s for lower_s, upper_s in pairwise(EDGES_S)]
_HALVED_AT = 2000.0
_KEPT_SHAPE = 0.8
_PRIOR_JOBS = 2.0
_PRIOR_SHARE = 1.0 - 1.0 / _RATIO
_SMOOTHED_BINS = 7


@dataclass(slots=True)
class AgesAtEnd:
    """A histogram of ages. Old jobs fade: at 2,000 all counts are halved, since a provider changes its pace."""

    counts: list[float] = field(default_factory=lambda: [0.0] * _BINS)
    jobs: float = 0.0
    seconds: float = 0.0

    def add(self, alive_s: float, ended_s: float) -> None:
        """A job was still alive at the age *alive_s* and had ended at *ended_s*.

        Its one count is spread over that span, mostly in the shape known so far: noted at the age of the poll, ends
        would gather where the polls are, and polls where the ends were noted.
        """
        first, beyond = bin_of(alive_s), bin_of(ended_s) + 1
        widths_s, counts = _WIDTHS_S[first:beyond], self.counts[first:beyond]
        spans_s = list(widths_s)
        spans_s[0] = max(spans_s[0] - (alive_s - EDGES_S[first]), 1e-9)
        spans_s[-1] = max(spans_s[-1] - max(EDGES_S[beyond] - ended_s, 0.0), 1e-9)
        parts = zip(counts, spans_s, widths_s, strict=True)
        shape = [count * span_s / width_s for count, span_s, width_s in parts]
        shaped = sum(shape)
        kept = _KEPT_SHAPE if shaped > 0.0 else 0.0
        evenly, as_known = (1.0 - kept) / sum(spans_s), kept / shaped if kept else 0.0
        self.counts[first:beyond] = [
            count + evenly * span_s + as_known * known
            for count, span_s, known in zip(counts, spans_s, shape, strict=True)
        ]
        self.jobs += 1.0
        self.seconds += (alive_s + ended_s) / 2
        if self.jobs >= _HALVED_AT:
            self._halve()

    @property
    def mean_s(self) -> float:
        return self.seconds / self.jobs

    def alive(self) -> list[float]:
        """The share of jobs that reach each of `EDGES_S`.

        Counts are smoothed first: a schedule made for the chance ups and downs of a few hundred jobs suits no others.
        Where few jobs were seen, a prior worth two of them takes over: a job as old as this ends within another
        quarter of its age with a fifth of a chance, whatever its age is.
        """
        at_risk = sum(self.counts)
        share, shares = 1.0, [1.0]
        for count in _smoothed(_smoothed(self.counts)):
            share *= 1.0 - min((count + _PRIOR_JOBS * _PRIOR_SHARE) / (at_risk + _PRIOR_JOBS), 0.98)
            shares.append(share)
            at_risk = max(at_risk - count, 0.0)
        return shares

    def _halve(self) -> None:
        self.counts = [count / 2 for count in self.counts]
        self.jobs /= 2
        self.seconds /= 2

    # ── kept in the folder ──────────────────────────────────────────────────────────────────────────────

    def as_json(self) -> dict[str, object]:
        counts = {str(at): round(count, 4) for at, count in enumerate(self.counts) if count >= 0.001}
        return {"bins": _BINS, "jobs": round(self.jobs, 3), "seconds": round(self.seconds, 3), "counts": counts}

    @classmethod
    def from_json(cls, told: Mapping[str, object]) -> AgesAtEnd:
        """Raises ValueError, TypeError, KeyError or IndexError for what `as_json` of these bins has not made."""
        if told["bins"] != _BINS:
            raise ValueError("these were counted in other bins")
        ages = cls(jobs=_figure(told["jobs"]), seconds=_figure(told["seconds"]))
        counts = told["counts"]
        if not isinstance(counts, dict):
            raise TypeError("counts is not an object")
        for at, count in counts.items():
            ages.counts[int(at)] = _figure(count)
        return ages


def bin_of(age_s: float) -> int:
    """The bin that *age_s* falls into; everything beyond a day falls into the last."""
    if age_s < _FIRST_S:
        return 0
    guess = min(int(math.log(age_s / _FIRST_S) / math.log(_RATIO)) + 1, _BINS - 1)
    return min(bisect_right(EDGES_S, age_s, max(guess - 1, 0), min(guess + 2, _BINS)) - 1, _BINS - 1)


def _smoothed(counts: list[float]) -> list[float]:
    """The mean of each count and its neighbours."""
    beyond = [0.0] * (_SMOOTHED_BINS // 2)
    up_to = [0.0, *accumulate([*beyond, *counts, *beyond])]
    return [(upper - lower) / _SMOOTHED_BINS for lower, upper in zip(up_to, up_to[_SMOOTHED_BINS:], strict=False)]


def _figure(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return float(value)
