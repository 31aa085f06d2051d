"""The step that waits: ask until a job has ended. Errors while asking never change what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from batchgen.core.job import Billed, Event, Job, JobCancelled, JobFailed, State, Succeeded
from batchgen.providers.contract import (
    AccountBlocked,
    Cancelled,
    Cause,
    Failure,
    NoNews,
    Over,
    Provider,
    RunStopped,
    Success,
    Unknown,
    Waiting,
)
from batchgen.scheduler.control import RunControl
from batchgen.scheduler.pacing import Backoff, Crowd, InFlight, Lag, Measure, PollPolicy
from batchgen.scheduler.reservations import Reservations
from batchgen.state import StateFile

_ASKS_BEFORE_BELIEVING = 3
_LONGEST_HINT_S = 300.0
_LOOK_S = 0.05
_TROUBLE = Backoff(0.5, 30.0)


@dataclass(slots=True)
class _Asked:
    """What asking about one job has brought so far. *asked_s* is its age at the last question, *due_s* the age at
    which that was due.
    """

    over: Over | None = None
    unanswered: int = 0
    hollow: int = 0
    asked_s: float | None = None
    due_s: float | None = None
    alive_s: float = 0.0
    ended_s: float | None = None
    hint_s: float = 0.0


class Poller:
    """Polls jobs, and knows which of the account's slots they take.

    *unheard* are jobs of an earlier run, or from before the machine slept, that have not been asked about yet.
    *over* have ended, and their result is not known yet. *ages* are the seconds after which jobs ended.
    """

    def __init__(
        self,
        state: StateFile,
        provider: Provider,
        course: RunControl,
        purse: Reservations,
        slots: InFlight,
        polling: PollPolicy,
        job_timeout_s: float,
        look_again: Callable[[], None],
    ) -> None:
        self.in_flight: set[int] = set()
        self.unheard: set[int] = set()
        self.over: set[int] = set()
        self.ages = Measure()
        self.all_sent = False
        self.polls = 0
        self._state = state
        self._provider = provider
        self._course = course
        self._purse = purse
        self._slots = slots
        self._polling = polling
        self._job_timeout_s = job_timeout_s
        self._look_again = look_again

    async def follow(self, job: Job, soon: bool) -> Job:
        """*job* once it has ended, or as it is when the run leaves. *soon* asks for an early first look."""
        asked = _Asked()
        fresh = job.key not in self.unheard and job.ended_at is None
        nap_s = self._nap_s(job, asked) if fresh else 0.0
        if soon:
            nap_s = min(nap_s, _LOOK_S)
        while True:
            if not await self._course.nap(nap_s):
                return job
            event = await self._course.unless_told_to_leave(self._ask(job, asked))
            if event is not None:
                if fresh and asked.ended_s is not None:
                    self._polling.ended(job.model, asked.ended_s, asked.alive_s)
                    self.ages.add(asked.ended_s)
                return await self._ended(job, event)
            nap_s = self._nap_s(job, asked)
            unsure = 0 < asked.unanswered < self._course.contact.sure_after
            if not unsure and not self._course.breakers.silence_is_waited_out:
                self._mark_overdue(job)

    def free_slot(self, job: Job) -> None:
        """The job no longer takes one of the account's slots."""
        self.in_flight.discard(job.key)
        self._slots.ended(job.key)

    def forget(self, job: Job) -> None:
        """The run no longer carries *job*."""
        self.free_slot(job)
        self.unheard.discard(job.key)
        self.over.discard(job.key)
        if job.state not in (State.SUBMITTED, State.READY):
            self._course.overdue.pop(job.key, None)

    async def _ended(self, job: Job, event: Event) -> Job:
        self.over.discard(job.key)
        self._course.overdue.pop(job.key, None)
        self._purse.seen(job, getattr(event, "cost_micro", None))
        return await self._state.record(job, event)

    # ── when to ask ─────────────────────────────────────────────────────────────────────────────────────

    def _nap_s(self, job: Job, asked: _Asked) -> float:
        due_s, asked.due_s = asked.due_s, None
        if asked.unanswered:
            return max(_TROUBLE.delay_s(asked.unanswered, self._course.roll()), asked.hint_s)
        if asked.over is not None or job.ended_at is not None:
            return 1.0 + asked.hollow
        age_s = self._age_s(job)
        asked_s = age_s if asked.asked_s is None else asked.asked_s
        late_s = 0.0 if due_s is None else max(asked_s - due_s, 0.0)
        delay_s = self._polling.next_poll_s(job.model, asked_s, self._crowd(), self._course.roll(), late_s)
        asked.due_s = asked_s + delay_s
        # From the last question on, however long its answer took, and whatever became of the clock meanwhile.
        return min(max(asked.due_s - age_s, delay_s / 2), delay_s)

    def _crowd(self) -> Crowd:
        if self.all_sent or not self._course.submits:
            return Crowd(len(self.in_flight), Lag.THE_END)
        return Crowd(len(self.in_flight), Lag.HIDDEN if self._slots.hides_lag else Lag.A_SLOT)

    def _age_s(self, job: Job) -> float:
        return max(self._course.now() - (job.submitted_at or 0.0), 0.0)  # the clock may have been set since

    def _mark_overdue(self, job: Job) -> None:
        if self._age_s(job) > self._job_timeout_s:
            self._course.mark_overdue(job)

    # ── what was answered ───────────────────────────────────────────────────────────────────────────────

    async def _ask(self, job: Job, asked: _Asked) -> Event | None:
        """One question about *job*; the event it brought, if any."""
        assert job.request_id is not None
        self.polls += 1
        asked.asked_s = self._age_s(job)
        if asked.over is None and job.ended_at is None:
            status = await self._provider.status(job.request_id)
            match status:
                case Over():
                    asked.over = status
                    asked.ended_s = self._age_s(job)
                    self.over.add(job.key)
                    self.free_slot(job)
                    self._look_again()
                case Waiting(running):
                    asked.alive_s = asked.asked_s
                    self._is_waiting(job, asked, running)
                    return None
                case _:
                    return self._no_answer(job, asked, status)
        result = await self._provider.result(job.request_id, job.model)
        match result:
            case Success() | Failure() | Cancelled() | Waiting():
                self._heard(job, asked)
                return self._outcome(asked, result)
            case _:
                return self._no_answer(job, asked, result)

    def _is_waiting(self, job: Job, asked: _Asked, running: bool | None) -> None:
        self._heard(job, asked)
        if running is not None:
            (self._slots.seen_running if running else self._slots.seen_queued)(job.key)
        self._look_again()

    def _heard(self, job: Job, asked: _Asked) -> None:
        asked.unanswered = 0
        self._course.contact.answered(job.key)
        self._course.breakers.answered()
        self.unheard.discard(job.key)

    def _outcome(self, asked: _Asked, result: Success | Failure | Cancelled | Waiting) -> Event | None:
        now = self._course.now()
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
        return _status_has_the_word(asked, now)

    def _no_answer(self, job: Job, asked: _Asked, answer: Unknown | NoNews | AccountBlocked) -> Event | None:
        asked.unanswered += 1
        match answer:
            case AccountBlocked(cause, reason):
                raise RunStopped(cause, reason)
            case NoNews(reason, contact, retry_after_s):
                asked.hint_s = min(retry_after_s or 0.0, _LONGEST_HINT_S)
                if contact:
                    self._course.breakers.server_error(self._course.now(), reason)
                else:
                    self._course.out_of_reach(reason)
                if asked.unanswered > 1:
                    self.unheard.discard(job.key)
            case Unknown(reason):
                return self._not_found(job, reason)
        return None

    def _not_found(self, job: Job, reason: str) -> Event | None:
        """A 404 on an id says little: it may be another account's key. See `pacing.Contact`."""
        contact = self._course.contact
        if not contact.not_found(job.key):
            return None
        now = self._course.now()
        if contact.gone_for_good(job.key, now - (job.submitted_at or now)):
            return JobFailed(now, f"the provider no longer knows the request: {reason}", Billed.UNKNOWN)
        if contact.nobody_answers(self._state.tally.counts[State.SUBMITTED]):
            raise RunStopped(
                Cause.TOKEN,
                f"the provider knows none of this folder's requests ({reason}): either the token belongs to another "
                "account, or the requests have expired; rows stay submitted",
            )
        self.unheard.discard(job.key)
        return None


def _status_has_the_word(asked: _Asked, now: float) -> Event | None:
    """The result keeps saying "not yet" while the status says how it ended: a success waits, others end."""
    word = asked.over.word if asked.over else ""
    if word == "failed":
        reason = (asked.over.error if asked.over else None) or "the status says failed"
        return JobFailed(now, reason, Billed.YES)
    if word.startswith("cancel"):
        return JobCancelled(now, "cancelled at the provider")
    asked.over = None
    return None
