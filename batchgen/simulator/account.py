"""The account: its jobs, the queue they wait in, the slots they run in, and the wallet they are paid from.

No I/O and no clock: *now_s* comes in. A job costs no timer; whoever asks first moves the queue up to *now_s*, and a
slot that came free goes to the next job at the moment it came free, not at the moment of asking.
"""

import hashlib
import heapq
import uuid
from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.simulator.faults import FaultPlan, Strike, roll
from batchgen.simulator.timing import Latency

IN_QUEUE, IN_PROGRESS, SUCCEEDED, FAILED, CANCELLED = (
    "in_queue",
    "in_progress",
    "succeeded",
    "failed",
    "cancelled",
)

# What `error` of a failed job looks like, in turn.
ERRORS: tuple[Any, ...] = (
    "the model refused the prompt",
    {"type": "content_policy", "message": "input image was rejected", "retryable": False},
    [{"errorCode": 50001, "error": "worker ran out of memory", "debugInfo": ""}],
    None,
    "upstream said: timeout 429",
)


@dataclass(slots=True)
class Job:
    """One accepted POST. Times are seconds since the epoch on the server's clock; money is micro-dollars."""

    number: int
    request_id: str
    owner: str
    model_id: str
    body_sha256: str
    body: bytes | Path
    asked: int
    made: int
    list_price_micro: int
    charged_micro: int
    submitted_at_s: float
    runs_s: float
    ends_as: str
    error: Any
    strikes: dict[str, Strike]
    state: str = IN_QUEUE
    place: int = 0
    started_at_s: float | None = None
    ended_at_s: float | None = None
    status_reads: int = 0
    result_reads: int = 0
    answered: bool = False
    malformed: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        return self.ended_at_s is not None


@dataclass(frozen=True)
class Submission:
    """A valid POST: whose, for which model, its body and what the list says it costs."""

    owner: str
    model_id: str
    body_sha256: str
    body: bytes | Path
    asked: int
    list_price_micro: int
    rejected_later: str | None = None

    @property
    def same(self) -> str:
        """Equal for two POSTs exactly when the second would be paying twice."""
        return f"{self.model_id}:{self.body_sha256}"


