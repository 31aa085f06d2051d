"""The run in one look, and what there is to find out about it: the words and figures that the templates set."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass

from batchgen.core.job import ENDED, State
from batchgen.core.money import Money
from batchgen.results.report.causes import TROUBLED, Cause, causes
from batchgen.results.report.figures import Histogram, ModelCost, Progress, histogram, progress
from batchgen.results.report.wording import counted, duration
from batchgen.state import Reader, held_by
from batchgen.storage.paths import RunFolder


@dataclass(frozen=True, slots=True)
class Summary:
    """A run folder as it stands at *at*: what the tables can be asked without going through every row.

    *out* is the folder as commands name it; *files* counts them by kind, *blank* those of one colour; *began* and
    *ended* are the first request and the last end, Unix seconds.
    """

    out: str
    name: str
    at: float
    rehearsal: bool
    running: bool
    counts: dict[State, int]
    files: dict[str, int]
    bytes: int
    blank: int
    money: Money
    budget_micro: int | None
    began: float | None
    ended: float | None

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        return self.counts[State.COLLECTED]

    @property
    def troubled(self) -> int:
        """Rows that somebody has to look at."""
        return sum(self.counts[state] for state in TROUBLED)

    @property
    def settled(self) -> bool:
        """Nothing more happens by itself."""
        return all(state in ENDED or state is State.IN_DOUBT for state, count in self.counts.items() if count)

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
    def remake(self) -> str:
        """The command that makes what was rejected anew."""
        return shlex.join(["batchgen", "retry", self.out, "--rejected", "--new-seed"])

    @property
    def took(self) -> str | None:
        return None if self.began is None or self.ended is None else duration(max(self.ended - self.began, 1.0))


def summarise(folder: RunFolder, reader: Reader, out: str, with_files: bool = True) -> Summary:
    """How the folder stands now. Quick, however many rows there are; without its files quicker still."""
    files = reader.files_by_kind() if with_files else []
    return Summary(
        out=out,
        name=folder.path.name,
        at=time.time(),
        rehearsal=reader.meta("rehearsal") == "yes",
        running=held_by(folder) is not None,
        counts=reader.counts(),
        files={kind: count for kind, count, _ in files},
        bytes=sum(size_bytes for *_, size_bytes in files),
        blank=reader.blank_files() if with_files else 0,
        money=reader.money(),
        budget_micro=reader.budget_micro(),
        began=reader.began_at(),
        ended=reader.ended_at(),
    )


@dataclass(frozen=True, slots=True)
class Findings:
    """What failed and why, and the figures."""

    histogram: Histogram | None
    progress: Progress | None
    models: Sequence[ModelCost]
    causes: Sequence[Cause]

    @property
    def over_a_day(self) -> bool:
        """Whether times need their day."""
        return self.progress is not None and self.progress.end - self.progress.start > 20 * 3600


def find(reader: Reader, out: str) -> Findings:
    """What the tables tell of the whole run; *out* is the folder as commands name it."""
    models = [ModelCost(*known) for known in reader.by_model()]
    return Findings(
        histogram=histogram(reader.job_times_s()),
        progress=progress(reader.began_at(), [*reader.ends()]),
        models=sorted(models, key=lambda cost: (-cost.money.committed, cost.model)),
        causes=causes(reader.jobs(TROUBLED), out),
    )
