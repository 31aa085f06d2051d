"""How a run folder stands: what its state file says, and what the run that is on last said of itself there.

Loads nothing that only a run needs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.core.job import ENDED, Job, State
from batchgen.core.money import Money, cost_report, usd
from batchgen.core.text import prompt_of
from batchgen.state import Reader, held_by, open_reader
from batchgen.storage.paths import RunFolder

_STALE_S = 60.0
ACTIVITY = "activity"


@dataclass(frozen=True, slots=True)
class Activity:
    """What only the process of a run knows. Times are Unix seconds; *left_s* is the earliest and the latest end.

    *queued* are jobs in flight that wait in the provider's queue, as far as the answers tell. *troubles* are
    sentences: what is wrong, since when, and what happens next. One that *is_asking* a person holds until the answer:
    the run says nothing more meanwhile.
    """

    at: float
    since: float
    in_flight: int
    queued: int
    limit: int
    rows_per_s: float
    received_bytes: int
    left_s: tuple[float, float] | None = None
    troubles: tuple[str, ...] = ()
    overdue: tuple[str, ...] = ()
    breakers: tuple[dict[str, Any], ...] = ()
    cost_left_micro: tuple[int, int] | None = None
    is_asking: bool = False


@dataclass(frozen=True, slots=True)
class FinishedRow:
    """A row that came to its end. *took_s* is its time at the provider."""

    row_id: str
    state: State
    at: float
    took_s: float | None
    cost_micro: int | None
    prompt: str
    files: tuple[str, ...]
    bytes: int
    reason: str

    @classmethod
    def of(cls, job: Job) -> FinishedRow:
        took_s = None if job.ended_at is None or job.submitted_at is None else job.ended_at - job.submitted_at
        return cls(
            job.row_id,
            job.state,
            job.collected_at or job.ended_at or 0.0,
            took_s,
            job.cost_micro if job.cost_micro is not None else job.estimate_micro,
            prompt_of(job.input),
            tuple(file.name for file in job.saved),
            sum(file.bytes for file in job.saved),
            job.reason or "",
        )


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run folder in figures at the time *at*. *holder* says who runs in it now; *last* has the newest row first;
    *blank* counts files of one colour.
    """

    out: Path
    at: float
    rehearsal: bool
    rows: Mapping[State, int]
    in_doubt: Sequence[str]
    money: Money
    budget_micro: int | None
    holder: str | None = None
    activity: Activity | None = None
    files_bytes: int = 0
    blank: int = 0
    last: Sequence[FinishedRow] = ()

    @property
    def total(self) -> int:
        return sum(self.rows.values())

    @property
    def ended(self) -> int:
        return sum(self.rows[state] for state in ENDED)

    def as_json(self) -> dict[str, Any]:
        """The object of `status --json`; money in USD."""
        told: dict[str, Any] = {
            "rows": {state.value: count for state, count in self.rows.items()},
            "in_doubt": list(self.in_doubt),
            "cost": cost_report(self.money, self.budget_micro),
            "out": str(self.out),
            "running": self.holder is not None,
            "blank": self.blank,
        }
        now = self.activity
        told |= {"rows_per_s": 0.0 if now is None else round(now.rows_per_s, 4)}
        told |= {"left_s": None if now is None else now.left_s}
        if now is not None:
            told |= {"in_flight": now.in_flight, "queued": now.queued, "received_bytes": now.received_bytes}
            told |= {"troubles": list(now.troubles), "overdue": list(now.overdue)}
            told |= {"breakers": list(now.breakers)}
            cost_left = now.cost_left_micro
            told |= {"cost_left": None if cost_left is None else [usd(micro) for micro in cost_left]}
        return told


def status(out: Path, last: int = 0) -> RunStatus:
    """How *out* stands, with its *last* finished rows. Raises StateUnusable if it is not a run folder."""
    folder = RunFolder.at(out)
    with closing(open_reader(folder)) as reader:
        now, holder = time.time(), held_by(folder)
        return RunStatus(
            folder.path,
            now,
            reader.meta("rehearsal") == "yes",
            reader.counts(),
            [job.row_id for job in reader.jobs([State.IN_DOUBT])],
            reader.money(),
            reader.budget_micro(),
            holder,
            _said(reader, now) if holder is not None else None,
            reader.saved_bytes() if holder is None else 0,
            reader.blank_files(),
            [FinishedRow.of(job) for job in reader.last_ended(last)],
        )


def _said(reader: Reader, now: float) -> Activity | None:
    """What the run last said, if that was not long ago or still holds."""
    try:
        said = json.loads(reader.meta(ACTIVITY) or "{}")
        activity = Activity(**said)
    except (TypeError, ValueError):  # nothing yet, or in the words of another version
        return None
    return activity if activity.is_asking or now - activity.at < _STALE_S else None
