"""The loop: which job goes on next, within which limits.

`_carry` takes a job from whatever state it is in to its end: the state says which step comes next, the step
reports an event, and the event is on disk before the next step. Starting and resuming are the same code.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from aiolimiter import AsyncLimiter

from batchgen.alarm import Alarm, SoonestFirst
from batchgen.budget import Price, may_reserve
from batchgen.collector import Collector, DiskFull, TryLater
from batchgen.inputs import InputChanged, body_of
from batchgen.job import (
    Accepted,
    Billed,
    Collected,
    ContactLost,
    CostKnown,
    Deferred,
    Event,
    Intent,
    Job,
    JobCancelled,
    JobFailed,
    LinksExpired,
    Refused,
    State,
    Succeeded,
)
from batchgen.pacing import (
    AutoInFlight,
    Backoff,
    BusyPause,
    Contact,
    ContactBreaker,
    Crowd,
    DoubtBreaker,
    FixedInFlight,
    InFlight,
    Lag,
    Measure,
    PollPolicy,
    Range,
    SameCauseBreaker,
    time_left_s,
)
from batchgen.providers.contract import (
    AccountBlocked,
    Busy,
    Cancelled,
    Cause,
    Failure,
    Lost,
    ModelMissing,
    NoNews,
    NotSent,
    Over,
    Provider,
    Rejected,
    RunStopped,
    SubmitAnswer,
    Success,
    Taken,
    Unknown,
    Waiting,
)
from batchgen.statefile import HEARTBEAT_S, StateFile, StateUnusable

SLEPT_S = 30.0
"""A gap of this much between wall and monotonic clock is a machine that slept."""

IN_FLIGHT_LEARNED, POLLING_LEARNED = "in_flight_learned", "polling_learned"
"""What the folder keeps of the pace of its runs."""

_ASKS_BEFORE_BELIEVING = 3
_KEEP_LEARNED_S = 60.0
_LOOK_S = 0.05
_LONGEST_HINT_S = 300.0
_FORECAST_AFTER = 5
_TICK_S = 1.0


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


@dataclass(slots=True)
class Ending:
    """Why a run came to its end. *cause* is None unless something stopped it."""

    cause: Cause | None = None
    reason: str = ""
    by_user: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Post:
    """One POST under way. Once *intent_begun*, its answer is waited for whatever happens."""

    job: Job
    intent_begun: bool = False
    task: asyncio.Task[Job] | None = None


class _PriceRose(Exception):
    """What is to be reserved for a row rose over the budget since the row was chosen; nothing was sent."""


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
        seed: int | None = None,
    ) -> None:
        self.state = state
        self.limits = limits
        self.ending = Ending()
        self.waiting_for: str | None = None
        self.overdue: set[str] = set()
        self.polls = 0
        self._provider = provider
        self._collector = collector
        self._prices = dict(prices)
        self._polling = polling
        self._now = now
        self._only = only
        self._random = random.Random(seed)  # noqa: S311 - spreads delays, guards nothing
        self._alarm = Alarm()
        self._changed = asyncio.Event()
        self._download_slots = SoonestFirst(limits.downloads)
        self._submits = AsyncLimiter(1, 60.0 / limits.submits_per_min) if limits.submits_per_min else None
        self._contact = Contact()
        self._doubt = DoubtBreaker()
        self._reach = ContactBreaker()
        self._busy = BusyPause()
        self._slots = _slots(limits.in_flight, state.reader.meta(IN_FLIGHT_LEARNED))
        self._to_look_at: set[int] = set()
        self._all_sent = False
        self._ages = Measure()
        self._closed_models: dict[str, str] = {}
        self._unpriced_models: set[str] = set()
        self._same_cause = SameCauseBreaker()
        self._not_sendable: dict[int, str] = {}
        self._carried: set[int] = set()
        self._in_flight: set[int] = set()
        self._collecting: set[int] = set()
        self._sending: set[int] = set()
        self._attempts_to_come = state.attempts_to_come
        self._posts: set[_Post] = set()
        self._new_ids: dict[str, str] = {}
        self._held: dict[int, int] = {}
        self._unheard: set[int] = set()
        self._sent_rows = 0
        self._no_more_submits = not submitting
        self._leave = False

    # ── the run ─────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> Ending:
        """Go on until nothing is left to do, or something stops the run. Ids that were answered are never lost."""
        self._check_disk()
        ticking = asyncio.create_task(self._tick())
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for job in self.state.reader.jobs([State.READY, State.SUBMITTED]):
                    self._start(job)
                await self._feed()
                self._all_sent = True
            await self._keep_learned()
        except asyncio.CancelledError:
            await self._settle_posts()
            raise
        finally:
            ticking.cancel()
        return self.ending

    def stop(self, by_user: bool = True) -> None:
        """Send nothing more; what is in flight is carried to its end."""
        self.ending.by_user |= by_user
        self._no_more_submits = True
        self._wake()

    def leave(self) -> None:
        """Go as soon as the POSTs on the wire are answered and saved."""
        self.stop()
        self._leave = True
        self.state.stop_waiting()
        for post in self._posts:
            if not post.intent_begun and post.task is not None:
                post.task.cancel()
        self._wake()
        self._alarm.ring()

    async def abandon(self) -> list[str]:
        """Go now: POSTs on the wire become doubtful rows. Answers with their ids."""
        self.leave()
        posts = [post for post in self._posts if post.intent_begun]
        for post in posts:
            if post.task is not None:
                post.task.cancel()
        await asyncio.gather(*(post.task for post in posts if post.task), return_exceptions=True)
        return [post.job.row_id for post in posts if post.job.request_id is None]

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def models_missing(self) -> bool:
        """Whether rows could not be sent because the provider does not know their model."""
        return bool(self._closed_models)

    @property
    def rows_unsent(self) -> bool:
        """Whether rows stay pending that this run was to send."""
        return bool(self._not_sendable or self._same_cause.closed)

    @property
    def rows_left(self) -> int:
        """Rows that this run still carries or is to send."""
        counts = self.state.tally.counts
        live = counts[State.SUBMITTING] + counts[State.SUBMITTED] + counts[State.READY]
        return live + (0 if self._no_more_submits else counts[State.PENDING])

    @property
    def left_s(self) -> Range | None:
        """When the last job will have ended, in seconds from now; None until a few have."""
        if self._ages.count < _FORECAST_AFTER:
            return None
        in_flight = len(self._in_flight)
        most = self._slots.limit
        return time_left_s(
            self._ages, max(self.rows_left - in_flight, 0), in_flight, (min(in_flight or most, most), most)
        )

    @property
    def received_bytes(self) -> int:
        return self._collector.received_bytes

    @property
    def posts_on_the_wire(self) -> int:
        return sum(post.intent_begun for post in self._posts)

    # ── which job next ──────────────────────────────────────────────────────────────────────────────────

    async def _feed(self) -> None:
        """Start pending rows as slots, rate and budget allow, until none is left that could still be sent."""
        while not self._stopping():
            now = self._now()
            if (hold_s := self._hold_s(now)) is not None:
                await self._wait_changed(hold_s)
            elif (job := self._next_row(now)) is not None:
                if self._afford(job):
                    await self._start_pending(job)
            elif self._sending or (self._attempts_to_come and self._carried):  # rows that may still come back
                await self._wait_changed(None)
            elif (again_at := self._again_at()) is not None:
                await self._wait_changed(max(again_at - now, 0.01))
            elif self._same_cause.trying:
                self.waiting_for = "a trial row, since many ended for one cause: " + self._same_cause.causes
                await self._wait_changed(_TICK_S)
            else:
                return

    async def _start_pending(self, job: Job) -> None:
        if self._submits is not None:
            await self._submits.acquire()
        if self._stopping():
            self._held.pop(job.key, None)
            return
        self._in_flight.add(job.key)
        self._sending.add(job.key)
        self._same_cause.sent(job.model, job.key)
        self._sent_rows += 1
        self._start(job)

    def _stopping(self) -> bool:
        return self._no_more_submits

    def _hold_s(self, now: float) -> float | None:
        """How long submitting has to wait, at most, before it is asked again; None if it may go on."""
        self.waiting_for = None
        if self._unheard and not self._contact.account_is_right:
            self.waiting_for = "the first answers about jobs of an earlier run"
            return _TICK_S
        if len(self._in_flight) >= self._slots.limit:
            return _TICK_S
        if len(self._collecting) > 2 * self.limits.downloads + self._slots.limit:
            self.waiting_for = "downloads to catch up"
            return _TICK_S
        closed_until, why = max(
            (self._doubt.closed_until, "a pause after POSTs whose answers were lost"),
            (self._reach.closed_until, "the provider to be reachable again"),
            (self._busy.closed_until, "the provider's rate limit"),
        )
        if closed_until > now:
            self.waiting_for = why
            return min(closed_until - now, _TICK_S)
        if self._doubt.one_at_a_time and self._sending:
            self.waiting_for = "the answer to a single trial row"
            return _TICK_S
        return None

    def _next_row(self, by: float) -> Job | None:
        """The first row that may be sent at the time *by*."""
        if self.limits.rows is not None and self._sent_rows >= self.limits.rows:
            return None
        left_out = [*self._carried, *self._not_sendable]
        closed = [*self._closed_models, *self._unpriced_models, *self._same_cause.closed]
        found = self.state.reader.next_pending(1, by, left_out, closed, self._only)
        return found[0] if found else None

    def _again_at(self) -> float | None:
        """When a deferred row comes up again; None if no row is left that this run could send."""
        later = self._next_row(by=float("inf"))
        return None if later is None else later.again_at or self._now()

    def _afford(self, job: Job) -> bool:
        """Hold the price of *job* until its intent reserves it; stop where the budget does not allow it.

        A model of unknown price is closed under a budget; the others go on.
        """
        price_micro = self._price(job)
        if self.limits.budget_micro is None:
            return True
        if price_micro is None:
            reason = f"the price of {job.model} is unknown, so a budget cannot be kept for it; give one with --prices"
            self._unpriced_models.add(job.model)
            self._blame(Cause.BUDGET, reason)
            return False
        if self._hold(job, price_micro):
            return True
        self._stopped(RunStopped(Cause.BUDGET, f"row {job.row_id} would go over the budget"))
        return False

    def _hold(self, job: Job, price_micro: int) -> bool:
        """Keep *price_micro* for *job*, in place of what was kept for it, if the budget allows that."""
        others = sum(self._held.values()) - self._held.get(job.key, 0)
        if not may_reserve(self.state.tally.money, price_micro + others, self.limits.budget_micro):
            return False
        self._held[job.key] = price_micro
        return True

    def _price(self, job: Job) -> int | None:
        price = self._prices.get(job.model)
        return None if price is None else price.reserve_micro(job.units)

    # ── one job, from wherever it is to its end ─────────────────────────────────────────────────────────

    def _start(self, job: Job) -> None:
        if job.state is State.SUBMITTED and job.ended_at is None:
            self._in_flight.add(job.key)
        if job.state is State.SUBMITTED:
            self._unheard.add(job.key)
        self._carried.add(job.key)
        self._tasks.create_task(self._carry(job))

    async def _carry(self, job: Job) -> None:
        steps = {State.PENDING: self._submit, State.SUBMITTED: self._follow, State.READY: self._collect}
        try:
            while (step := steps.get(job.state)) is not None:
                before = job
                job = await step(job)
                self._sending.discard(job.key)
                if job.state is not State.SUBMITTED:
                    self._free_slot(job)
                self._wake()
                self._judge(job)
                if job.state is before.state:
                    self._sent_rows -= job.state is State.PENDING
                    return
        except RunStopped as stopped:
            self._stopped(stopped)
        except DiskFull as full:
            self._stopped(RunStopped(Cause.DISK, f"{full}; free some room and run again"))
        except StateUnusable as unusable:
            self._stopped(RunStopped(Cause.DISK, str(unusable)))
        except OSError as error:  # what the network does comes as an answer: this is the disk
            self._stopped(RunStopped(Cause.DISK, f"row {job.row_id}: {error}; mend that and run again"))
        finally:
            if job.state is not State.SUBMITTED:
                self.overdue.discard(job.row_id)
            self._carried.discard(job.key)
            self._sending.discard(job.key)
            self._free_slot(job)
            self._collecting.discard(job.key)
            self._unheard.discard(job.key)
            self._wake()

    def _judge(self, job: Job) -> None:
        """Tell the breaker of rows that end for one cause how *job* stands."""
        if job.state in (State.READY, State.COLLECTED):
            self._same_cause.succeeded(job.model)
        elif job.state is State.FAILED:
            cause = self._same_cause.failed(job.model, job.key, job.reason or "")
            if cause is not None:
                self.ending.notes.append(
                    f"nothing more of {job.model} was sent: one row after another ended for one cause ({job.reason}); "
                    "the others stay pending, mend the manifest and run again"
                )
        elif job.state is not State.SUBMITTED:
            self._same_cause.undecided(job.model, job.key)

    async def _record(self, job: Job, event: Event) -> Job:
        return await self.state.record(job, event)

    # ── submit ──────────────────────────────────────────────────────────────────────────────────────────

    async def _submit(self, job: Job) -> Job:
        """One POST, shielded: whoever is cancelled, an answer that is on its way is waited for and saved."""
        post = _Post(job)
        post.task = asyncio.create_task(self._post(post))
        self._posts.add(post)
        post.task.add_done_callback(lambda _: self._posts.discard(post))
        try:
            return await asyncio.shield(post.task)
        except asyncio.CancelledError:
            if post.task.cancelled():  # left before anything was sent
                return job
            raise

    async def _post(self, post: _Post) -> Job:
        async def write_intent() -> None:
            price_micro = self._price(post.job)
            if price_micro is not None and not self._hold(post.job, price_micro):
                raise _PriceRose
            post.intent_begun = True
            post.job = await self._record(post.job, Intent(self._now(), price_micro))
            self._held.pop(post.job.key, None)

        try:
            body = await asyncio.to_thread(body_of, post.job) if post.job.files else dict(post.job.input)
            answer = await self._provider.submit(post.job.model, body, write_intent)
        except InputChanged as changed:
            self._not_sendable[post.job.key] = str(changed)
            self.ending.notes.append(f"row {post.job.row_id} was not sent: {changed}")
            return post.job
        except _PriceRose:  # a cost above the list came while this row waited for a connection
            return post.job
        except asyncio.CancelledError:
            if post.job.state is State.SUBMITTING:
                lost = ContactLost(self._now(), "the run was told to leave before the answer came")
                post.job = await self._record(post.job, lost)
            raise
        finally:
            self._held.pop(post.job.key, None)
        return await self._answered(post, answer)

    async def _answered(self, post: _Post, answer: SubmitAnswer) -> Job:
        """Write down what an answer to the POST means, before anything else happens; then tell the breakers."""
        now = self._now()
        roll = self._random.random()
        if isinstance(answer, NotSent):
            self._reach.failed(now, roll)
            self._check_reach(answer.reason)
            return post.job
        if isinstance(answer, Taken) and (other := self._row_of(answer.request_id)) is not None:
            answer = Lost(f"the answer holds {answer.request_id}, which is the request of row {other}")
        if isinstance(answer, Taken):
            self._new_ids[answer.request_id] = post.job.row_id
        post.job = await self._record(post.job, self._meaning(answer, now, roll))
        if isinstance(answer, Taken):
            self._new_ids.pop(answer.request_id)
        match answer:
            case Taken():
                self._contact.account_is_right = True
                self._reach.succeeded()
                self._doubt.accepted()
                self._busy.accepted()
                if self._slots.accepted(post.job.key):
                    self._to_look_at.add(post.job.key)
            case AccountBlocked(cause, reason):
                raise RunStopped(cause, reason)
            case ModelMissing(reason):
                self._closed_models[post.job.model] = reason
                self.ending.notes.append(f"model {post.job.model} is not available: {reason}")
            case Lost(reason):
                self._doubt.doubt(now, roll)
                if self._doubt.hopeless:
                    raise RunStopped(
                        Cause.PROVIDER, f"{self._doubt.in_a_row} answers in a row were lost; last: {reason}"
                    )
            case Busy():
                self._reach.succeeded()
                self._slots.busy(now, self._busy.closed_until)
            case Rejected():
                self._reach.succeeded()
        return post.job

    def _row_of(self, request_id: str) -> str | None:
        """The row that has *request_id* already: a cache on the way may answer two POSTs alike."""
        known = self.state.reader.job_of(request_id)
        return self._new_ids.get(request_id) if known is None else known.row_id

    def _meaning(self, answer: SubmitAnswer, now: float, roll: float) -> Event:
        match answer:
            case Taken(request_id):
                return Accepted(now, request_id)
            case Busy(reason, retry_after_s):
                return Deferred(now, reason, self._busy.busy(now, retry_after_s, roll))
            case ModelMissing(reason) | AccountBlocked(_, reason):
                return Deferred(now, reason, now)
            case Rejected(reason):
                return Refused(now, reason)
            case Lost(reason):
                return ContactLost(now, reason)
            case NotSent():
                raise AssertionError("a row that was not sent has nothing to write down")

    def _check_reach(self, reason: str) -> None:
        if self._reach.hopeless(self._now()):
            raise RunStopped(Cause.PROVIDER, f"{reason}; check the network and the API base, then run again")

    # ── poll ────────────────────────────────────────────────────────────────────────────────────────────

    async def _follow(self, job: Job) -> Job:
        """Ask until the job has ended. Errors while asking never change what became of it."""
        asked = _Asked()
        fresh = job.key not in self._unheard and job.ended_at is None
        nap_s = self._nap_s(job, asked) if fresh else 0.0
        if job.key in self._to_look_at:
            self._to_look_at.discard(job.key)
            nap_s = min(nap_s, _LOOK_S)
        while True:
            await self._alarm.sleep(nap_s)
            if self._leave:
                return job
            event = await self._ask(job, asked)
            if event is not None:
                if fresh and asked.ended_s is not None:
                    self._polling.ended(job.model, asked.ended_s, asked.alive_s)
                    self._ages.add(asked.ended_s)
                return await self._measured(job, event)
            nap_s = self._nap_s(job, asked)
            if not 0 < asked.unanswered < self._contact.sure_after:  # else it is not known yet what the answer means
                self._mark_overdue(job)

    def _nap_s(self, job: Job, asked: _Asked) -> float:
        if asked.unanswered:
            return max(_POLL_TROUBLE.delay_s(asked.unanswered, self._random.random()), asked.hint_s)
        if asked.over is not None or job.ended_at is not None:
            return 1.0 + asked.hollow
        return self._polling.next_poll_s(job.model, self._age_s(job), self._crowd(), self._random.random())

    def _crowd(self) -> Crowd:
        if self._all_sent or self._no_more_submits:
            return Crowd(len(self._in_flight), Lag.THE_END)
        return Crowd(len(self._in_flight), Lag.HIDDEN if self._slots.hides_lag else Lag.A_SLOT)

    def _age_s(self, job: Job) -> float:
        return self._now() - (job.submitted_at or 0.0)

    async def _ask(self, job: Job, asked: _Asked) -> Event | None:
        """One question about *job*; the event it brought, if any."""
        assert job.request_id is not None
        self.polls += 1
        if asked.over is None and job.ended_at is None:
            status = await self._provider.status(job.request_id)
            match status:
                case Over():
                    asked.over = status
                    asked.ended_s = self._age_s(job)
                    self._free_slot(job)
                    self._collecting.add(job.key)
                    self._wake()
                case Waiting(running):
                    self._heard(job, asked)
                    asked.alive_s = self._age_s(job)
                    if running is not None:
                        (self._slots.seen_running if running else self._slots.seen_queued)(job.key)
                    self._wake()
                    return None
                case _:
                    return self._no_answer(job, asked, status)
        result = await self._provider.result(job.request_id)
        match result:
            case Success() | Failure() | Cancelled() | Waiting():
                self._heard(job, asked)
                return self._outcome(asked, result)
            case _:
                return self._no_answer(job, asked, result)

    def _free_slot(self, job: Job) -> None:
        """The job no longer takes one of the account's slots."""
        self._in_flight.discard(job.key)
        self._slots.ended(job.key)

    def _heard(self, job: Job, asked: _Asked) -> None:
        asked.unanswered = 0
        self._contact.answered(job.key)
        self._reach.succeeded()
        self._unheard.discard(job.key)

    def _outcome(self, asked: _Asked, result: Success | Failure | Cancelled | Waiting) -> Event | None:
        now = self._now()
        match result:
            case Success(outputs, cost_micro) if outputs:
                return Succeeded(now, outputs, cost_micro)
            case Failure(reason, cost_micro):
                return JobFailed(now, reason, Billed.YES, cost_micro)
            case Cancelled(cost_micro):
                return JobCancelled(now, "cancelled at the provider", cost_micro)
        asked.hollow += 1
        if asked.hollow < _ASKS_BEFORE_BELIEVING:
            return None
        if isinstance(result, Success):
            return JobFailed(now, "the result holds no files", Billed.YES, result.cost_micro)
        return self._status_has_the_word(asked, now)

    def _status_has_the_word(self, asked: _Asked, now: float) -> Event | None:
        """The result keeps saying "not yet" while the status says how it ended: a success waits, others end."""
        word = asked.over.word if asked.over else ""
        if word == "failed":
            reason = (asked.over.error if asked.over else None) or "the status says failed"
            return JobFailed(now, reason, Billed.YES)
        if word.startswith("cancel"):
            return JobCancelled(now, "cancelled at the provider")
        asked.over = None
        return None

    def _no_answer(self, job: Job, asked: _Asked, answer: Unknown | NoNews | AccountBlocked) -> Event | None:
        asked.unanswered += 1
        match answer:
            case AccountBlocked(cause, reason):
                raise RunStopped(cause, reason)
            case NoNews(reason, contact, retry_after_s):
                asked.hint_s = min(retry_after_s or 0.0, _LONGEST_HINT_S)
                if not contact:
                    self._reach.failed(self._now(), self._random.random())
                    self._check_reach(reason)
                if asked.unanswered > 1:
                    self._unheard.discard(job.key)
            case Unknown(reason):
                return self._not_found(job, reason)
        return None

    def _not_found(self, job: Job, reason: str) -> Event | None:
        """A 404 on an id says little: it may be another account's key. See `pacing.Contact`."""
        if not self._contact.not_found(job.key):
            return None
        now = self._now()
        if self._contact.gone_for_good(job.key, now - (job.submitted_at or now)):
            return JobFailed(now, f"the provider no longer knows the request: {reason}", Billed.UNKNOWN)
        counts = self.state.tally.counts
        if self._contact.nobody_answers(counts[State.SUBMITTED]):
            raise RunStopped(
                Cause.TOKEN,
                f"the provider knows none of this folder's requests ({reason}): either the token belongs to another "
                "account, or the requests have expired; rows stay submitted",
            )
        self._unheard.discard(job.key)
        return None

    async def _measured(self, job: Job, event: Event) -> Job:
        """Record an outcome; a cost above the reserve raises what is reserved for the rows that follow."""
        cost_micro = getattr(event, "cost_micro", None)
        if cost_micro is not None and (price := self._prices.get(job.model)) is not None:
            self._prices[job.model] = price.having_seen(cost_micro, job.units)
        return await self._record(job, event)

    def _mark_overdue(self, job: Job) -> None:
        if self._now() - (job.submitted_at or 0.0) > self.limits.job_timeout_s:
            self.overdue.add(job.row_id)
        if not self.overdue or len(self._carried) > len(self.overdue):
            return
        if self._no_more_submits or self._again_at() is None:  # nothing is left but rows overdue
            self._leave = True
            self._alarm.ring()

    # ── collect ─────────────────────────────────────────────────────────────────────────────────────────

    async def _collect(self, job: Job) -> Job:
        self._collecting.add(job.key)
        earlier = (
            [attempt for attempt in self.state.reader.attempts(job.row_id) if attempt.n < job.n] if job.n > 1 else []
        )
        while not self._leave:
            async with self._download_slots.at(self._collector.expires_at(job)):
                outcome = await self._collector.collect(job, earlier)
            match outcome:
                case Collected():
                    return await self._late_cost(await self._record(job, outcome), earlier)
                case JobFailed():
                    return await self._record(job, outcome)
                case TryLater(_, after_s, expired):
                    await self._alarm.sleep(after_s)
                    if expired:
                        self._collecting.discard(job.key)
                        return await self._record(job, LinksExpired(self._now()))
        return job

    async def _late_cost(self, job: Job, earlier: list[Job]) -> Job:
        """The cost may come after the result: ask once more when the files are safe."""
        self._collecting.discard(job.key)
        if job.cost_micro is not None or job.request_id is None:
            return job
        result = await self._provider.result(job.request_id)
        if not isinstance(result, Success) or result.cost_micro is None:
            return job
        job = await self._measured(job, CostKnown(self._now(), result.cost_micro))
        await asyncio.to_thread(self._collector.rewrite_sidecar, job, earlier)
        return job

    # ── time, disk, and the end ─────────────────────────────────────────────────────────────────────────

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        ahead_s = self._now() - loop.time()
        beat_at = 0.0
        keep_at = loop.time() + _KEEP_LEARNED_S
        while True:
            await asyncio.sleep(_TICK_S)
            slept_s = self._now() - loop.time() - ahead_s
            if slept_s > SLEPT_S:
                await self._after_sleep(slept_s)
            ahead_s += slept_s
            if loop.time() >= keep_at:
                keep_at = loop.time() + _KEEP_LEARNED_S
                await self._keep_learned()
            if loop.time() >= beat_at:
                self.state.beat()
                beat_at = loop.time() + HEARTBEAT_S
            self._check_disk()
            self._wake()

    def _check_disk(self) -> None:
        free_bytes = shutil.disk_usage(self.state.folder.path).free
        if free_bytes < self.limits.min_free_bytes and not self._no_more_submits:
            self._stopped(RunStopped(Cause.DISK, f"only {free_bytes >> 20} MiB are free; make room and run again"))

    async def _after_sleep(self, slept_s: float) -> None:
        """Pooled connections are dead and much may have ended: ask about everything once, then submit."""
        self.ending.notes.append(f"the machine slept for {slept_s / 60:.0f} min; every job was asked about again")
        await self._provider.drop_connections()
        self._contact.account_is_right = False
        self._unheard |= {key for key in self._carried if key in self._in_flight}
        self._alarm.ring()

    def _blame(self, cause: Cause, reason: str) -> None:
        if self.ending.cause is None:
            self.ending.cause, self.ending.reason = cause, reason

    def _stopped(self, stopped: RunStopped) -> None:
        """The first cause is the one reported. An account or disk that is of no use ends the waiting as well."""
        self._blame(stopped.cause, stopped.reason)
        self._no_more_submits = True
        if stopped.cause in (Cause.TOKEN, Cause.PROVIDER):
            self._leave = True
            self._alarm.ring()
        self._wake()

    async def _keep_learned(self) -> None:
        """Leave what this run learned of the provider's pace for the folder's next."""
        learned = {POLLING_LEARNED: json.dumps(self._polling.learned())}
        if isinstance(self._slots, AutoInFlight) and self._slots.learned is not None:
            learned[IN_FLIGHT_LEARNED] = str(self._slots.learned)
        with suppress(StateUnusable):  # a full disk; the run has ended all the same
            await self.state.set_meta(**learned)

    async def _settle_posts(self) -> None:
        tasks = [post.task for post in self._posts if post.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    def _wake(self) -> None:
        self._changed.set()

    async def _wait_changed(self, timeout_s: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return


_POLL_TROUBLE = Backoff(0.5, 30.0)


@dataclass(slots=True)
class _Asked:
    """What asking about one job has brought so far."""

    over: Over | None = None
    unanswered: int = 0
    hollow: int = 0
    alive_s: float = 0.0
    ended_s: float | None = None
    hint_s: float = 0.0


def _slots(in_flight: int | None, learned: str | None) -> InFlight:
    """The limit on jobs at the provider; without a number it starts from half of what an earlier run learned."""
    if in_flight is not None:
        return FixedInFlight(in_flight)
    start = int(learned) // 2 if learned is not None and learned.isdigit() else 0
    return AutoInFlight(start=start) if start else AutoInFlight()
