"""Delays that grow with every failure. Seconds; chance comes in as an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double from *first_s* up to *limit_s*, spread so that many callers do not meet."""

    first_s: float
    limit_s: float

    def delay_s(self, failures: int, roll: float) -> float:
        """Delay after *failures* (>= 1) in a row; *roll* is uniform in [0, 1)."""
        full_s = min(self.limit_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return full_s * (0.5 + roll / 2)
