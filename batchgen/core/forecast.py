"""How long the rest takes and what it costs, as a range that should hold nine times in ten. Pure.

By Little's law jobs end as often as *slots / mean age*, whether they run or wait in the provider's queue, so that
the ages at which jobs were seen to end and the number in flight are all that is needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

Range: TypeAlias = tuple[float, float]

_DEVIATIONS = 2.0
_LOST_SHARE = 0.1
"""How much longer than perfect scheduling a run may take: slots stand empty while we do not look."""


@dataclass(slots=True)
class Measure:
    """Count, mean and spread of measured figures, whatever their unit (Welford's sums)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, figure: float) -> None:
        self.count += 1
        before = figure - self.mean
        self.mean += before / self.count
        self.squares += before * (figure - self.mean)

    @property
    def spread(self) -> float:
        """The standard deviation as a share of the mean; of a single figure, or none, taken to be as large."""
        if self.count < 2 or self.mean <= 0.0:
            return 1.0
        return math.sqrt(self.squares / (self.count - 1)) / self.mean

    def of_all(self, left: float) -> Range:
        """What *left* further figures add up to. Few measured ones widen the range as much as few to come."""
        unsure = _DEVIATIONS * self.spread * math.sqrt(1.0 / max(left, 1.0) + 1.0 / max(self.count, 1))
        return left * self.mean * max(1.0 - unsure, 0.0), left * self.mean * (1.0 + unsure)


def time_left_s(ages: Measure, unsent: int, in_flight: int, slots: tuple[int, int]) -> Range:
    """Seconds until the last of *unsent* and *in_flight* jobs ends, where *slots* (fewest, most) are in flight at once.

    *ages* are those at which jobs ended. A run ends with its longest jobs: at best as soon as the work is shared
    evenly, at worst one of the longest is the last to start.
    """
    if unsent + in_flight == 0 or ages.count == 0:
        return 0.0, 0.0
    half_done = in_flight * (1.0 + ages.spread**2) / 2.0
    fewest, most = (max(min(count, unsent + in_flight), 1) for count in slots)
    low_s, _ = ages.of_all(min(half_done, float(in_flight)) + unsent)
    _, high_s = ages.of_all(half_done + unsent)
    return low_s / most, high_s / fewest * (1.0 + _LOST_SHARE) + longest(ages, min(unsent + in_flight, most))


def with_fetching_s(ends_s: Range, held: Measure, rows: int, places: int) -> Range:
    """*ends_s*, when the last job ends, with the files of *rows* rows fetched, *places* at once.

    *held* is for how long a row kept its place. Fetching goes on while jobs run, so the slower of the two counts. The
    rows that are in their places now may be about to leave them.
    """
    if rows == 0 or held.count == 0:
        return ends_s
    low_s, _ = held.of_all(float(max(rows - places, 0)))
    _, high_s = held.of_all(float(rows))
    return max(ends_s[0], low_s / places), max(ends_s[1], high_s / places * (1.0 + _LOST_SHARE))


def longest(measure: Measure, of: int) -> float:
    """A figure that the largest of *of* stays below nineteen times in twenty, were they lognormal."""
    sigma_squared = math.log1p(measure.spread**2)
    deviations = math.sqrt(2.0 * math.log(20.0 * max(of, 1)))
    return measure.mean * math.exp(-sigma_squared / 2.0 + math.sqrt(sigma_squared) * deviations)


def cost_left_micro(costs: Measure, units: int, highest_unit_micro: int) -> tuple[int, int]:
    """Micro-dollars that *units* more outputs (or seconds) will cost.

    *costs* are measured costs of a unit. Until three are known, all is possible up to the highest price.
    """
    if costs.count < 3:
        return 0, units * highest_unit_micro
    low, high = costs.of_all(units)
    return int(low), math.ceil(high)
