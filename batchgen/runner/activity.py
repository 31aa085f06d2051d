"""What a run says of itself while it is on."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from batchgen.core.job import State
from batchgen.core.text import clock, counted
from batchgen.results.status import ACTIVITY, Activity, FinishedRow, RunStatus
from batchgen.scheduler import Scheduler
from batchgen.state import StateFile, StateUnusable, held_by

_WINDOW_S = 300.0
_TELL_S = 5.0
_NOTES = 3


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


async def tell_question(state: StateFile, question: str) -> None:
    """Leave in the state file that a person is asked *question*, until the run says something else there."""
    now = time.time()
    waiting = f"waiting for an answer in the terminal of this run: {question}"
    asking = Activity(now, now, 0, 0, 0, 0.0, 0, troubles=(waiting,), is_asking=True)
    with suppress(StateUnusable):  # a full disk: nobody is told, the question is asked
        await state.set_meta(**{ACTIVITY: json.dumps(asdict(asking))})


class ActivityReporter:
    """A run that is looked at from time to time. *last* are its newest finished rows, newest first."""

    def __init__(self, scheduler: Scheduler, last: Sequence[FinishedRow] = ()) -> None:
        self._scheduler = scheduler
        self._last = last
        self._since = time.time()
        self._pace = Pace()
        self._held: tuple[str, float] | None = None

    def standing(self) -> RunStatus:
        """How the folder stands now, reckoned from what the run has in memory."""
        run, state = self._scheduler, self._scheduler.state
        return RunStatus(
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
            first, more = waits[0], f" and {counted(len(waits) - 1, 'more row')}" if len(waits) > 1 else ""
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
                await self._scheduler.state.set_meta(**{ACTIVITY: json.dumps(asdict(self.activity()))})
            await asyncio.sleep(_TELL_S)
