"""A sample before the whole: one row of each model and size, whose measured cost and time are held to the estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchgen.budget import usd
from batchgen.job import Job
from batchgen.statefile import Reader

_SIZES = ("image_size", "size", "resolution", "aspect_ratio", "width", "height", "duration")
_TOLERANCE = 1.1


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """What the sample came to. Money in micro-dollars over the rows whose cost was measured."""

    rows: int
    collected: int
    measured: int
    cost_micro: int
    estimate_micro: int
    job_s: float | None

    @property
    def as_estimated(self) -> bool:
        """Whether the cost was measured and is at most a tenth above the estimate."""
        return self.measured > 0 and self.cost_micro <= self.estimate_micro * _TOLERANCE

    def __str__(self) -> str:
        if not self.measured:
            return f"{self.collected} of {self.rows} rows collected, no cost was reported"
        took = "" if self.job_s is None else f", {self.job_s:.1f} s a job"
        return (
            f"{self.collected} of {self.rows} rows collected, ${usd(self.cost_micro):.2f} measured against "
            f"${usd(self.estimate_micro):.2f} estimated{took}"
        )


def choose(reader: Reader, count: int, only: frozenset[str] | None) -> list[str]:
    """Up to *count* ids of pending rows: the first of each model and size, then the first of the others."""
    first_of_kind: dict[tuple[str, ...], str] = {}
    others: list[str] = []
    for job in reader.each_pending(only):
        kind = (job.model, *(str(job.input.get(name, "")) for name in _SIZES))
        if kind not in first_of_kind and len(first_of_kind) < count:
            first_of_kind[kind] = job.row_id
        elif len(others) < count:
            others.append(job.row_id)
    return [*first_of_kind.values(), *others][:count]


def judge(reader: Reader, sample: Sequence[str]) -> CanaryResult:
    """Measure what became of the rows of *sample*."""
    jobs: list[Job] = [reader.attempts(row_id)[-1] for row_id in sample]
    priced = [job for job in jobs if job.cost_micro is not None and job.estimate_micro is not None]
    times = [job.ended_at - job.submitted_at for job in jobs if job.ended_at and job.submitted_at]
    return CanaryResult(
        rows=len(jobs),
        collected=sum(bool(job.saved) for job in jobs),
        measured=len(priced),
        cost_micro=sum(job.cost_micro or 0 for job in priced),
        estimate_micro=sum(job.estimate_micro or 0 for job in priced),
        job_s=sum(times) / len(times) if times else None,
    )
