"""How a run goes: its limits, whether it still submits, whether it is leaving, and why it ended."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from batchgen.core.job import Job
from batchgen.providers.contract import Cause, RunStopped
from batchgen.scheduler.clock import SteadyClock
from batchgen.scheduler.pacing import CircuitBoard, IdEvidence, Which
from batchgen.scheduler.timers import BoundedWakeups, WakeableSleep


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may do at once and in all; *in_flight* None learns it. Rates are per minute, sizes in bytes."""

    in_flight: int | None = None
    downloads: int = 16
    submits_per_min: float | None = None
    rows: int | None = None
    job_timeout_s: float = 7200.0
    min_free_bytes: int = 1024**3
    budget_micro: int | None = None
    wait_for_balance: bool = False
    wait_for_provider: bool = False


@dataclass(slots=True)
class StopInfo:
    """Why a run came to its end. *cause* is None unless something stopped it."""

    cause: Cause | None = None
    reason: str = ""
    by_user: bool = False
    notes: list[str] = field(default_factory=list)


T = TypeVar("T")

_POLLS_A_TURN = 2
"""Questions about jobs that begin in one turn of the event loop, so that the POST for a freed slot goes out soon."""

_WHICH = {
    Cause.TOKEN: Which.TOKEN,
    Cause.BALANCE: Which.BALANCE,
    Cause.PROVIDER: Which.PROVIDER,
    Cause.BUDGET: Which.BUDGET,
    Cause.DISK: Which.DISK,
}
_GRAVITY = (Cause.DISK, Cause.TOKEN, Cause.BALANCE, Cause.PROVIDER, Cause.BUDGET)


class RunControl:
    """What all steps of a run share: its clock and its chance, its ending, and what the provider's silence means.

    *overdue* are the row ids of jobs that take longer than the limit, by their keys: a mark on the job, no state.
    """

    def __init__(self, now: Callable[[], float], limits: Limits, submitting: bool, seed: int | None) -> None:
        self.now = SteadyClock(now)
        self.ending = StopInfo()
        self.alarm = WakeableSleep()
        self.naps = BoundedWakeups(_POLLS_A_TURN)
        self.overdue: dict[int, str] = {}
        self.contact = IdEvidence()
        every_s = 60.0 / limits.submits_per_min if limits.submits_per_min else 0.0
        self.breakers = CircuitBoard(limits.wait_for_balance, limits.wait_for_provider, every_s)
        self.submits = submitting
        self.leaving = False
        self._told_to_leave = False
        self._leavable: set[asyncio.Task[Any]] = set()
        self._interrupted: set[asyncio.Task[Any]] = set()
        self._random = random.Random(seed)  # noqa: S311 - spreads delays, guards nothing
        self._changes = WakeableSleep()

    def roll(self) -> float:
        return self._random.random()

    def stop(self) -> None:
        """Send nothing more; what is in flight is carried to its end."""
        self.submits = False
        self.wake()

    def leave(self) -> None:
        """End the waiting, too."""
        self.stop()
        self.leaving = True
        self.alarm.ring()
        self.naps.ring()

    def leave_at_once(self) -> None:
        """A person wants to go: what can be taken up again later is not waited for."""
        self.leave()
        if self._told_to_leave:
            return
        self._told_to_leave = True
        self._interrupted = {*self._leavable}
        for working in self._interrupted:
            working.cancel()

    async def unless_told_to_leave(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What *work* returns; None if a person wanted to go first, and *work* was cancelled.

        The caller's own task is interrupted: a task for each question about a job would cost polls a turn of the loop.
        """
        if self._told_to_leave:
            work.close()
            return None
        working = asyncio.current_task()
        assert working is not None
        self._leavable.add(working)
        try:
            return await work
        except asyncio.CancelledError:
            if working not in self._interrupted or working.uncancel():  # not the work alone is given up
                raise
            return None
        finally:
            self._leavable.discard(working)

    def stopped(self, stopped: RunStopped) -> None:
        """Something stopped the run. An account or a provider that is of no use ends the waiting as well."""
        self.send_no_more(stopped.cause, stopped.reason)
        if stopped.cause in (Cause.TOKEN, Cause.PROVIDER):
            self.leave()

    def send_no_more(self, cause: Cause, reason: str) -> None:
        """Rows that wait stay pending; what is in flight is carried to its end."""
        self.blame(cause, reason)
        self.breakers.stopped(_WHICH[cause], self.now(), reason)
        self.stop()

    def blame(self, cause: Cause, reason: str) -> None:
        """Of several causes the gravest is reported, in the order of the exit codes; of equal ones the first."""
        if self.ending.cause is None or _GRAVITY.index(cause) < _GRAVITY.index(self.ending.cause):
            self.ending.cause, self.ending.reason = cause, reason

    def out_of_reach(self, reason: str) -> None:
        """No contact with the provider. Raises RunStopped once that has lasted too long."""
        now = self.now()
        self.breakers.not_reached(now, self.roll(), reason)
        if self.breakers.reach.hopeless(now):
            raise RunStopped(Cause.PROVIDER, f"{reason}; check the network and the API base, then run again")

    async def sleep(self, seconds: float) -> bool:
        """Return after *seconds*, or at once when the run leaves. Answers whether it goes on."""
        if not self.leaving:
            await self.alarm.sleep(seconds)
        return not self.leaving

    async def nap(self, seconds: float) -> bool:
        """Between two questions about a job: as `sleep`, and over when everything is to be asked about at once."""
        if not self.leaving:
            await self.naps.sleep(seconds)
        return not self.leaving

    def mark_overdue(self, job: Job) -> None:
        """*job* takes longer than the limit: it is carried on, and is no reason to wait any longer."""
        if job.key not in self.overdue:
            self.overdue[job.key] = job.row_id
            self.wake()

    def wake(self) -> None:
        """Something changed that the loop may be waiting for."""
        self._changes.ring()

    async def wait_changed(self, timeout_s: float) -> None:
        """Return when something changed from now on, or after *timeout_s*."""
        await self._changes.sleep(timeout_s)
