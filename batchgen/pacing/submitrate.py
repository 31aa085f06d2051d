"""How fast rows are sent, as learned from what was refused. Pure: time and chance come in as arguments, in seconds.

A provider's rate limit is taken for a bucket that fills evenly: what was accepted between two moments at which it was
empty, over the time between them, is how fast it fills. The bucket's twin here fills at that rate, so that what a
pause has saved up is sent at once after it, and the rest evenly; a little faster with every acceptance, until a
refusal corrects it. A refusal at half the pace that was let through before, and one of few, says nothing about the
rate: it puts off its own row and no other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from batchgen.pacing.backoff import Backoff
from batchgen.pacing.chance import RefusedShare

_LEAST_PAUSE_S, _MOST_PAUSE_S = 1.0, 120.0
_FEW, _UNTIL_ACCEPTED = 16, 128
_LEAST_SPAN_S = 0.5
_SLOWEST_PER_S = 0.25  # what is slower, pauses do
_GROWTH_GUESSED, _GROWTH_MEASURED = 0.3, 0.002
_DEEPEST_CUT = 0.7
_PROVED_BY = 8
_FAR_BELOW = 0.5
_NO_CHANCE_IN_A_ROW = 3
_LATE_S = 0.1
"""A POST that was late by up to this much does not put off the next one."""


@dataclass(slots=True)
class SubmitRate:
    """*every_s* is what a person allows: one POST in this time, evenly; 0 is as fast as slots come free.

    *per_s* is what the provider allows, infinite until it refuses.
    """

    every_s: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(1.0, 60.0))
    per_s: float = math.inf
    closed_until: float = 0.0
    episodes: int = 0
    _next_at: float = 0.0
    _level: float = 0.0
    _level_at: float = 0.0
    _room: float = math.inf
    _empty_at: float | None = None
    _accepted: int = 0
    _measured: bool = False
    _proved_per_s: float = 0.0
    _refused: RefusedShare = field(default_factory=RefusedShare)

    def wait_s(self, now: float) -> float:
        """Seconds until the next POST may go out."""
        paced_s = min(max(self._next_at - now, 0.0), self.every_s)  # whatever the clock was set to
        if now < self.closed_until:
            return max(self.closed_until - now, paced_s)
        if math.isinf(self.per_s):
            return paced_s
        self._fill(now)
        return max((1.0 - self._level) / self.per_s if self._level < 1.0 else 0.0, paced_s)

    @property
    def most_on_the_wire(self) -> int | None:
        """How many POSTs may wait for their answers; None for any number.

        All that are under way when the provider begins to refuse are refused, so a run begins with few, and after a
        pause with one.
        """
        if self.episodes:  # one row tries
            return 1
        begins = math.isinf(self.per_s) and self._accepted < _UNTIL_ACCEPTED
        return _FEW if begins or (self.per_s < math.inf and not self._measured) else None

    def sent(self, now: float) -> None:
        due_at = self._next_at if abs(now - self._next_at) <= _LATE_S else now
        self._next_at = due_at + self.every_s
        if self._empty_at is None:
            self._empty_at = now
        if self.per_s < math.inf:
            self._fill(now)
            self._level -= 1.0

    def accepted(self) -> None:
        self.episodes = 0
        self._accepted += 1
        self._refused.accepted()
        if self.per_s < math.inf:
            growth = _GROWTH_MEASURED if self._measured else _GROWTH_GUESSED
            self.per_s += growth * min(self.per_s, 1.0)

    def busy(self, now: float, retry_after_s: float | None, roll: float) -> float:
        """A POST was refused as too many. Answers when its row may be sent again; many of one moment count once."""
        self._refused.refused()
        if now < self.closed_until:
            return self.closed_until
        asked_s = self.backoff.delay_s(self.episodes + 1, roll) if retry_after_s is None else retry_after_s
        until = now + min(max(asked_s, _LEAST_PAUSE_S), _MOST_PAUSE_S)
        self.episodes += 1
        self.closed_until = until
        if self._is_by_chance(now):
            self.per_s, self._measured = max(self.per_s, self._proved_per_s), False
        else:
            self._learn(now)
        return until

    def _is_by_chance(self, now: float) -> bool:
        if self.episodes >= _NO_CHANCE_IN_A_ROW or not self._refused.is_small:
            return False
        return self._accepted < _PROVED_BY or self._mean_per_s(now) < _FAR_BELOW * self._proved_per_s

    def _mean_per_s(self, now: float) -> float:
        """What was accepted since the bucket was last empty, a second."""
        since = now if self._empty_at is None else self._empty_at
        return max(self._accepted, 1) / max(now - since, _LEAST_SPAN_S)

    def _learn(self, now: float) -> None:
        """The bucket is empty now. What it took to empty it says how fast it fills."""
        self._fill(now)
        since = now if self._empty_at is None else self._empty_at
        mean_per_s = self._mean_per_s(now)
        if mean_per_s < _FAR_BELOW * self._proved_per_s:  # and many are refused: the limit is another now
            self._proved_per_s = mean_per_s
        elif self.per_s < math.inf and self._accepted >= _PROVED_BY:  # before the first refusal it may have been full
            self._proved_per_s = max(self._proved_per_s, mean_per_s)
        if math.isinf(self.per_s):  # it may have been full at first: what the pause brings is counted in
            self.per_s = max(self._accepted, 1) / max(self.closed_until - since, _LEAST_SPAN_S)
        elif self._accepted == 0:
            self.per_s /= 2.0
        elif self._level >= 1.0:  # there was less in it than a pause should have brought: it holds no more
            self._room = max(float(self._accepted), 1.0)
            self.per_s = self.per_s if self._measured else mean_per_s
        else:
            self.per_s, self._measured = min(max(mean_per_s, _DEEPEST_CUT * self.per_s), self.per_s), True
        self.per_s = max(self.per_s, _SLOWEST_PER_S)
        self._empty_at, self._accepted, self._level = now, 0, 0.0

    def _fill(self, now: float) -> None:
        if self.per_s < math.inf:
            self._level = min(self._level + max(now - self._level_at, 0.0) * self.per_s, max(self._room, 1.0))
        self._level_at = now
