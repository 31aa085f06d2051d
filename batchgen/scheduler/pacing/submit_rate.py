"""How fast rows are sent, as learned from what was refused. Pure: time and chance come in as arguments, in seconds.

A provider's rate limit is taken for a bucket that fills evenly: what was accepted between two moments at which it was
empty, over the time between them, is how fast it fills. The bucket's twin here fills at that rate, so that what a
pause has saved up is sent at once after it, and the rest evenly; a little faster with every acceptance, until a
refusal corrects it. Where refusals hit by chance, each puts off its own row and no other, and teaches nothing; but a
pause that the provider asks for is kept by all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from batchgen.core.backoff import Backoff
from batchgen.scheduler.pacing.chance import RandomRefusals

MOST_PAUSE_S = 120.0
"""A row that was refused as one too many waits no longer than this, whatever the provider asks for."""

_LEAST_PAUSE_S = 1.0
_FEW, _UNTIL_ACCEPTED = 16, 128
_LEAST_SPAN_S = 0.5
_SLOWEST_PER_S = 0.25  # what is slower, pauses do
_GROWTH_GUESSED, _GROWTH_MEASURED = 0.3, 0.002
_DEEPEST_CUT = 0.7
_SOON_S = 0.1
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
    _emptied_at: float | None = None
    _accepted: int = 0
    _measured: bool = False
    _testing: bool = False
    _asked: bool = False
    _pairs_before: int = -1
    _chance: RandomRefusals = field(default_factory=RandomRefusals)

    def wait_s(self, now: float) -> float:
        """Seconds until the next POST may go out."""
        paced_s = min(max(self._next_at - now, 0.0), self.every_s)  # whatever the clock was set to
        if now < self.closed_until:
            return max(self.closed_until - now, paced_s)
        self._learn()
        if math.isinf(self.per_s) or self._testing:
            return paced_s
        self._fill(now)
        return max((1.0 - self._level) / self.per_s if self._level < 1.0 else 0.0, paced_s)

    @property
    def most_on_the_wire(self) -> int | None:
        """How many POSTs may wait for their answers; None for any number.

        All that are under way when the provider begins to refuse are refused, so a run begins with few, and after a
        pause with one.
        """
        if self.episodes or self._testing:  # one row tries
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

    def accepted(self, sent_at: float) -> bool:
        """A POST was accepted. Answers whether that shows that the last refusal was chance.

        That ends its pause where it is the rule, unless the provider asked for that pause.
        """
        self._accepted += 1
        self._testing = False
        by_chance = self._chance.accepted(sent_at, self._soon_s)
        if by_chance:
            self._emptied_at, self._measured = None, False
            if self._chance.is_usual and not self._asked:
                self.closed_until = 0.0
        if self._emptied_at is not None:  # sent before the refusal, and counted with what came before it
            return False
        self.episodes = 0
        if self.per_s < math.inf:
            growth = _GROWTH_MEASURED if self._measured else _GROWTH_GUESSED
            self.per_s += growth * min(self.per_s, 1.0)
        return by_chance

    def busy(self, now: float, sent_at: float, retry_after_s: float | None, roll: float) -> float:
        """A POST was refused as too many. Answers when its row may be sent again; many of one moment count once."""
        self._chance.refused(sent_at)
        if now < self.closed_until:
            return self.closed_until
        self._learn()
        asked_s = self.backoff.delay_s(self.episodes + 1, roll) if retry_after_s is None else retry_after_s
        until = now + min(max(asked_s, _LEAST_PAUSE_S), MOST_PAUSE_S)
        self._asked = retry_after_s is not None
        if not self._asked and self._is_to_test:
            self._testing, self._pairs_before = True, -1
            return until
        self._testing, self._pairs_before = False, self._chance.pairs
        self.episodes += 1
        self.closed_until = until
        self._fill(now)
        self._emptied_at = now
        return until

    @property
    def _is_to_test(self) -> bool:
        """Whether a row tries at once, and not after a pause, if the refusal was chance."""
        if self._chance.is_usual:
            return True
        return self.episodes == 0 and not self._testing and self._chance.pairs == self._pairs_before

    @property
    def _soon_s(self) -> float:
        """So soon after a refusal that an empty bucket holds nothing yet."""
        return _SOON_S if math.isinf(self.per_s) else min(_SOON_S, 0.5 / self.per_s)

    def _learn(self) -> None:
        """Once a pause is over: what it took to empty the bucket says how fast it fills.

        By then the answers have come that were under way.
        """
        if self._emptied_at is None:
            return
        now, since = self._emptied_at, self._emptied_at if self._empty_at is None else self._empty_at
        mean_per_s = max(self._accepted, 1) / max(now - since, _LEAST_SPAN_S)
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
        self._empty_at, self._emptied_at, self._accepted = now, None, 0
        self._level, self._level_at = 0.0, now

    def _fill(self, now: float) -> None:
        if self.per_s < math.inf:
            self._level = min(self._level + max(now - self._level_at, 0.0) * self.per_s, max(self._room, 1.0))
        self._level_at = now
