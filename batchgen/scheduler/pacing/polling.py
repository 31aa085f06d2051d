"""When to ask for a job's status next. Pure: ages and rolls come in as arguments, in seconds.

A poll costs something, and so does every second between a job's end and our noticing it. Where jobs end at a steady
rate *hazard*, asking every sqrt(2c / hazard) balances a poll's cost *c* (counted in seconds of lag) against the lag;
where the rate changes with the age, `_Schedule` finds the ages to ask at by dynamic programming over what this run
and the folder's earlier ones have seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from batchgen.scheduler.pacing.ages import EDGES_S, AgesAtEnd, bin_of


class Lag(Enum):
    """What it costs to notice an end late."""

    HIDDEN = "hidden"  # another job waits in the provider's queue and takes the slot at once
    A_SLOT = "a slot"  # a slot of the account stands empty
    THE_END = "the end"  # nothing is left to submit: the run ends later


@dataclass(frozen=True, slots=True)
class Crowd:
    """The jobs that are asked about: how many *live* at the provider, and what noticing one's end late costs."""

    live: int = 1
    lag: Lag = Lag.A_SLOT


class PollPolicy(Protocol):
    """When to ask for a job's status next."""

    def next_poll_s(self, model: str, age_s: float, crowd: Crowd, roll: float, late_s: float = 0.0) -> float:
        """Delay before the next poll of a job of *model* that was accepted *age_s* ago; *roll* is in [0, 1).

        *late_s* is how much later than planned the job was asked about at this age.
        """

    def ended(self, model: str, age_s: float, alive_s: float) -> None:
        """A job of *model* was seen to have ended at the age *age_s*, and to be alive at *alive_s*."""

    def learned(self) -> Mapping[str, object]:
        """What a later run of the folder may start from, as JSON."""


@dataclass(slots=True)
class ProportionalPolling:
    """Asks after a fixed share of the age: few polls for long jobs, little lag for short ones."""

    share: float = 0.15
    least_s: float = 0.25
    most_s: float = 10.0

    def next_poll_s(
        self, model: str, age_s: float, crowd: Crowd | None = None, roll: float = 0.5, late_s: float = 0.0
    ) -> float:
        return min(max(self.share * age_s, self.least_s), self.most_s)

    def ended(self, model: str, age_s: float, alive_s: float) -> None:
        """Learns nothing."""

    def learned(self) -> Mapping[str, object]:
        return {}


COST_OF_A_POLL: Mapping[Lag, float] = {Lag.HIDDEN: 0.035, Lag.A_SLOT: 0.0023, Lag.THE_END: 0.03}
"""What one poll may cost, in mean job times of lag: about 4 polls a job where lag is hidden, 12 where it is not.

At the end only the last few jobs matter, and these are asked about by `_TAIL_SHARE`.
"""

_LEVELS = 12
_ENOUGH_JOBS = 3
_GROWTH = 1.25
_TAIL_SHARE = 0.02
_TAIL_PER_S = 20.0
_SPREAD = 0.1
_CAUGHT_UP = 0.25


@dataclass(slots=True)
class LearnedPolling:
    """Asks when an end is likely, by the ages at which earlier jobs of the model ended.

    All jobs together are asked about at most *polls_per_min* times a minute: the schedule is chosen to fit, and
    whatever it says, no job is asked about again before its share of the minute is over.
    """

    polls_per_min: float
    least_s: float = 0.05
    most_s: float = 60.0
    cold: ProportionalPolling = field(default_factory=ProportionalPolling)
    costs: Mapping[Lag, float] = field(default_factory=lambda: COST_OF_A_POLL)
    _models: dict[str, _Known] = field(default_factory=dict)

    def next_poll_s(self, model: str, age_s: float, crowd: Crowd, roll: float, late_s: float = 0.0) -> float:
        known = self._models.get(model)
        if known is None or known.ages.jobs < _ENOUGH_JOBS:
            delay_s = self.cold.next_poll_s(model, age_s)
        else:
            delay_s = known.next_poll_s(age_s, self.costs[crowd.lag], crowd.live, self.polls_per_min / 60)
            if crowd.lag is Lag.THE_END:
                delay_s = min(delay_s, max(_TAIL_SHARE * known.ages.mean_s, crowd.live / _TAIL_PER_S))
        # Jobs of one age would be asked about at the same ages for ever, and nothing learned of the ages between.
        delay_s *= 1.0 + _SPREAD * (2.0 * roll - 1.0)
        # What a busy loop is late by each time would add up to fewer polls than planned.
        delay_s -= min(late_s, _CAUGHT_UP * delay_s)
        fair_s = crowd.live * 60.0 / self.polls_per_min
        return max(min(delay_s, self.most_s), self.least_s, fair_s)

    def ended(self, model: str, age_s: float, alive_s: float) -> None:
        if age_s - alive_s > 2.0 * self.most_s:  # nobody asked for long: the age says little
            return
        self._models.setdefault(model, _Known()).ages.add(max(min(alive_s, age_s), 0.0), max(age_s, 0.0))

    def learned(self) -> Mapping[str, object]:
        return {model: known.ages.as_json() for model, known in self._models.items()}

    def recall(self, told: Mapping[str, object]) -> None:
        """Start from what an earlier run learned; what cannot be read is left out."""
        for model, ages in told.items():
            try:
                if isinstance(ages, dict):
                    self._models[model] = _Known(AgesAtEnd.from_json(ages))
            except (ValueError, TypeError, KeyError, IndexError):
                continue


