"""What earlier runs of an account measured, by model: how long jobs took and how large their files were.

Kept beside the schema cache, per API base; it can be lost at any time, and forecasts are then ranges without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from batchgen.core.job import Job, State
from batchgen.models.cache import cache_folder
from batchgen.storage.paths import write_whole


@dataclass(frozen=True, slots=True)
class Measured:
    """Sums over collected jobs of one model: seconds from acceptance to the end, files and their bytes.

    *priced* of them had a measured cost; *unit_micro* and *unit_micro_squared* are sums of what a unit (an output or
    a second) of these cost, and of its square.
    """

    jobs: int = 0
    seconds: float = 0.0
    files: int = 0
    bytes: int = 0
    priced: int = 0
    unit_micro: float = 0.0
    unit_micro_squared: float = 0.0

    def __add__(self, other: Measured) -> Measured:
        return Measured(
            self.jobs + other.jobs,
            self.seconds + other.seconds,
            self.files + other.files,
            self.bytes + other.bytes,
            self.priced + other.priced,
            self.unit_micro + other.unit_micro,
            self.unit_micro_squared + other.unit_micro_squared,
        )

    @property
    def job_s(self) -> float | None:
        return self.seconds / self.jobs if self.jobs else None

    @property
    def file_bytes(self) -> float | None:
        return self.bytes / self.files if self.files else None


def measured(jobs: Iterable[Job]) -> dict[str, Measured]:
    """What *jobs* tell, by model; only collected ones count."""
    sums: dict[str, Measured] = {}
    for job in jobs:
        if job.state is State.COLLECTED and job.submitted_at is not None and job.ended_at is not None:
            took_s = max(job.ended_at - job.submitted_at, 0.0)
            one = Measured(1, took_s, len(job.saved), sum(file.bytes for file in job.saved), *_unit_cost(job))
            sums[job.model] = sums.get(job.model, Measured()) + one
    return sums


def _unit_cost(job: Job) -> tuple[int, float, float]:
    if job.cost_micro is None or job.units <= 0:
        return 0, 0.0, 0.0
    unit_micro = job.cost_micro / job.units
    return 1, unit_micro, unit_micro**2


class History:
    """The measurements of one API base."""

    def __init__(self, base: str, folder: Path | None = None) -> None:
        name = hashlib.sha256(base.encode()).hexdigest()[:16]
        self._file = (folder or cache_folder()) / "history" / f"{name}.json"

    def read(self) -> dict[str, Measured]:
        try:
            told = json.loads(self._file.read_text("utf-8"))
            return {model: Measured(**sums) for model, sums in told.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def add(self, news: Mapping[str, Measured]) -> None:
        """Add what a run measured. A cache that cannot be written is no fault."""
        known = self.read()
        sums = known | {model: known.get(model, Measured()) + one for model, one in news.items()}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, json.dumps({model: asdict(one) for model, one in sums.items()}).encode())
        except OSError:
            return
