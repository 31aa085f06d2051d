"""How fast rows are sent. Pure: time comes in as an argument, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

_LATE_S = 0.1
"""A POST that was late by up to this much does not put off the next one."""


@dataclass(slots=True)
class SubmitRate:
    """`--submit-rate`: one POST in every *every_s*, evenly; 0 is as fast as slots come free."""

    every_s: float = 0.0
    _next_at: float = 0.0

    def wait_s(self, now: float) -> float:
        """Seconds until the next POST may go out; never more than its share, wherever the clock was set."""
        return min(max(self._next_at - now, 0.0), self.every_s)

    def sent(self, now: float) -> None:
        due_at = self._next_at if abs(now - self._next_at) <= _LATE_S else now
        self._next_at = due_at + self.every_s
