"""Whether refusals hit by chance. Pure: times come in as arguments, in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

_NEWEST = 1 / 4
_FEW = 0.5


@dataclass(slots=True)
class RandomRefusals:
    """What becomes of the POST that is sent right after a refused one.

    A limit that was reached refuses it too, whatever is limited; a gateway that refuses some POSTs whatever is sent
    takes it like any other. *pairs* are how many refusals have been judged so.
    """

    pairs: int = 0
    _refused_too: float = 1.0
    _refused_sent_at: float = -math.inf
    _in_a_row: int = 0

    @property
    def is_usual(self) -> bool:
        """Whether most of the last refusals that could be judged were chance."""
        return self._refused_too < _FEW

    def accepted(self, sent_at: float, soon_s: float) -> bool:
        """Answers whether this shows that the last refusal was chance: it stood alone."""
        alone = self._in_a_row == 1 and 0.0 <= sent_at - self._refused_sent_at <= soon_s
        if alone:
            self._judge(0.0)
        if sent_at >= self._refused_sent_at:
            self._in_a_row = 0
        return alone

    def refused(self, sent_at: float) -> None:
        if self._in_a_row:
            self._judge(1.0)
        self._in_a_row += 1
        self._refused_sent_at = max(sent_at, self._refused_sent_at)

    def _judge(self, refused_too: float) -> None:
        self._refused_too += _NEWEST * (refused_too - self._refused_too)
        self.pairs += 1
