"""The step that costs money: one intent, one POST, and what its answer means."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from batchgen.core import log
from batchgen.core.job import Accepted, ContactLost, Deferred, Event, Intent, Job, Refused, State
from batchgen.providers.contract import (
    AccountBlocked,
    Busy,
    Cause,
    Lost,
    ModelMissing,
    NotSent,
    Provider,
    Rejected,
    RunStopped,
    SubmitAnswer,
    Taken,
)
from batchgen.scheduler import fault
from batchgen.scheduler.control import RunControl
from batchgen.scheduler.pacing import InFlight
from batchgen.scheduler.reservations import Afford, Reservations
from batchgen.state import Record, StateFile, StateUnusable
from batchgen.storage.inputs import InputChanged, body_of


class _NotNow(Exception):
    """What allowed a row to be sent no longer holds since it began to wait for a connection; nothing was sent."""


@dataclass(slots=True, eq=False)
class _Post:
    """One POST under way. Once *intent_begun*, its answer is waited for whatever happens; once *released*, its bytes
    may be on the wire, since *sent_at*.
    """

    job: Job
    intent_begun: bool = False
    released: bool = False
    sent_at: float = 0.0
    answer: SubmitAnswer | None = None
    task: asyncio.Task[Job] | None = None


class Submitter:
    """Sends rows, and remembers what the provider would not take.

    *awaited* are the keys of rows whose POST has begun, until it is accepted or has ended in any other way.
    """

    def __init__(
        self, state: StateFile, provider: Provider, course: RunControl, purse: Reservations, slots: InFlight
    ) -> None:
        self.not_sendable: dict[int, str] = {}
        self.to_look_at: set[int] = set()
        self.awaited: set[int] = set()
        self._state = state
        self._provider = provider
        self._course = course
        self._purse = purse
        self._slots = slots
        self._posts: set[_Post] = set()
        self._begun: dict[int, _Post] = {}
        self._new_ids: dict[str, str] = {}

    def begin(self, job: Job) -> None:
        """Begin the POST that `submit` will wait for: a turn of the event loop sooner, while a slot stands empty."""
        post = self._begun[job.key] = _Post(job)
        post.task = asyncio.create_task(self._post(post))
        self._posts.add(post)
        self.awaited.add(job.key)
        post.task.add_done_callback(lambda _: self._is_over(post))

    def _is_over(self, post: _Post) -> None:
        self._posts.discard(post)
        self.awaited.discard(post.job.key)

    async def submit(self, job: Job) -> Job:
        """One POST, shielded: whoever is cancelled, an answer that is on its way is waited for and saved."""
        post = self._begun.pop(job.key)
        assert post.task is not None
        try:
            return await asyncio.shield(post.task)
        except asyncio.CancelledError:
            if post.task.cancelled():  # left before anything was sent
                return job
            raise

    @property
    def on_the_wire(self) -> int:
        return sum(post.intent_begun for post in self._posts)

    def drop_unsent(self) -> None:
        """Give up POSTs that have no intent yet: nothing of them was sent."""
        for post in self._posts:
            if not post.intent_begun and post.task is not None:
                post.task.cancel()

    async def abandon(self) -> list[str]:
        """Do not wait for answers: their rows become doubtful. Answers with their ids."""
        posts = [post for post in self._posts if post.intent_begun]
        for post in posts:
            if post.task is not None:
                post.task.cancel()
        await asyncio.gather(*(post.task for post in posts if post.task), return_exceptions=True)
        return [post.job.row_id for post in posts if post.job.state in (State.SUBMITTING, State.IN_DOUBT)]

    async def settle(self) -> None:
        """Return when every POST under way is answered and saved."""
        tasks = [post.task for post in self._posts if post.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    async def _post(self, post: _Post) -> Job:
        try:
            return await self._sent(post)
        except (RunStopped, StateUnusable, OSError):
            raise
        except Exception as error:
            await self._left_by_a_fault(post, fault.in_words(error))
            raise

    async def _left_by_a_fault(self, post: _Post, reason: str) -> None:
        """Write down how far a row had come, as little as is known. In this run it is not sent again in any case."""
        self.not_sendable[post.job.key] = reason
        if post.job.state is not State.SUBMITTING:
            return
        now = self._course.now()
        if isinstance(post.answer, Taken):
            await self._record(post, Accepted(now, post.answer.request_id))
        elif post.released:
            await self._record(post, ContactLost(now, reason))
            self._doubted(now, self._course.roll(), reason)
        else:
            await self._record(post, Deferred(now, reason, now))

    async def _sent(self, post: _Post) -> Job:
        async def write_intent() -> None:
            price_micro = self._purse.price_micro(post.job)
            if self._is_closed(post.job) or self._purse.hold(post.job) is not Afford.YES:
                raise _NotNow
            post.intent_begun = True
            await self._keep(post, self._state.recording(post.job, Intent(self._course.now(), price_micro)))
            self._purse.let_go(post.job)
            post.released, post.sent_at = True, self._course.now()

        log.bind(row=post.job.row_id, n=post.job.n, request_id=None)
        try:
            body = await asyncio.to_thread(body_of, post.job) if post.job.files else dict(post.job.input)
            post.answer = await self._provider.submit(post.job.model, body, write_intent)
        except InputChanged as changed:
            self.not_sendable[post.job.key] = str(changed)
            self._course.ending.notes.append(f"row {post.job.row_id} was not sent: {changed}")
            return post.job
        except _NotNow:
            return post.job
        except asyncio.CancelledError:
            if post.job.state is State.SUBMITTING:
                await self._record(post, self._left_behind(post))
            raise
        finally:
            self._purse.let_go(post.job)
        return await self._answered(post, post.answer)

    async def _keep(self, post: _Post, recording: Record) -> None:
        """As `_record`, for a move that ends no job, and without a task of its own: each turn of the event loop until
        the POST is a slot left empty.
        """
        try:
            await recording.durable()
        finally:
            post.job = await recording.durable()

    async def _record(self, post: _Post, event: Event) -> None:
        """Take *event* to disk. Cancelled or not, `post.job` is then what the disk says."""
        recording = asyncio.ensure_future(self._state.record(post.job, event))
        try:
            await asyncio.shield(recording)
        finally:
            post.job = await recording

    def _left_behind(self, post: _Post) -> Event:
        """What it means for a row with an intent that the run leaves now."""
        now = self._course.now()
        if post.released:
            return ContactLost(now, "the run was told to leave before the answer came")
        return Deferred(now, "the run was told to leave before it was sent", now)

    def _is_closed(self, job: Job) -> bool:
        """Whether submitting was stopped, or paused for all or for the model."""
        # A row beyond the budget stops those that follow it; what is held for this one is still its own.
        stopped = not self._course.submits and self._course.ending.cause is not Cause.BUDGET
        return stopped or self._course.breakers.closed_to(job.model, self._course.now())

    async def _answered(self, post: _Post, answer: SubmitAnswer) -> Job:
        """Write down what an answer to the POST means, before anything else happens; then tell the breakers."""
        if isinstance(answer, NotSent):
            if post.intent_begun:  # the connection went while the intent was written
                now = self._course.now()
                await self._record(post, Deferred(now, answer.reason, now))
            self._course.out_of_reach(answer.reason)
            return post.job
        if isinstance(answer, Taken) and (other := self._row_of(answer.request_id)) is not None:
            post.answer = answer = Lost(f"the answer holds {answer.request_id}, which is the request of row {other}")
        now, roll, breakers = self._course.now(), self._course.roll(), self._course.breakers
        if isinstance(answer, Taken):
            self._new_ids[answer.request_id] = post.job.row_id
            # At once: refusals that are answered while the disk works are judged by what was accepted before them.
            if breakers.rate.accepted(post.sent_at):
                self._slots.busy_by_chance()
        meaning = self._meaning(answer, post.sent_at, now, roll)
        if isinstance(answer, Taken):
            recording = self._state.recording(post.job, meaning)
            self.awaited.discard(post.job.key)  # another may go out while the disk takes this one's id
            self._course.wake()
            await self._keep(post, recording)
            self._new_ids.pop(answer.request_id)
        else:
            await self._record(post, meaning)
        match answer:
            case Taken():
                self._taken(post.job)
            case AccountBlocked(Cause.BALANCE, reason) if breakers.waits_for_balance:
                breakers.no_balance(now, roll, reason)
            case AccountBlocked(cause, reason):
                raise RunStopped(cause, reason)
            case ModelMissing(reason):
                if post.job.model not in breakers.models_missing:
                    self._course.ending.notes.append(f"model {post.job.model} is not available: {reason}")
                breakers.no_model(post.job.model, now, roll, reason)
            case Lost(reason):
                self._doubted(now, roll, reason)
            case Busy() | Rejected():
                breakers.answered()
        return post.job

    def _doubted(self, now: float, roll: float, reason: str) -> None:
        breakers = self._course.breakers
        breakers.doubted(now, roll, reason)
        if breakers.doubt.hopeless:
            why = f"{breakers.doubt.in_a_row} answers in a row were lost; last: {reason}"
            self._course.send_no_more(Cause.PROVIDER, why)

    def _row_of(self, request_id: str) -> str | None:
        """The row that has *request_id* already: a cache on the way may answer two POSTs alike."""
        try:
            known = self._state.reader.row_of(request_id)
        except StateUnusable:  # an id that was paid for is written down whatever cannot be read
            known = None
        return self._new_ids.get(request_id) if known is None else known

    def _taken(self, job: Job) -> None:
        self._course.contact.account_is_right = True
        self._course.breakers.taken(job.model)
        if self._slots.accepted(job.key):
            self.to_look_at.add(job.key)

    def _meaning(self, answer: SubmitAnswer, sent_at: float, now: float, roll: float) -> Event:
        match answer:
            case Taken(request_id):
                return Accepted(now, request_id)
            case Busy(reason, retry_after_s):
                breakers = self._course.breakers
                again_at = breakers.too_many(now, sent_at, retry_after_s, roll, reason)
                if breakers.rate.closed_until > now:
                    self._slots.busy(now, again_at)
                return Deferred(now, reason, again_at)
            case ModelMissing(reason) | AccountBlocked(_, reason):
                return Deferred(now, reason, now)
            case Rejected(reason):
                return Refused(now, reason)
            case Lost(reason):
                return ContactLost(now, reason)
            case NotSent():
                raise AssertionError("a row that was not sent has nothing to write down")
