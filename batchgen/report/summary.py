"""The run in one look: the words and figures that the page's templates set."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from batchgen.audit import Audit, audit
from batchgen.budget import Money
from batchgen.job import ENDED, Job, State
from batchgen.report.causes import Cause, causes
from batchgen.report.figures import Histogram, ModelCost, Progress, by_model, histogram, progress
from batchgen.report.rows import earlier
from batchgen.report.wording import counted, duration
from batchgen.runfolder import RunFolder
from batchgen.statefile import HEARTBEAT_S, Reader

STATE_WORDS = {
    State.COLLECTED: "collected",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
    State.IN_DOUBT: "in doubt",
    State.READY: "downloading",
    State.SUBMITTED: "at the provider",
    State.SUBMITTING: "being sent",
    State.PENDING: "waiting",
}
"""The states as people read them, in the order in which the page shows them."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A run folder as it stands at *at*. *out* is the folder as commands name it."""

    out: str
    name: str
    at: float
    rehearsal: bool
    running: bool
    counts: dict[State, int]
    files: dict[str, int]
    bytes: int
    money: Money
    budget_micro: int | None
    histogram: Histogram | None
    progress: Progress | None
    models: Sequence[ModelCost]
    causes: Sequence[Cause]
    audit: Audit

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        return self.counts[State.COLLECTED]

    @property
    def settled(self) -> bool:
        """Nothing more happens by itself."""
        return all(state in ENDED or state is State.IN_DOUBT for state, count in self.counts.items() if count)

    @property
    def over_a_day(self) -> bool:
        """Whether times need their day."""
        return self.progress is not None and self.progress.end - self.progress.start > 20 * 3600

    @property
    def headline(self) -> str:
        if not self.total:
            return "No rows yet."
        if self.done == self.total:
            return f"All {self.total:,} rows are done." if self.total > 1 else "The row is done."
        if self.settled and not self.running:
            return f"{self.done:,} of {counted(self.total, 'row')} worked out."
        return f"{self.done:,} of {counted(self.total, 'row')} so far."

    @property
    def brought(self) -> str:
        """The files by kind and their size in words, as in `24 pictures and 3 videos`."""
        nouns = (("image", "picture"), ("video", "video"), ("audio", "sound"))
        parts = [counted(self.files[kind], noun) for kind, noun in nouns if self.files.get(kind)]
        return " and ".join(parts) if len(parts) < 3 else ", ".join(parts)

    @property
    def took(self) -> str | None:
        return None if self.progress is None else duration(self.progress.end - self.progress.start)


def summarise(folder: RunFolder, reader: Reader, out: str, jobs: Sequence[Job]) -> Summary:
    """Everything that the page says beside its rows; *jobs* are the latest attempts. Run it off the event loop."""
    return Summary(
        out=out,
        name=folder.path.name,
        at=time.time(),
        rehearsal=reader.meta("rehearsal") == "yes",
        running=is_running(folder),
        counts=reader.counts(),
        files=_files(jobs),
        bytes=sum(file.bytes for job in jobs for file in job.saved),
        money=reader.money(),
        budget_micro=reader.budget_micro(),
        histogram=histogram(
            job.ended_at - job.submitted_at
            for job in jobs
            if job.state is State.COLLECTED and job.ended_at is not None and job.submitted_at is not None
        ),
        progress=progress(jobs),
        models=by_model(chain(jobs, earlier(reader))),
        causes=causes(jobs, out),
        audit=audit(folder, reader),
    )


def is_running(folder: RunFolder) -> bool:
    """Whether a run holds the folder, as far as its heartbeat tells."""
    try:
        return time.time() - folder.holder.stat().st_mtime < 3 * HEARTBEAT_S
    except OSError:
        return False


def _files(jobs: Sequence[Job]) -> dict[str, int]:
    kinds: dict[str, int] = {}
    for job in jobs:
        for file in job.saved:
            kind = file.media_type.partition("/")[0]
            kinds[kind] = kinds.get(kind, 0) + 1
    return kinds
