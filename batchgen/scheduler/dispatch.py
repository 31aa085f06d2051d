"""Which row is sent next, and what keeps it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from batchgen.core.job import Job, State
from batchgen.providers.contract import Cause, RunStopped
from batchgen.scheduler.collect import Collecting
from batchgen.scheduler.control import Limits, RunControl
from batchgen.scheduler.pacing import MOST_PAUSE_S, InFlight, Which
from batchgen.scheduler.poll import Poller
from batchgen.scheduler.reservations import Afford, Reservations
from batchgen.scheduler.submit import Submitter
from batchgen.state import StateFile, StateUnusable

TICK_S = 1.0
_READ_AHEAD_ROWS = 32

_WAITS_FOR = {
    Which.TOKEN: "a token that is taken",
    Which.BALANCE: "the account's balance",
    Which.BUDGET: "a larger budget",
    Which.DISK: "room on the disk",
    Which.PROVIDER: "the provider to be reachable again",
    Which.ERRORS: "the provider to answer without errors",
    Which.DOUBT: "a pause after POSTs whose answers were lost",
    Which.BUSY: "the provider's rate limit",
}


class Dispatcher:
    """Starts pending rows. *sending* are those on their way, by their keys; *waiting_for* is what they wait for."""

    def __init__(
        self,
        state: StateFile,
        course: RunControl,
        purse: Reservations,
        slots: InFlight,
        submitting: Submitter,
        following: Poller,
        fetching: Collecting,
        limits: Limits,
        only: frozenset[str] | None,
        carried: Mapping[int, Job],
        start: Callable[[Job], None],
    ) -> None:
        self.waiting_for: str | None = None
        self.sending: dict[int, str] = {}
        self.sent_rows = 0
        self._state = state
        self._course = course
        self._breakers = course.breakers
        self._purse = purse
        self._slots = slots
        self._submitting = submitting
        self._following = following
        self._fetching = fetching
        self._limits = limits
        self._only = only
        self._carried = carried
        self._start = start
        self._is_held = False
        self._unpriced_models: set[str] = set()
        self._read_ahead: list[Job] = []
        self._attempts_to_come = state.attempts_to_come

    async def feed(self) -> None:
        """Start pending rows as slots, rate and budget allow, until none is left that could still be sent."""
        while self._course.submits:
            now = self._course.now()
            if (hold_s := self._hold_s(now)) is not None:
                self.leave_if_nothing_moves()
                await self._be_held(hold_s)
            elif (job := self._next_row(now)) is not None:
                if await self._afford(job):
                    self._send(job, now)
                else:
                    self._read_ahead.clear()
            elif self._may_come_back():
                await self._course.wait_changed(TICK_S)
            elif (again_at := self._again_at()) is not None:
                await self._course.wait_changed(again_at - now if again_at > now else TICK_S)
            else:
                return

    def look_again(self) -> None:
        """What is known of the jobs in flight has changed. If that ends what held rows back, the next is sent at once.

        `feed` would send it a turn of the event loop later, while a slot of the account stands empty. Under a budget it
        is left to that: what the ended job cost may raise what the next one reserves.
        """
        if self._is_held and self._course.submits:
            now = self._course.now()
            if self._hold_s(now) is not None:
                return
            if self._limits.budget_micro is None and (job := self._next_row(now)) is not None:
                self._send(job, now)
        self._course.wake()

    async def _be_held(self, hold_s: float) -> None:
        self._is_held = True
        try:
            await self._course.wait_changed(hold_s)
        finally:
            self._is_held = False

    def came_back(self) -> None:
        """A row that was on its way is to be sent another time."""
        self.sent_rows -= 1
        self._read_ahead.clear()

    def leave_if_nothing_moves(self) -> None:
        """When nothing but rows overdue is left, or the rest waits for them, the wait ends; the jobs go on."""
        if self._course.leaving or not self._carried.keys() <= self._course.overdue.keys():
            return
        if not self._carried:
            self._stop_if_disk_is_low()
        elif not self._course.submits or self._again_at() is None:
            self._course.leave()
        elif self._slots_are_taken or self._downloads_are_behind or self._breakers.storm.rages:
            self._course.ending.notes.append(
                f"rows that wait were not sent: {len(self._carried)} rows overdue hold all slots or downloads; "
                "run again, with a larger --in-flight if the provider takes more"
            )
            self._course.leave()

    def _stop_if_disk_is_low(self) -> None:
        """Nothing is left that could make room, or that is worth waiting for."""
        if (reason := self._breakers.disk_low) is not None and self._course.submits:
            self._course.stopped(RunStopped(Cause.DISK, reason))

    def _send(self, job: Job, now: float) -> None:
        self._breakers.rate.sent(now)
        self._following.in_flight.add(job.key)
        self.sending[job.key] = job.model
        self._breakers.same_cause.sent(job.model, job.key)
        self.sent_rows += 1
        self._start(job)

    # ── what keeps rows back ────────────────────────────────────────────────────────────────────────────

    def _hold_s(self, now: float) -> float | None:
        """How long submitting has to wait, at most, before it is asked again; None if it may go on."""
        self.waiting_for = None
        if self._following.unheard and not self._course.contact.account_is_right:
            self.waiting_for = "the first answers about jobs of an earlier run"
            return TICK_S
        if self._slots_are_taken:
            return TICK_S
        if self._downloads_are_behind:
            self.waiting_for = "downloads to catch up"
            return TICK_S
        held = self._breakers.hold(now, bool(self.sending), bool(self._following.in_flight))
        if held is None:
            return self._paced_s(now)
        tried = held.until is None and held.which is not Which.DISK and bool(self.sending)
        self.waiting_for = "the answer to a single trial row" if tried else _WAITS_FOR[held.which]
        return TICK_S if held.until is None else min(held.until - now, TICK_S)

    def _paced_s(self, now: float) -> float | None:
        most = self._breakers.rate.most_on_the_wire
        if most is not None and len(self._submitting.awaited) >= most:
            return TICK_S
        return self._breakers.rate.wait_s(now) or None

    @property
    def to_send(self) -> int:
        """Pending rows within the scope and the limit of this run."""
        counts, most = self._state.tally.counts, self._limits.rows
        pending = counts[State.PENDING] if self._only is None else self._state.reader.pending(self._only)
        if most is None:
            return pending
        on_their_way = max(len(self.sending) - counts[State.SUBMITTING], 0)  # counted as sent, and pending still
        return min(pending, max(most - self.sent_rows, 0) + on_their_way)

    @property
    def _slots_are_taken(self) -> bool:
        return len(self._following.in_flight) >= self._slots.limit

    @property
    def _downloads_are_behind(self) -> bool:
        not_home = len(self._following.over) + len(self._fetching.waiting)
        return not_home > 2 * self._limits.downloads + self._slots.limit

    @property
    def _limit_is_reached(self) -> bool:
        return self._limits.rows is not None and self.sent_rows >= self._limits.rows

    def _may_come_back(self) -> bool:
        """Whether rows that are under way may be to send again, or others after them."""
        if self.sending or (self._attempts_to_come and self._carried):
            return True
        if not self._breakers.same_cause.trying:
            return False
        causes = "; ".join(cause for cause, _ in self._breakers.same_cause.open.values())
        self.waiting_for = f"a trial row, since many ended for one cause: {causes}"
        return True

    # ── which row ───────────────────────────────────────────────────────────────────────────────────────

    def _next_row(self, by: float) -> Job | None:
        """The first row that may be sent at the time *by*.

        Rows are read ahead: a query for each would cost as much as a request. None of them is carried until it is
        taken from here, and whatever changes the order, such as a row that comes back, has them read again.
        """
        closed_models = self._breakers.closed_models(by, self.sending.values())
        self._read_ahead = [job for job in self._read_ahead if job.model not in closed_models]
        if not self._read_ahead:
            self._read_ahead = self._rows(_READ_AHEAD_ROWS, by, closed_models)[::-1]
        return self._read_ahead.pop() if self._read_ahead and not self._limit_is_reached else None

    def _again_at(self) -> float | None:
        """When a deferred row comes up again; None if no row is left that this run could send."""
        later = [] if self._limit_is_reached else self._rows(1, float("inf"), self._breakers.models_given_up)
        return later[0].again_at or self._course.now() if later else None

    def _rows(self, rows: int, by: float, closed_models: list[str]) -> list[Job]:
        left_out = [*self._carried, *self._submitting.not_sendable]
        closed = [*closed_models, *self._unpriced_models]
        try:
            found = self._state.reader.next_pending(rows, by, MOST_PAUSE_S, left_out, closed, self._only)
        except StateUnusable as unusable:
            self._course.stopped(RunStopped(Cause.DISK, str(unusable)))
            return []
        return found

    async def _afford(self, job: Job) -> bool:
        """Whether the budget allows *job*. A model of unknown price is closed under a budget; the others go on.

        Where the rest of the budget is reserved for jobs that may yet cost less, they are waited for first.
        """
        match self._purse.hold(job):
            case Afford.YES:
                return True
            case Afford.PRICE_UNKNOWN:
                reason = (
                    f"the price of {job.model} is unknown, so a budget cannot be kept for it; give it with --prices"
                )
                self._unpriced_models.add(job.model)
                self._course.blame(Cause.BUDGET, reason)
            case Afford.SPENT_UNKNOWN:
                count = self._state.tally.money.unpriced
                reason = f"{count} jobs were sent at a price nobody knows, so nobody knows what is left of the budget"
                self._course.stopped(RunStopped(Cause.BUDGET, reason))
            case Afford.OVER_BUDGET if self._may_cost_less:
                self.waiting_for = "what the jobs in flight really cost: the rest of the budget is reserved for them"
                await self._course.wait_changed(TICK_S)
            case Afford.OVER_BUDGET:
                self._course.stopped(RunStopped(Cause.BUDGET, f"row {job.row_id} would go over the budget"))
        return False

    @property
    def _may_cost_less(self) -> bool:
        """Whether jobs are under way whose end gives back what is reserved for them and not charged."""
        return not self._carried.keys() <= self._course.overdue.keys()