@dataclass(slots=True)
class _Known:
    """The ages of one model, and the schedules made from them: made anew when a quarter more jobs have ended."""

    ages: AgesAtEnd = field(default_factory=AgesAtEnd)
    schedules: dict[float, _Schedule] = field(default_factory=dict)
    made_at: float = 0.0
    jobs_since: float = 0.0

    def next_poll_s(self, age_s: float, cost: float, live: int, polls_per_s: float) -> float:
        """By the cheapest schedule, from *cost* up, that keeps *live* jobs within *polls_per_s*."""
        schedule = self._schedule(cost)
        for _ in range(_LEVELS):
            if schedule.polls * live <= polls_per_s * self.ages.mean_s:
                break
            cost *= 1.5
            schedule = self._schedule(cost)
        return schedule.next_poll_s(age_s)

    def _schedule(self, cost: float) -> _Schedule:
        if not self.made_at / _GROWTH <= self.ages.jobs <= self.made_at * _GROWTH:
            self.schedules.clear()
            self.made_at = self.ages.jobs
        if cost not in self.schedules:
            self.schedules[cost] = _Schedule.cheapest(self.ages.alive(), cost * self.ages.mean_s, self.ages.mean_s)
        return self.schedules[cost]


@dataclass(frozen=True, slots=True)
class _Schedule:
    """The bin to ask in next, for a job that was alive in each bin; *polls* is how many a job takes on average."""

    next_bin: list[int]
    polls: float

    @classmethod
    def cheapest(cls, alive: list[float], cost_s: float, mean_s: float) -> _Schedule:
        """The schedule with the least cost of polls and lag together, where a poll costs as much as *cost_s* of lag."""
        bins = bin_of(4.0 * mean_s) + 1
        lived_s = [0.0]
        for at in range(bins):
            lived_s.append(lived_s[-1] + (alive[at] + alive[at + 1]) / 2 * (EDGES_S[at + 1] - EDGES_S[at]))
        left = [0.0] * (bins + 1)
        polls = [0.0] * (bins + 1)
        next_bin = [bins] * (bins + 1)
        for at in range(bins - 1, -1, -1):
            best = float("inf")
            for to in range(at + 1, bins + 1):
                lag_s = (EDGES_S[to] - EDGES_S[at]) * alive[at] - (lived_s[to] - lived_s[at])
                if lag_s > best:
                    break
                if lag_s + left[to] < best:
                    best = lag_s + left[to]
                    next_bin[at] = to
            left[at] = best + cost_s * alive[at]
            polls[at] = alive[at] + polls[next_bin[at]]
        return cls(next_bin, polls[0])

    def next_poll_s(self, age_s: float) -> float:
        at = bin_of(age_s)
        if at + 1 >= len(self.next_bin) - 1:  # older than nearly every job before it
            return 0.15 * age_s
        through = (age_s - EDGES_S[at]) / (EDGES_S[at + 1] - EDGES_S[at])
        to_s = EDGES_S[self.next_bin[at]] * (1.0 - through) + EDGES_S[self.next_bin[at + 1]] * through
        return max(to_s - age_s, 0.0)
