"""How many jobs may be at the provider at once. Pure: time comes in as an argument, in seconds."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field, replace
from typing import Protocol

START = 16
CEILING = 200
"""Jobs that `auto` lets run at once, at most; what waits behind them in the provider's queue comes on top."""


class InFlight(Protocol):
    """What the scheduler tells of its jobs, by their keys, and how many it may have at the provider."""

    @property
    def limit(self) -> int:
        """The most jobs that may be sent and not seen to have ended."""

    @property
    def hides_lag(self) -> bool:
        """Whether jobs wait in the provider's queue, so that a slot is taken anew the moment it comes free."""

    @property
    def queued(self) -> int:
        """Jobs that wait in the provider's queue, as far as the answers tell."""

    def accepted(self, key: int) -> bool:
        """A job was accepted. Answers whether to look at it at once: does it run, or does it wait?"""

    def busy(self, now: float, until: float) -> None:
        """A POST was refused as too many; nothing is to be sent before *until*."""

    def busy_by_chance(self) -> None:
        """The last refusal was chance, whatever the number of jobs."""

    def seen_running(self, key: int) -> None: ...

    def seen_queued(self, key: int) -> None: ...

    def ended(self, key: int) -> None:
        """The job ended, or is no longer followed."""


@dataclass(slots=True)
class FixedInFlight:
    """`-j N`: never more than *most*, and fewer while the provider refuses."""

    most: int
    _queue: _Queue = field(default_factory=lambda: _Queue())
    _cut: _Cut = field(default_factory=lambda: _Cut())

    @property
    def limit(self) -> int:
        return min(self.most, self._cut.limit)

    @property
    def hides_lag(self) -> bool:
        return self._queue.newest_waits

    @property
    def queued(self) -> int:
        return self._queue.queued

    def accepted(self, key: int) -> bool:
        self._queue.accepted(key)
        self._cut.accepted(self._queue.live)
        return self._queue.worth_a_look

    def busy(self, now: float, until: float) -> None:
        self._cut.refused(self._queue.live, now, until)

    def busy_by_chance(self) -> None:
        self._cut = self._cut.before or self._cut

    def seen_running(self, key: int) -> None:
        self._queue.seen_running(key)

    def seen_queued(self, key: int) -> None:
        self._queue.seen_queued(key)

    def ended(self, key: int) -> None:
        self._queue.ended(key)


_BEHIND = 1.3
_PROBE = 1.3
_MOST_QUEUED = 1.5
_SURELY = 1.6
"""Some of those that started have ended unnoticed: this much of them stays below twice what runs."""

_STEP = 4
_GROWTH, _GROWTH_SHARE = 0.2, 0.005


