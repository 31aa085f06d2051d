"""When jobs are asked about: against the bound that dynamic programming gives where the job times are known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from typing import TypeAlias

import pytest

from batchgen.scheduler.pacing import Crowd, Lag, LearnedPolling, ProportionalPolling
from batchgen.scheduler.pacing.ages import EDGES_S, AgesAtEnd, bin_of

BINS = len(EDGES_S) - 1

Draw: TypeAlias = Callable[[random.Random], float]


def normal_below(z: float) -> float:
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))


def lognormal_below(age_s: float, median_s: float, sigma: float) -> float:
    return normal_below(math.log(max(age_s, 1e-9) / median_s) / sigma)


def lognormal(chance: random.Random) -> float:
    return 20.0 * math.exp(0.5 * chance.gauss(0.0, 1.0))


def bimodal(chance: random.Random) -> float:
    return (8.0 if chance.random() < 0.5 else 60.0) * math.exp(0.1 * chance.gauss(0.0, 1.0))


BELOW: dict[Draw, Callable[[float], float]] = {
    lognormal: lambda age_s: lognormal_below(age_s, 20.0, 0.5),
    bimodal: lambda age_s: (lognormal_below(age_s, 8.0, 0.1) + lognormal_below(age_s, 60.0, 0.1)) / 2,
}


def bound(
    below: Callable[[float], float], cost_s: float, step_s: float = 0.25, top_s: float = 130.0
) -> tuple[float, float]:
    """Polls a job and mean lag of the best ages to ask at, where one poll costs *cost_s* of lag."""
    steps = int(top_s / step_s)
    alive = [1.0 - below(step_s * at) for at in range(steps + 1)]
    lived_s = [0.0]
    for here, there in pairwise(alive):
        lived_s.append(lived_s[-1] + (here + there) / 2 * step_s)
    cost, polls, lag_s = ([0.0] * (steps + 1) for _ in range(3))
    for at in range(steps - 1, -1, -1):
        best = math.inf
        for to in range(at + 1, steps + 1):
            lag_here_s = (to - at) * step_s * alive[at] - (lived_s[to] - lived_s[at])
            if lag_here_s > best:
                break
            if lag_here_s + cost[to] < best:
                best = lag_here_s + cost[to]
                polls[at], lag_s[at] = alive[at] + polls[to], lag_here_s + lag_s[to]
        cost[at] = best + cost_s * alive[at]
    return polls[0], lag_s[0]


@cache
def bounds(below: Callable[[float], float]) -> list[tuple[float, float]]:
    return sorted(bound(below, cost_s) for cost_s in (0.08, 0.15, 0.3, 0.6))


def lag_of_the_bound(below: Callable[[float], float], polls: float) -> float:
    """The bound's mean lag at as many polls a job."""
    known = bounds(below)
    for (fewer, lag_s), (more, less_lag_s) in pairwise(known):
        if fewer <= polls <= more:
            share = math.log(polls / fewer) / math.log(more / fewer)
            return math.exp((1.0 - share) * math.log(lag_s) + share * math.log(less_lag_s))
    raise AssertionError(f"{polls} polls a job are outside of {known}")


def simulate(policy: LearnedPolling, draw: Draw, jobs: int, seed: int, warm_up: int = 0) -> tuple[float, float]:
    """Polls a job and mean lag of *jobs* jobs one after the other; the first *warm_up* only teach."""
    chance = random.Random(seed)
    polls, lag_s = 0, 0.0
    for number in range(jobs):
        job_s, age_s, alive_s = draw(chance), 0.0, 0.0
        asked = 0
        while True:
            age_s += policy.next_poll_s("model", age_s, Crowd(), chance.random())
            asked += 1
            if age_s >= job_s:
                break
            alive_s = age_s
        policy.ended("model", age_s, alive_s)
        if number >= warm_up:
            polls += asked
            lag_s += age_s - job_s
    return polls / (jobs - warm_up), lag_s / (jobs - warm_up)


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "most"), [(lognormal, 1.10), (bimodal, 1.50)])
@pytest.mark.parametrize("cost", [0.005, 0.01])
def test_at_equal_polls_the_lag_is_near_that_of_a_policy_that_knows_the_job_times(
    draw: Draw, most: float, cost: float
) -> None:
    ratios = []
    for seed in (7, 8, 9):
        polls, lag_s = simulate(LearnedPolling(1e9, costs={Lag.A_SLOT: cost}), draw, jobs=4000, seed=seed, warm_up=1000)
        ratios.append(lag_s / lag_of_the_bound(BELOW[draw], polls))
    assert sum(ratios) / len(ratios) <= most


def test_half_of_the_polls_of_a_fixed_interval_at_the_same_lag() -> None:
    policy = LearnedPolling(1e9, costs={Lag.A_SLOT: 0.0088})
    polls, lag_s = simulate(policy, bimodal, jobs=2000, seed=7, warm_up=500)
    every_s = 2.0 * lag_s
    assert polls <= 0.6 * 34.0 / every_s


def test_a_model_that_nobody_knows_is_asked_about_by_its_age() -> None:
    assert LearnedPolling(1e9).next_poll_s("model", 10.0, Crowd(), 0.5) == ProportionalPolling().next_poll_s("m", 10.0)


