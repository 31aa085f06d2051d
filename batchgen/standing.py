"""How a run folder stands: what its state file says, and what the run that is on last said of itself there.

Loads nothing that only a run needs.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgen.budget import Money, cost_report, usd
from batchgen.job import ENDED, Job, State
from batchgen.runfolder import RunFolder
from batchgen.statefile import Reader, StateUnusable, held_by, read_only
from batchgen.wording import clock, prompt_of

if TYPE_CHECKING:
    from batchgen.scheduler import Scheduler

_WINDOW_S = 300.0
_TELL_S = 5.0
_STALE_S = 60.0
_SAID = "activity"
_NOTES = 3


@dataclass(frozen=True, slots=True)
class Activity:
    """What only the process of a run knows. Times are Unix seconds; *left_s* is the earliest and the latest end.

    *queued* are jobs in flight that wait in the provider's queue, as far as the answers tell. *troubles* are
    sentences: what is wrong, since when, and what happens next.
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


@dataclass(frozen=True, slots=True)
class Last:
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
    def of(cls, job: Job) -> Last:
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
class Standing:
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
    last: Sequence[Last] = ()

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


def status(out: Path, last: int = 0) -> Standing:
    """How *out* stands, with its *last* finished rows. Raises StateUnusable if it is not a run folder."""
    folder = RunFolder.at(out)
    if not folder.state.exists():
        what = "it has no state.db" if folder.path.is_dir() else "there is no such folder"
        raise StateUnusable(f"{folder.path} is not a run folder: {what}; a run's folder is named at its start and end")
    with closing(Reader(read_only(folder.state))) as reader:
        now, holder = time.time(), held_by(folder)
        return Standing(
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
            [Last.of(job) for job in reader.last_ended(last)],
        )


def _said(reader: Reader, now: float) -> Activity | None:
    """What the run last said, if that was not long ago."""
    try:
        said = json.loads(reader.meta(_SAID) or "{}")
        activity = Activity(**said)
    except (TypeError, ValueError):  # nothing yet, or in the words of another version
        return None
    return activity if now - activity.at < _STALE_S else None


# ── what a run says of itself ───────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Pace:
    """Rows that end per second over the last five minutes."""

    fastest_rows_per_s: float = 0.0
    """The most of any such five minutes."""
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, now: float, ended: int) -> None:
        self._seen.append((now, ended))
        while self._seen[0][0] < now - _WINDOW_S:
            self._seen.popleft()
        if now - self._seen[0][0] > _WINDOW_S - 2 * _TELL_S:
            self.fastest_rows_per_s = max(self.fastest_rows_per_s, self.rows_per_s)

    def kept_to(self, left_s: tuple[float, float], rows_left: int) -> tuple[float, float]:
        """*left_s*, but no earlier than the fastest pace that was seen brings *rows_left* home."""
        if not self.fastest_rows_per_s:
            return left_s
        least_s = rows_left / self.fastest_rows_per_s
        return max(left_s[0], least_s), max(left_s[1], least_s)

    @property
    def rows_per_s(self) -> float:
        if not self._seen:
            return 0.0
        (first_at, first), (last_at, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0


class Watched:
    """A run that is looked at from time to time. *last* are its newest finished rows, newest first."""

    def __init__(self, scheduler: Scheduler, last: Sequence[Last] = ()) -> None:
        self._scheduler = scheduler
        self._last = last
        self._since = time.time()
        self._pace = Pace()
        self._held: tuple[str, float] | None = None

    def standing(self) -> Standing:
        """How the folder stands now, reckoned from what the run has in memory."""
        run, state = self._scheduler, self._scheduler.state
        return Standing(
            state.folder.path,
            time.time(),
            state.reader.meta("rehearsal") == "yes",
            dict(state.tally.counts),
            [job.row_id for job in state.reader.jobs([State.IN_DOUBT])],
            state.tally.money,
            run.limits.budget_micro,
            held_by(state.folder),
            self.activity(),
            0,
            state.reader.blank_files(),
            list(self._last),
        )

    def activity(self) -> Activity:
        """What the run does now."""
        run, now = self._scheduler, time.time()
        self._pace.note(now, run.state.tally.ended_here)
        return Activity(
            now,
            self._since,
            run.in_flight,
            run.queued,
            run.slots,
            self._pace.rows_per_s,
            run.received_bytes,
            None if (left_s := run.left_s) is None or not run.rows_left else self._pace.kept_to(left_s, run.rows_left),
            tuple(self._troubles(now)),
            tuple(sorted(run.overdue)),
            tuple(one.as_json() for one in run.breakers),
            run.cost_left_micro,
        )

    def _troubles(self, now: float) -> Iterator[str]:
        run = self._scheduler
        if run.ending.cause is not None:
            yield f"nothing more is sent: {run.ending.reason}; what is in flight is carried to its end"
        else:
            if run.ending.by_user:
                yield "nothing more is sent, as you asked; what is in flight is finished. Ctrl-C again leaves now"
            breakers = run.breakers
            yield from (one.in_words(lambda at: clock(at, now, seconds=True)) for one in breakers)
            yield from self._waits(None if breakers else run.waiting_for, now)
        if waits := run.waits:
            first, more = waits[0], f" and {len(waits) - 1:,} more rows" if len(waits) > 1 else ""
            until = clock(first.until, now, seconds=True)
            yield f"{first.row_id}{more} until {until}: waiting for links that work ({first.reason})"
        yield from run.ending.notes[-_NOTES:]

    def _waits(self, waiting_for: str | None, now: float) -> Iterator[str]:
        if waiting_for is None:
            self._held = None
            return
        if self._held is None or self._held[0] != waiting_for:
            self._held = waiting_for, now
        yield f"nothing is sent since {clock(self._held[1], now, seconds=True)}: waiting for {waiting_for}"

    async def tell(self) -> None:
        """Leave it in the state file every few seconds, for whoever looks from outside."""
        import asyncio  # a fifth of what `status` takes, which has no use for it

        while True:
            with suppress(StateUnusable):  # a full disk: nobody is told, the run goes on
                await self._scheduler.state.set_meta(**{_SAID: json.dumps(asdict(self.activity()))})
            await asyncio.sleep(_TELL_S)