@dataclass(slots=True)
class AutoInFlight:
    """`-j auto`: as many as the account runs at once and a third more, which waits in the provider's queue.

    Until a job is seen to wait or a POST is refused, every acceptance makes room for the next few, so that the ramp
    takes a handful of round trips. Then the limit follows the jobs that have started. It is never above twice what
    runs, and no more than *ceiling* are let run where the account would take more.
    """

    ceiling: int = CEILING
    start: int = START
    knows: bool = False
    _held: int = 0
    _want: float = 0.0
    _full: bool = False
    _queue: _Queue = field(default_factory=lambda: _Queue())
    _cut: _Cut = field(default_factory=lambda: _Cut())

    @property
    def limit(self) -> int:
        if self._full:
            want: float = self.ceiling
        elif self.knows:
            want = min(self._want, _MOST_QUEUED * self.ceiling)
        else:
            want = min(max(self.start, self._held + max(_STEP, self._held // 8)), _PROBE * self.ceiling)
        return max(min(math.ceil(want), self._cut.limit), 1)

    @property
    def hides_lag(self) -> bool:
        return self._queue.newest_waits

    @property
    def queued(self) -> int:
        return self._queue.queued

    @property
    def learned(self) -> int | None:
        """What a later run may start from; None while nothing was learned."""
        return self.limit if self.knows or self._full else None

    def accepted(self, key: int) -> bool:
        self._queue.accepted(key)
        self._held = max(self._held, self._queue.live)
        self._cut.accepted(self._queue.live)
        return self._queue.worth_a_look

    def busy(self, now: float, until: float) -> None:
        self._cut.refused(self._queue.live, now, until)
        if not self.knows and not self._cut.testing:
            self.knows = True
            self._want = max(self._queue.live, 1)

    def busy_by_chance(self) -> None:
        self._cut = self._cut.before or self._cut

    def seen_running(self, key: int) -> None:
        self._queue.seen_running(key)
        if self.knows:
            # Slowly: for a moment without a queue, all that ended unnoticed seem to run.
            step = max(_GROWTH_SHARE * self._want, _GROWTH)
            self._want = max(self._want, min(_BEHIND * self._queue.started, self._want + step))
        elif self._queue.started >= _PROBE * self.ceiling - _STEP and not self._queue.newest_waits:
            self._full = True  # the account runs more at once than we mean to take

    def seen_queued(self, key: int) -> None:
        self._queue.seen_queued(key)
        started = self._queue.started
        if started == 0 or not self._queue.newest_waits:  # a cold start, or news of long ago
            return
        self.knows = True
        self._full = False
        surely = _SURELY * max(self._queue.surely_started, 1)
        self._want = min(max(_BEHIND * started, min(self.start, surely)), surely)

    def ended(self, key: int) -> None:
        self._queue.ended(key)


@dataclass(slots=True)
class _Queue:
    """What the answers say about the provider's queue. Jobs are numbered as they were accepted.

    A queue is taken for first in, first out: whatever was accepted before a job that runs has started as well, and
    need not be asked. `surely_started` does not rely on that for jobs that were seen waiting.
    """

    _number: dict[int, int] = field(default_factory=dict)
    _accepted: int = 0
    _ended: int = 0
    _head: int = 0
    _waits: dict[int, int] = field(default_factory=dict)
    _ahead: list[tuple[int, int]] = field(default_factory=list)
    _overtaken: set[int] = field(default_factory=set)
    _newest: int = 0
    newest_waits: bool = False
    worth_a_look: bool = False
    _look_at: int = _STEP

    @property
    def live(self) -> int:
        return len(self._number)

    @property
    def started(self) -> int:
        """Jobs that have started and are not seen to have ended."""
        return max(self._head - self._ended, 0)

    @property
    def surely_started(self) -> int:
        return self.started - len(self._overtaken)

    @property
    def queued(self) -> int:
        """First in, first out: while one was seen to wait, so do all that were accepted after the last that runs."""
        return self.live - self.started if self._waits else 0

    def accepted(self, key: int) -> None:
        self._accepted += 1
        self._number[key] = self._accepted
        self.worth_a_look = self._accepted >= self._look_at
        if self.worth_a_look:  # a dozen looks while all of a crowd is replaced
            self._look_at = self._accepted + max(_STEP, self.live // 12)

    def seen_running(self, key: int) -> None:
        number = self._of(key)
        self._started(key, number)
        self._answered(number, waits=False)

    def seen_queued(self, key: int) -> None:
        number = self._of(key)
        if key not in self._waits:
            self._waits[key] = number
            heapq.heappush(self._ahead, (number, key))
        self._advance(self._head)
        self._answered(number, waits=True)

    def ended(self, key: int) -> None:
        number = self._number.pop(key, None)
        if number is not None:
            self._started(key, number)
            self._ended += 1

    def _of(self, key: int) -> int:
        """The number of *key*; a job of an earlier run gets one when it is first heard of."""
        if key not in self._number:
            self._accepted += 1
            self._number[key] = self._accepted
        return self._number[key]

    def _started(self, key: int, number: int) -> None:
        self._waits.pop(key, None)
        self._overtaken.discard(key)
        self._advance(number)

    def _advance(self, number: int) -> None:
        self._head = max(self._head, number)
        while self._ahead and self._ahead[0][0] <= self._head:
            _, key = heapq.heappop(self._ahead)
            if key in self._waits:
                self._overtaken.add(key)

    def _answered(self, number: int, waits: bool) -> None:
        if number >= self._newest:
            self._newest = number
            self.newest_waits = waits


_CUT_TO = 0.75
_PROBE_AFTER = 10
_SURELY_MORE = 1.25
"""Some jobs have ended unnoticed: only so many times as many as were refused show that it was not their number."""


@dataclass(slots=True)
class _Cut:
    """One cut per episode of refusals; then back up to just below where it was refused, and only seldom beyond.

    The first refusal may be of the rate and not of the number: it cuts nothing yet. If many more are taken later, it
    was the rate, and so is a refusal of fewer than were taken since; one of as many, or without one that was accepted
    between, is of the number. *before* is how it stood before the last refusal, should that turn out to be chance.
    """

    most: float = math.inf
    refused_at: float = math.inf
    closed_until: float = 0.0
    testing: bool = False
    before: _Cut | None = None
    _accepted_since: int = 0
    _peak: int = 0

    @property
    def limit(self) -> int:
        return 1_000_000 if math.isinf(self.most) else max(int(self.most), 1)

    def refused(self, live: int, now: float, until: float) -> None:
        if now < self.closed_until:
            return
        self.before = replace(self, before=None)
        self.closed_until = until
        first, again = math.isinf(self.most), self._accepted_since == 0
        self._accepted_since = 0
        if live < self._peak and not again and (self.testing or live < self.most / 2):
            return  # many more than these were taken since the last cut
        self.testing = first
        self.refused_at = max(live, 1)
        self.most = _SURELY_MORE * live + _STEP if first else max(_CUT_TO * live, 1.0)
        self._peak = live if first else 0

    def accepted(self, live: int) -> None:
        self._accepted_since += 1
        self._peak = max(self._peak, live)
        if math.isinf(self.most):
            return
        if self.testing:
            if live > _SURELY_MORE * self.refused_at + 1:
                self.most, self.testing = math.inf, False
            return
        if self._accepted_since >= _PROBE_AFTER * self.refused_at:  # has the provider made room meanwhile?
            self._accepted_since = 0
            self.refused_at += max(1.0, self.refused_at // 16)
        if live >= int(self.most) and self.most + 1 < self.refused_at:
            self.most += 4 / self.most
