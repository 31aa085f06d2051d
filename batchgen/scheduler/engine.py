"""`_carry` takes a job from whatever state it is in to its end: the state says which step comes next, the step reports
an event, and the event is on disk before the next step. Starting and resuming are the same code.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TypeAlias

from batchgen.collector.collect import Collector
from batchgen.collector.download import DiskFull
from batchgen.core import log
from batchgen.core.job import ENDED, Job, State
from batchgen.core.money import Price
from batchgen.providers.contract import Cause, Provider, RunStopped
from batchgen.scheduler.collect import Collecting, Wait
from batchgen.scheduler.control import Limits, RunControl, StopInfo
from batchgen.scheduler.cost_forecast import CostForecast
from batchgen.scheduler.dispatch import TICK_S, Dispatcher
from batchgen.scheduler.fault import Faults
from batchgen.scheduler.pacing import (
    AutoInFlight,
    BreakerState,
    FixedInFlight,
    InFlight,
    Measure,
    PollPolicy,
    Range,
    time_left_s,
    with_fetching_s,
)
from batchgen.scheduler.poll import Poller
from batchgen.scheduler.reservations import Reservations
from batchgen.scheduler.submit import Submitter
from batchgen.state import HEARTBEAT_S, StateFile, StateUnusable

SLEPT_S = 30.0
"""A gap of this much between wall and monotonic clock is a machine that slept."""

ANSWERS_AWAITED_S = 6.0
"""How long a run that leaves waits for answers to POSTs. Whoever sends SIGTERM kills soon after: docker in 10 s."""

IN_FLIGHT_LEARNED, POLLING_LEARNED = "in_flight_learned", "polling_learned"
"""What the folder keeps of the pace of its runs."""

_FORECAST_AFTER = 5
_LAST_ENDED = 50
_KEEP_LEARNED_S = 60.0


OnBreaker: TypeAlias = Callable[[BreakerState], None]
"""Told of every breaker that has opened, half opened or closed."""


class Scheduler:
    """Carries every live and pending row of a state file to its end."""

    def __init__(
        self,
        state: StateFile,
        provider: Provider,
        collector: Collector,
        limits: Limits,
        prices: Mapping[str, Price],
        polling: PollPolicy,
        now: Callable[[], float],
        only: frozenset[str] | None = None,
        submitting: bool = True,
        on_breaker: OnBreaker = lambda state: None,
        seed: int | None = None,
    ) -> None:
        self.state = state
        self.limits = limits
        self._provider = provider
        self._collector = collector
        self._polling = polling
        self._course = RunControl(now, limits, submitting, seed)
        self._purse = Reservations(state, prices, limits.budget_micro)
        self._slots = _slots(limits.in_flight, state.reader.meta(IN_FLIGHT_LEARNED))
        self._submitting = Submitter(state, provider, self._course, self._purse, self._slots)
        self._following = Poller(
            state,
            provider,
            self._course,
            self._purse,
            self._slots,
            polling,
            limits.job_timeout_s,
            lambda: self._feeding.look_again(),
        )
        self._fetching = Collecting(
            state, provider, collector, self._course, self._purse, limits.downloads, limits.job_timeout_s
        )
        self._carried: dict[int, Job] = {}
        self._leaving: asyncio.Task[None] | None = None
        self._faults = Faults(self._course.ending.notes)
        self._feeding = Dispatcher(
            state,
            self._course,
            self._purse,
            self._slots,
            self._submitting,
            self._following,
            self._fetching,
            limits,
            only,
            self._carried,
            self._start,
        )
        self._on_breaker = on_breaker
        self._outlook = CostForecast(state.reader.units_left(only), self._purse)

    # ── the run ─────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> StopInfo:
        """Go on until nothing is left to do, or something stops the run. Ids that were answered are never lost."""
        self._check_disk()
        ticking = asyncio.create_task(self._tick())
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for job in self.state.reader.jobs([State.READY, State.SUBMITTED]):
                    self._start(job)
                await self._feeding.feed()
                self._following.all_sent = True
                self._feeding.leave_if_nothing_moves()
            self._tell_breakers()
            await self._keep_learned()
        except BaseException:  # cancelled, or something broke: what is on the wire is answered and saved first
            await self._submitting.settle()
            raise
        finally:
            ticking.cancel()
            if self._leaving is not None:
                self._leaving.cancel()
        return self.ending

    def stop(self, by_user: bool = True) -> None:
        """Send nothing more; what is in flight is carried to its end."""
        self.ending.by_user |= by_user
        self._course.stop()

    def leave(self) -> None:
        """Go as soon as the POSTs on the wire are answered and saved; those that are not in a few seconds become
        doubtful rows.
        """
        self.stop()
        self._submitting.drop_unsent()
        self._course.leave_at_once()
        self.state.stop_waiting()
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._abandon_late_answers())

    async def _abandon_late_answers(self) -> None:
        await asyncio.sleep(ANSWERS_AWAITED_S)
        await self._submitting.abandon()

    async def abandon(self) -> list[str]:
        """Go now: POSTs on the wire become doubtful rows. Answers with their ids."""
        self.leave()
        return await self._submitting.abandon()

    # ── what it shows ───────────────────────────────────────────────────────────────────────────────────

    @property
    def ending(self) -> StopInfo:
        return self._course.ending

    @property
    def overdue(self) -> set[str]:
        """Ids of rows whose jobs take longer than the limit; they are asked about again next time."""
        return set(self._course.overdue.values())

    @property
    def waiting_for(self) -> str | None:
        """What keeps rows from being sent at this moment, in words."""
        return self._feeding.waiting_for

    @property
    def waits(self) -> list[Wait]:
        """Rows whose file host is given time until their links are asked for anew, the next one first."""
        return sorted(self._fetching.waits.values(), key=lambda wait: wait.until)

    @property
    def breakers(self) -> list[BreakerState]:
        """What is open at this moment: since when, why, and until when."""
        return self._course.breakers.states(self._course.now())

    @property
    def polls(self) -> int:
        return self._following.polls

    @property
    def in_flight(self) -> int:
        return len(self._following.in_flight)

    @property
    def queued(self) -> int:
        """Jobs in flight that wait in the provider's queue, as far as its answers tell."""
        return min(self._slots.queued, self.in_flight)

    @property
    def slots(self) -> int:
        """The most jobs that may be in flight now."""
        return self._slots.limit

    @property
    def models_missing(self) -> list[str]:
        """The models that the provider does not know, and whose rows could therefore not be sent."""
        return self._course.breakers.models_missing

    @property
    def rows_unsent(self) -> bool:
        """Whether rows stay pending that this run was to send."""
        return bool(self._submitting.not_sendable or self._course.breakers.same_cause.closed)

    @property
    def rows_left(self) -> int:
        """Rows that this run still carries or is to send."""
        counts = self.state.tally.counts
        live = counts[State.SUBMITTING] + counts[State.SUBMITTED] + counts[State.READY]
        return live + (self._feeding.to_send if self._course.submits else 0)

    @property
    def left_s(self) -> Range | None:
        """When the last job will have ended and its files are home, in seconds from now; None until a few have."""
        if (ages := self._ages()) is None:
            return None
        most = self._slots.limit
        to_come = max(self.rows_left - self.state.tally.counts[State.READY] - self.in_flight, 0)
        slots = (min(self.in_flight or most, most), most)
        first_s, last_s = with_fetching_s(
            time_left_s(ages, to_come, self.in_flight, slots),
            self._fetching.held,
            self.rows_left,
            self._fetching.places,
        )
        waits_s = max((wait.until - self._course.now() for wait in self._fetching.waits.values()), default=0.0)
        return max(first_s, waits_s), max(last_s, waits_s) + self._fetching.took.of_all(1.0)[1]

    def _ages(self) -> Measure | None:
        """How old jobs were when they ended; None while these are too few. Once a fifth of the rows has ended, any
        number will do, and where they ended in earlier runs, what those saw.
        """
        ages, counts = self._following.ages, self.state.tally.counts
        if ages.count >= _FORECAST_AFTER:
            return ages
        if sum(counts[state] for state in ENDED) * 5 < sum(counts.values()):
            return None
        return ages if ages.count else self._ages_before

    @cached_property
    def _ages_before(self) -> Measure | None:
        before = Measure()
        for job in self.state.reader.last_ended(_LAST_ENDED):
            if job.submitted_at is not None and job.ended_at is not None:
                before.add(max(job.ended_at - job.submitted_at, 0.0))
        return before if before.count else None

    @property
    def cost_left_micro(self) -> tuple[int, int] | None:
        """What the rows that have not ended will cost, at least and at most; None while a price is unknown.

        All of the manifest's rows count, also where a limit lets this run send only some of them.
        """
        return self._outlook.cost_left_micro()

    @property
    def received_bytes(self) -> int:
        return self._collector.received_bytes

    @property
    def posts_on_the_wire(self) -> int:
        return self._submitting.on_the_wire

    # ── one job, from wherever it is to its end ─────────────────────────────────────────────────────────

    def _start(self, job: Job) -> None:
        if job.state is State.SUBMITTED:
            self._following.unheard.add(job.key)
            if job.ended_at is None:
                self._following.in_flight.add(job.key)
        if job.state is State.PENDING:
            self._submitting.begin(job)
        self._carried[job.key] = job
        self._tasks.create_task(self._carry(job))

    async def _carry(self, job: Job) -> None:
        try:
            await self._to_its_end(job)
        except RunStopped as stopped:
            self._course.stopped(stopped)
        except DiskFull as full:
            self._course.stopped(RunStopped(Cause.DISK, f"{full}; free some room and run again"))
        except StateUnusable as unusable:
            self._course.stopped(RunStopped(Cause.DISK, str(unusable)))
        except OSError as error:  # what the network does comes as an answer: this is the disk
            why = self.state.lost() or f"row {job.row_id}: {error}; mend that and run again"
            self._course.stopped(RunStopped(Cause.DISK, why))
        except Exception as error:  # noqa: BLE001 - a fault of our own costs one row's step, never the others
            self._faults.met(self._carried[job.key], error)
            self._course.breakers.same_cause.undecided(job.model, job.key)
        finally:
            self._feeding.sending.pop(job.key, None)
            self._fetching.waiting.discard(job.key)
            self._following.forget(self._carried.pop(job.key))
            self._course.wake()
            self._feeding.leave_if_nothing_moves()

    async def _to_its_end(self, job: Job) -> None:
        """Step after step while each moves the job on."""
        steps = {
            State.PENDING: self._submitting.submit,
            State.SUBMITTED: self._follow,
            State.READY: self._fetching.fetch,
        }
        while (step := steps.get(job.state)) is not None:
            before = job
            log.bind(row=job.row_id, n=job.n, request_id=job.request_id)
            job = self._carried[job.key] = await step(job)
            self._feeding.sending.pop(job.key, None)
            if job.state is not State.SUBMITTED:
                self._following.free_slot(job)
            self._course.wake()
            self._judge(job)
            if job.state in ENDED:
                self._outlook.ended(job)
            self._tell_breakers()
            if job.state is before.state:
                if job.state is State.PENDING:
                    self._feeding.came_back()
                break

    def _judge(self, job: Job) -> None:
        """Tell the breaker of rows that end for one cause how *job* stands."""
        same_cause = self._course.breakers.same_cause
        if job.state in (State.READY, State.COLLECTED):
            same_cause.succeeded(job.model)
        elif job.state is State.FAILED:
            cause = same_cause.failed(job.model, job.key, job.reason or "")
            if cause is not None:
                self.ending.notes.append(
                    f"nothing more of {job.model} was sent: one row after another ended for one cause ({job.reason}); "
                    "the others stay pending, mend the manifest and run again"
                )
        elif job.state is not State.SUBMITTED:
            same_cause.undecided(job.model, job.key)

    async def _follow(self, job: Job) -> Job:
        soon = job.key in self._submitting.to_look_at
        self._submitting.to_look_at.discard(job.key)
        return await self._following.follow(job, soon)

    # ── time, disk, and the end ─────────────────────────────────────────────────────────────────────────

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        ahead_s = self._course.now() - loop.time()
        beat_at = 0.0
        keep_at = loop.time() + _KEEP_LEARNED_S
        while True:
            await asyncio.sleep(TICK_S)
            slept_s = self._course.now() - loop.time() - ahead_s
            if slept_s > SLEPT_S:
                await self._after_sleep(slept_s)
            ahead_s += slept_s
            if loop.time() >= keep_at:
                keep_at = loop.time() + _KEEP_LEARNED_S
                await self._keep_learned()
            if loop.time() >= beat_at:
                with suppress(OSError):
                    self.state.beat()
                beat_at = loop.time() + HEARTBEAT_S
            with suppress(OSError):
                self.state.keep_progress()
            self._check_folder()
            self._check_disk()
            self._tell_breakers()
            self._feeding.leave_if_nothing_moves()
            self._course.wake()

    def _check_folder(self) -> None:
        """A folder that was moved away, or that another run may hold, gets nothing more from this one."""
        why = self.state.lost()
        if why is not None and not self._course.leaving:
            self._course.stopped(RunStopped(Cause.DISK, why))
            self._submitting.drop_unsent()
            self._course.leave_at_once()

    def _check_disk(self) -> None:
        """Too little room pauses submitting, as long as there is anything else to do."""
        if not self._course.submits:
            return
        try:
            free_bytes = shutil.disk_usage(self.state.folder.path).free
        except OSError as error:
            self._course.stopped(RunStopped(Cause.DISK, f"{error}; mend that and run again"))
            return
        if self.state.reserve_is_used:
            self._course.stopped(RunStopped(Cause.DISK, "the disk is full; make room and run again"))
        elif free_bytes >= self.limits.min_free_bytes:
            self._course.breakers.disk_has_room()
        else:
            reason = f"only {free_bytes >> 20} MiB are free; make room and run again"
            self._course.breakers.disk_is_low(self._course.now(), reason)

    def _tell_breakers(self) -> None:
        for one in self._course.breakers.changes(self._course.now()):
            log.warn("breaker", **one.as_json())
            with suppress(OSError):  # whoever listens may be gone
                self._on_breaker(one)

    async def _after_sleep(self, slept_s: float) -> None:
        """Pooled connections are dead and much may have ended: ask about everything once, then submit."""
        self.ending.notes.append(f"the machine slept for {slept_s / 60:.0f} min; every job was asked about again")
        await self._provider.drop_connections()
        self._course.contact.account_is_right = False
        self._following.unheard |= self._carried.keys() & self._following.in_flight
        self._course.naps.ring()

    async def _keep_learned(self) -> None:
        """Leave what this run learned of the provider's pace for the folder's next."""
        learned = {POLLING_LEARNED: json.dumps(self._polling.learned())}
        if isinstance(self._slots, AutoInFlight) and self._slots.learned is not None:
            learned[IN_FLIGHT_LEARNED] = str(self._slots.learned)
        with suppress(StateUnusable):  # a full disk; the run has ended all the same
            await self.state.set_meta(**learned)


def _slots(in_flight: int | None, learned: str | None) -> InFlight:
    """The limit on jobs at the provider; without a number it starts from half of what an earlier run learned."""
    if in_flight is not None:
        return FixedInFlight(in_flight)
    start = int(learned) // 2 if learned is not None and learned.isdigit() else 0
    return AutoInFlight(start=start) if start else AutoInFlight()
