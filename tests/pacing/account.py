"""An account in virtual time: slots, a queue, refusals; and a client that does what the two policies say.

Seeded and without a clock, so that a night of jobs takes a second and comes out the same every time.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from batchgen.scheduler.pacing import Crowd, InFlight, Lag, PollPolicy, SubmitRate

LOOK_S = 0.05


def list_schedule_s(jobs_s: Iterable[float], slots: int) -> float:
    """When the last of *jobs_s* ends if each starts, in this order, on the slot that comes free first."""
    free_at = [0.0] * slots
    for job_s in jobs_s:
        heapq.heapreplace(free_at, free_at[0] + job_s)
    return max(free_at)


@dataclass
class Account:
    """Runs *slots* jobs at once and lets *room* wait; refuses more with 429 (*room* None queues them all).

    *per_s* POSTs are let through in a second, evenly, and a second's worth at once; 429s of that say when to come
    back, in whole seconds as headers do. *by_chance* is the share of POSTs that is refused whatever is sent; *hint_s*
    is what 429s of anything but the rate say.
    """

    slots: int
    room: int | None = None
    per_s: float | None = None
    by_chance: float = 0.0
    hint_s: float | None = None
    chance: random.Random = field(default_factory=lambda: random.Random(5))
    saved: float | None = None
    at: float = 0.0
    live: dict[int, float | None] = field(default_factory=dict)
    queue: deque[tuple[int, float]] = field(default_factory=deque)
    running: list[tuple[float, int]] = field(default_factory=list)
    refused: int = 0
    most_running: int = 0

    def post(self, key: int, job_s: float, now: float) -> bool:
        self.advance(now)
        if self.chance.random() < self.by_chance:
            self.refused += 1
            return False
        if self.per_s is not None and not self._takes_one(self.per_s, now):
            self.refused += 1
            return False
        if self.room is not None and len(self.running) >= self.slots and len(self.queue) >= self.room:
            self.refused += 1
            return False
        self.queue.append((key, job_s))
        self._fill(now)
        return True

    def _takes_one(self, per_s: float, now: float) -> bool:
        saved = per_s if self.saved is None else min(self.saved + (now - self.at) * per_s, per_s)
        self.saved, self.at = saved - (saved >= 1.0), now
        return saved >= 1.0

    def retry_after_s(self, now: float) -> float | None:
        return self.hint_s if self.per_s is None else 1.0

    def status(self, key: int, now: float) -> str:
        self.advance(now)
        if any(key == waiting for waiting, _ in self.queue):
            return "in_queue"
        return "in_progress" if key in self.live else "completed"

    def advance(self, now: float) -> None:
        while self.running and self.running[0][0] <= now:
            ended_at, key = heapq.heappop(self.running)
            del self.live[key]
            self._fill(ended_at)

    def _fill(self, now: float) -> None:
        while self.queue and len(self.running) < self.slots:
            key, job_s = self.queue.popleft()
            self.live[key] = now + job_s
            heapq.heappush(self.running, (now + job_s, key))
        self.most_running = max(self.most_running, len(self.running))


@dataclass
class Run:
    """What a simulated run came to. *limits* is the limit after every event, with its time."""

    makespan_s: float = 0.0
    polls: int = 0
    refused: int = 0
    accepted_at: list[float] = field(default_factory=list)
    limits: list[tuple[float, int, bool]] = field(default_factory=list)


@dataclass
class Client:
    """Sends *jobs_s* in order, as *slots* and *polling* say; a POST takes *post_s*, a question *get_s*."""

    account: Account
    slots: InFlight
    polling: PollPolicy
    jobs_s: list[float]
    seed: int = 1
    post_s: float = 0.01
    get_s: float = 0.005
    changes: dict[float, Callable[[Account], None]] = field(default_factory=dict)

    def run(self) -> Run:
        self.told = Run()
        self.chance = random.Random(self.seed)
        self.rate = SubmitRate()
        self.on_the_wire = 0
        self.wakes_at = 0.0
        self.events: list[tuple[float, int, str, int]] = []
        self.count = self.unsent = self.in_flight = 0
        self.again: deque[int] = deque()
        self.sent_at: dict[int, float] = {}
        self.alive_s: dict[int, float] = {}
        self.left = len(self.jobs_s)
        for at in self.changes:
            self._at(at, "change", 0)
        self._send(0.0)
        while self.left:
            now, _, what, key = heapq.heappop(self.events)
            getattr(self, f"_{what}")(now, key)
            if self.left and what != "wake":
                self._send(now)
            self.told.limits.append((now, self.slots.limit, self.slots.hides_lag))
        self.told.refused = self.account.refused
        return self.told

    def _at(self, at: float, what: str, key: int) -> None:
        self.count += 1
        heapq.heappush(self.events, (at, self.count, what, key))

    def _send(self, now: float) -> None:
        while (self.again or self.unsent < len(self.jobs_s)) and self.in_flight < self.slots.limit:
            if self.on_the_wire >= (self.rate.most_on_the_wire or 32):
                return
            if (wait_s := self.rate.wait_s(now)) > 1e-9:
                self._wake_at(now, now + wait_s)
                return
            self.rate.sent(now)
            self.on_the_wire += 1
            key = self.again.popleft() if self.again else self.unsent
            self.unsent += key == self.unsent
            self.in_flight += 1
            self._at(now + self.post_s, "posted", key)

    def _wake_at(self, now: float, at: float) -> None:
        if not now < self.wakes_at <= at:
            self.wakes_at = at
            self._at(at, "wake", 0)

    def _wake(self, now: float, _: int) -> None:
        self._send(now)

    def _change(self, now: float, _: int) -> None:
        self.account.advance(now)
        self.changes[now](self.account)

    def _posted(self, now: float, key: int) -> None:
        self.on_the_wire -= 1
        if not self.account.post(key, self.jobs_s[key], now):
            self.in_flight -= 1
            self.again.append(key)
            hint_s = self.account.retry_after_s(now)
            again_at = self.rate.busy(now, now - self.post_s, hint_s, self.chance.random())
            if self.rate.closed_until > now:
                self.slots.busy(now, again_at)
            return
        if self.rate.accepted(now - self.post_s):
            self.slots.busy_by_chance()
        look = self.slots.accepted(key)
        self.sent_at[key] = now
        self.told.accepted_at.append(now)
        nap_s = self._nap_s(key, now)
        self._at(now + (min(nap_s, LOOK_S) if look else nap_s) + self.get_s, "poll", key)

    def _poll(self, now: float, key: int) -> None:
        word = self.account.status(key, now)
        age_s = now - self.sent_at[key]
        if word == "completed":
            self.in_flight -= 1
            self.slots.ended(key)
            self.polling.ended("model", age_s, self.alive_s.get(key, 0.0))
            self.left -= 1
            self.told.makespan_s = now
            return
        self.told.polls += 1
        self.alive_s[key] = age_s
        (self.slots.seen_running if word == "in_progress" else self.slots.seen_queued)(key)
        self._at(now + self._nap_s(key, now) + self.get_s, "poll", key)

    def _nap_s(self, key: int, now: float) -> float:
        lag = Lag.HIDDEN if self.slots.hides_lag else Lag.A_SLOT
        if self.unsent == len(self.jobs_s) and not self.again:
            lag = Lag.THE_END
        crowd = Crowd(self.in_flight, lag)
        return self.polling.next_poll_s("model", now - self.sent_at[key], crowd, self.chance.random())