class Account:
    """Jobs in the order they came, run first in first out, at most *concurrency* at once.

    `max_in_progress` is the most that ever ran at once. `wallet_micro` is None for a wallet without a bottom.
    """

    def __init__(self, seed: int, concurrency: int, wallet_micro: int | None) -> None:
        self.seed = seed
        self.concurrency = concurrency
        self.wallet_micro = wallet_micro
        self.jobs: dict[str, Job] = {}
        self.charged_micro = 0
        self.max_in_progress = 0
        self._seen: Counter[str] = Counter()
        self._queue: deque[Job] = deque()
        self._queued = 0
        self._placed = 0
        self._left = 0
        self._cancelled_places: list[int] = []
        self._failures = 0
        self._running: list[tuple[float, int, Job]] = []

    @property
    def in_queue(self) -> int:
        return self._queued

    @property
    def in_progress(self) -> int:
        return len(self._running)

    def can_pay(self, price_micro: int) -> bool:
        return self.wallet_micro is None or self.wallet_micro >= price_micro

    def accept(self, submission: Submission, plan: FaultPlan, latency: Latency, now_s: float) -> Job:
        """Charge for *submission* and queue its job. How long it runs and how it ends hang on the seed, its body
        and how often that body came before, not on the order in which bodies arrive."""
        occurrence = self._seen[submission.same]
        self._seen[submission.same] += 1
        job = self._job(submission, occurrence, plan, latency, now_s)
        self.advance(now_s)
        self.jobs[job.request_id] = job
        self._pay(job.charged_micro)
        self._queued += 1
        self._placed += 1
        job.place = self._placed
        self._queue.append(job)
        self._fill(now_s)
        return job

    def _job(self, submission: Submission, occurrence: int, plan: FaultPlan, latency: Latency, now_s: float) -> Job:
        about = f"{submission.owner}:{submission.same}:{occurrence}"
        strikes = plan.strikes_on_job(about)
        ends_as, error = self._ending(strikes, submission, about)
        asked = submission.asked
        factor = float(strikes["job.cost_above"].argument or 1.5) if "job.cost_above" in strikes else 1.0
        return Job(
            number=len(self.jobs),
            request_id=str(uuid.UUID(bytes=hashlib.sha256(f"{self.seed}:{about}".encode()).digest()[:16], version=4)),
            owner=submission.owner,
            model_id=submission.model_id,
            body_sha256=submission.body_sha256,
            body=submission.body,
            asked=asked,
            made=1 + int(roll(self.seed, "made", about) * (asked - 1)) if "job.fewer" in strikes else asked,
            list_price_micro=submission.list_price_micro,
            charged_micro=round(submission.list_price_micro * factor),
            submitted_at_s=now_s,
            runs_s=latency.seconds(roll(self.seed, "runs", about), roll(self.seed, "spread", about)),
            ends_as=ends_as,
            error=error,
            strikes=strikes,
        )

    def _ending(self, strikes: dict[str, Strike], submission: Submission, about: str) -> tuple[str, Any]:
        if submission.rejected_later is not None:
            return FAILED, submission.rejected_later
        if "job.cancelled" in strikes:
            return CANCELLED, None
        if "job.fail" in strikes:
            self._failures += 1
            return FAILED, ERRORS[(self._failures - 1) % len(ERRORS)]
        return SUCCEEDED, None

    def advance(self, now_s: float) -> None:
        """End every job whose time is up by *now_s*, and start the next ones at the moments slots came free."""
        running = self._running
        while running and running[0][0] <= now_s:
            ended_at_s, _, job = heapq.heappop(running)
            self._end(job, job.ends_as, ended_at_s)
            self._fill(ended_at_s)

    def _fill(self, now_s: float) -> None:
        while self._queued and len(self._running) < self.concurrency:
            job = self._queue.popleft()
            self._left = job.place
            if job.state != IN_QUEUE:  # cancelled while it waited
                del self._cancelled_places[0]
                continue
            self._queued -= 1
            job.state, job.started_at_s = IN_PROGRESS, now_s
            heapq.heappush(self._running, (now_s + job.runs_s, job.number, job))
        self.max_in_progress = max(self.max_in_progress, len(self._running))

    def _end(self, job: Job, state: str, now_s: float) -> None:
        job.state, job.ended_at_s = state, now_s
        if state == CANCELLED:
            self._pay(-job.charged_micro)
            job.charged_micro = 0

    def _pay(self, micro: int) -> None:
        self.charged_micro += micro
        if self.wallet_micro is not None:
            self.wallet_micro -= micro

    def queue_position(self, job: Job) -> int:
        """From 1; jobs that were cancelled ahead of it do not count."""
        return job.place - self._left - bisect_left(self._cancelled_places, job.place)

    def cancel(self, job: Job, now_s: float) -> bool:
        """Cancel *job* and give its money back if it still waits; say whether it did."""
        self.advance(now_s)
        if job.state != IN_QUEUE:
            return False
        self._queued -= 1
        insort(self._cancelled_places, job.place)
        self._end(job, CANCELLED, now_s)
        return True

    def find(self, request_id: str, owner: str, now_s: float) -> Job | None:
        """The job of this id as of *now_s*, if *owner* may see it."""
        self.advance(now_s)
        job = self.jobs.get(request_id)
        return job if job is not None and job.owner == owner else None

    def set_concurrency(self, concurrency: int, now_s: float) -> None:
        """Jobs that run go on; a lower limit holds back the next ones only."""
        self.advance(now_s)
        self.concurrency = concurrency
        self._fill(now_s)

    def next_end_s(self) -> float | None:
        """When the next slot comes free, if any is taken."""
        return self._running[0][0] if self._running else None

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs.values())
