"""A sample before the whole: one row of each model and size, whose measured cost and time are held to the estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from batchgen.core.job import Job
from batchgen.core.money import Price, dollars, usd
from batchgen.state import Reader

_SIZES = ("image_size", "size", "resolution", "aspect_ratio", "width", "height", "duration")
_TOLERANCE = 1.1


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """What the sample came to. Money in micro-dollars over the rows whose cost was measured.

    *rest_rows* are still to be sent, for *rest_micro* at most, None where a price is unknown; the files of the sample
    are in *rows_folder*.
    """

    rows: int
    collected: int
    measured: int
    cost_micro: int
    estimate_micro: int
    job_s: float | None
    expected_s: float | None
    rest_rows: int = 0
    rest_micro: int | None = None
    rows_folder: str = ""

    @property
    def promising(self) -> bool:
        """Whether the rest may follow unasked: half of the sample or more came, at a measured cost that is at most
        a tenth above the estimate."""
        is_as_estimated = self.measured > 0 and self.cost_micro <= self.estimate_micro * _TOLERANCE
        return is_as_estimated and 2 * self.collected >= self.rows

    @property
    def rest(self) -> str:
        """What a person agrees to by going on."""
        most = "at a price nobody knows" if self.rest_micro is None else f"at most {dollars(usd(self.rest_micro))}"
        return f"{self.rest_rows:,} more row{'s' * (self.rest_rows != 1)}, {most}"

    def __str__(self) -> str:
        told = f"{self.collected} of {self.rows} rows collected, "
        if not self.measured:
            return told + "no cost was reported"
        told += f"{dollars(usd(self.cost_micro))} measured against {dollars(usd(self.estimate_micro))} estimated"
        if self.job_s is not None:
            told += f", {self.job_s:.1f} s a job"
        if self.expected_s is not None:
            told += f" against {self.expected_s:.1f} s in earlier runs"
        return told


def choose(reader: Reader, count: int, only: frozenset[str] | None, limit: int | None) -> list[str]:
    """Up to *count* ids of the rows that are sent first, *limit* of them at most: the first of each model and size,
    then the first of the others."""
    first_of_kind: dict[tuple[str, ...], str] = {}
    others: list[str] = []
    for job in islice(reader.each_pending(only), limit):
        kind = (job.model, *(str(job.input.get(name, "")) for name in _SIZES))
        if kind not in first_of_kind and len(first_of_kind) < count:
            first_of_kind[kind] = job.row_id
        elif len(others) < count:
            others.append(job.row_id)
    return [*first_of_kind.values(), *others][:count]


def rest_of(
    reader: Reader, prices: Mapping[str, Price], only: frozenset[str] | None, limit: int | None
) -> tuple[int, int | None]:
    """How many rows would follow, up to *limit*, and what they cost at most; None where a price is unknown."""
    rows, cost_micro = 0, 0
    known = True
    for job in islice(reader.each_pending(only), limit):
        price = prices.get(job.model)
        price_micro = None if price is None else price.reserve_micro(job.units)
        rows, cost_micro, known = rows + 1, cost_micro + (price_micro or 0), known and price_micro is not None
    return rows, cost_micro if known else None


def judge(reader: Reader, sample: Sequence[str], expected_job_s: Mapping[str, float | None]) -> CanaryResult:
    """Measure what became of the rows of *sample*; *expected_job_s* is what jobs of a model took before."""
    jobs: list[Job] = [reader.attempts(row_id)[-1] for row_id in sample]
    priced = [job for job in jobs if job.cost_micro is not None and job.estimate_micro is not None]
    expected = [took_s for job in jobs if (took_s := expected_job_s.get(job.model)) is not None]
    times = [job.ended_at - job.submitted_at for job in jobs if job.ended_at and job.submitted_at]
    return CanaryResult(
        rows=len(jobs),
        collected=sum(bool(job.saved) for job in jobs),
        measured=len(priced),
        cost_micro=sum(job.cost_micro or 0 for job in priced),
        estimate_micro=sum(job.estimate_micro or 0 for job in priced),
        job_s=sum(times) / len(times) if times else None,
        expected_s=sum(expected) / len(expected) if len(expected) == len(jobs) else None,
    )
