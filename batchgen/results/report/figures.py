"""The figures of the page, reckoned from jobs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batchgen.core.money import Money

_BINS = 24
_STEPS = 120
_TAIL = 0.99


@dataclass(frozen=True, slots=True)
class Histogram:
    """Job times in seconds: *counts* of equal bins from 0 to *end_s*; slower jobs, one in 100, are in the last."""

    counts: tuple[int, ...]
    end_s: float
    median_s: float
    p95_s: float
    slowest_s: float


def histogram(times_s: Iterable[float]) -> Histogram | None:
    """None where no job has ended yet."""
    times = sorted(times_s)
    if not times:
        return None
    end_s = max(_quantile(times, _TAIL) * 1.02, 0.1)
    counts = [0] * _BINS
    for time_s in times:
        counts[min(int(time_s / end_s * _BINS), _BINS - 1)] += 1
    return Histogram(tuple(counts), end_s, _quantile(times, 0.5), _quantile(times, 0.95), times[-1])


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@dataclass(frozen=True, slots=True)
class Progress:
    """Rows collected, and rows that did not work out, by the end of each of equal steps from *start* to *end*."""

    start: float
    end: float
    collected: tuple[int, ...]
    others: tuple[int, ...]


def progress(began: float | None, ends: Sequence[tuple[float, bool]]) -> Progress | None:
    """From when the first request was sent and when each row ended, in that order, and whether it was collected.

    None where nothing has ended yet.
    """
    if not ends:
        return None
    first, last = ends[0][0], ends[-1][0]
    start = first if began is None else min(began, first)
    end = max(last, start + 1.0)
    collected = [at for at, is_good in ends if is_good]
    others = [at for at, is_good in ends if not is_good]
    return Progress(start, end, _cumulated(collected, start, end), _cumulated(others, start, end))


def _cumulated(times: Sequence[float], start: float, end: float) -> tuple[int, ...]:
    counts, passed = [], 0
    for step in range(_STEPS + 1):
        until = start + (end - start) * step / _STEPS
        while passed < len(times) and times[passed] <= until:
            passed += 1
        counts.append(passed)
    counts[-1] = len(times)
    return tuple(counts)


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What one model's attempts came to; every one that was sent counts, not only the last of a row.

    *per_file_micro* is what one file cost, None while there is none.
    """

    model: str
    attempts: int
    files: int
    money: Money

    @property
    def per_file_micro(self) -> int | None:
        return self.money.charged // self.files if self.files else None