def test_what_one_model_taught_is_not_believed_of_another() -> None:
    policy = LearnedPolling(1e9)
    simulate(policy, bimodal, jobs=100, seed=7)
    assert policy.next_poll_s("another", 1.0, Crowd(), 0.5) == ProportionalPolling().next_poll_s("another", 1.0)


def test_a_job_older_than_any_before_it_is_asked_about_by_its_age() -> None:
    policy = LearnedPolling(1e9)
    simulate(policy, lognormal, jobs=300, seed=7)
    assert policy.next_poll_s("model", 300.0, Crowd(), 0.5) == pytest.approx(45.0)
    assert policy.next_poll_s("model", 30_000.0, Crowd(), 0.5) == policy.most_s


@pytest.mark.parametrize("live", [1, 20, 300])
@pytest.mark.parametrize("lag", list(Lag))
def test_all_jobs_together_keep_to_the_polls_of_a_minute(live: int, lag: Lag) -> None:
    policy = LearnedPolling(600.0)
    simulate(policy, lognormal, jobs=200, seed=7)
    for age_s in (0.0, 5.0, 15.0, 20.0, 40.0, 500.0):
        assert live * 60.0 / policy.next_poll_s("model", age_s, Crowd(live, lag), 0.0) <= 600.0 + 1e-6


def test_fewer_polls_are_spent_where_other_jobs_wait_for_the_slot() -> None:
    def polls(lag: Lag) -> int:
        policy = LearnedPolling(1e9)
        simulate(policy, lognormal, jobs=500, seed=7)
        age_s, asked = 0.0, 0
        while age_s < 25.0:
            age_s += policy.next_poll_s("model", age_s, Crowd(lag=lag), 0.5)
            asked += 1
        return asked

    assert polls(Lag.HIDDEN) < 0.5 * polls(Lag.A_SLOT)


def test_the_last_jobs_are_asked_about_often_and_a_crowd_of_last_jobs_is_not() -> None:
    policy = LearnedPolling(1e9)
    simulate(policy, lambda chance: 2.0 * math.exp(0.5 * chance.gauss(0.0, 1.0)), jobs=500, seed=7)
    alone = policy.next_poll_s("model", 2.0, Crowd(1, Lag.THE_END), 0.5)
    crowd = policy.next_poll_s("model", 2.0, Crowd(300, Lag.THE_END), 0.5)
    assert 0.05 <= alone <= 0.1
    assert crowd > 0.2


def test_a_later_run_knows_what_this_one_learned() -> None:
    policy, later = LearnedPolling(1e9), LearnedPolling(1e9)
    simulate(policy, bimodal, jobs=500, seed=7)
    later.recall(policy.learned())
    assert later.learned() == policy.learned()
    cold = simulate(LearnedPolling(1e9), bimodal, jobs=50, seed=8)
    known, recalled = (simulate(one, bimodal, jobs=400, seed=8) for one in (policy, later))
    assert recalled == pytest.approx(known, rel=0.2)
    assert cold != pytest.approx(known, rel=0.2)


@pytest.mark.parametrize(
    "told",
    [
        {"model": "?"},
        {"model": {"bins": BINS, "jobs": 3}},
        {"model": {"bins": BINS, "jobs": -1, "seconds": 1, "counts": {}}},
        {"model": {"bins": BINS, "jobs": 5, "seconds": float("inf"), "counts": {}}},
        {"model": {"bins": BINS, "jobs": 5, "seconds": 9, "counts": {"99999": 1}}},
        {"model": {"bins": BINS, "jobs": 5, "seconds": 9, "counts": [1]}},
        {"model": {"bins": BINS // 2, "jobs": 5, "seconds": 9, "counts": {"100": 5}}},
        {"model": {"jobs": 5, "seconds": 9, "counts": {"100": 5}}},
    ],
)
def test_a_memory_that_cannot_be_read_is_left_out(told: Mapping[str, object]) -> None:
    policy = LearnedPolling(1e9)
    policy.recall(told)
    assert policy.learned() == {}


@pytest.mark.slow
def test_a_provider_that_became_slower_is_followed() -> None:
    policy = LearnedPolling(1e9)
    simulate(policy, lognormal, jobs=3000, seed=7)

    def slower(chance: random.Random) -> float:
        return 5.0 * lognormal(chance)

    polls, lag_s = simulate(policy, slower, jobs=6000, seed=8, warm_up=5000)
    fresh_polls, fresh_lag_s = simulate(LearnedPolling(1e9), slower, jobs=6000, seed=8, warm_up=5000)
    assert polls <= 1.3 * fresh_polls
    assert lag_s <= 1.3 * fresh_lag_s


def test_every_age_has_its_bin() -> None:
    for age_s in (0.0, 0.049, 0.05, 0.0500001, 1.0, 59.9, 86_000.0, 1e9):
        at = bin_of(age_s)
        assert EDGES_S[at] <= age_s
        assert age_s < EDGES_S[at + 1] or at == len(EDGES_S) - 2


def test_one_job_counts_once_however_wide_the_span_in_which_it_ended() -> None:
    ages = AgesAtEnd()
    for alive_s, ended_s in ((0.0, 0.0), (0.0, 3.0), (2.0, 2.5), (7.0, 7.0), (10.0, 90_000_000.0)):
        before = sum(ages.counts)
        ages.add(alive_s, ended_s)
        assert sum(ages.counts) == pytest.approx(before + 1.0)
