"""A forecast is a range: it holds the truth nine times in ten, and is no wider than of use."""

from __future__ import annotations

import math
import random

import pytest

from batchgen.core.forecast import Measure, cost_left_micro, time_left_s
from tests.pacing.account import list_schedule_s


def measured(*figures: float) -> Measure:
    measure = Measure()
    for figure in figures:
        measure.add(figure)
    return measure


def lognormal_s(chance: random.Random) -> float:
    return 20.0 * math.exp(0.5 * chance.gauss(0.0, 1.0))


def bimodal_s(chance: random.Random) -> float:
    return (8.0 if chance.random() < 0.5 else 60.0) * math.exp(0.1 * chance.gauss(0.0, 1.0))


@pytest.mark.parametrize("draw", [lognormal_s, bimodal_s])
@pytest.mark.parametrize(("rows", "slots"), [(30, 40), (200, 20), (2000, 200), (5000, 16)])
def test_before_the_start_the_range_holds_the_truth_nine_times_in_ten(draw: object, rows: int, slots: int) -> None:
    assert callable(draw)
    held, widths = 0, []
    for seed in range(60):
        chance = random.Random(seed)
        history = measured(*(draw(chance) for _ in range(50)))
        truth_s = list_schedule_s((draw(chance) for _ in range(rows)), slots)
        low_s, high_s = time_left_s(history, rows, 0, (slots, slots))
        held += low_s <= truth_s <= high_s
        widths.append(high_s / truth_s)
    assert held >= 54
    if rows > 10 * slots:
        assert sum(widths) / len(widths) < 2.5


@pytest.mark.parametrize("done", [0.1, 0.5, 0.9])
def test_while_running_the_range_holds_the_truth_nine_times_in_ten(done: float) -> None:
    held = 0
    for seed in range(60):
        chance = random.Random(seed)
        jobs_s = [lognormal_s(chance) for _ in range(600)]
        end_s = list_schedule_s(jobs_s, 20)
        now_s = done * end_s
        ages, in_flight, unsent = replay(jobs_s, 20, now_s)
        low_s, high_s = time_left_s(ages, unsent, in_flight, (20, 20))
        held += low_s <= end_s - now_s <= high_s
    assert held >= 54


def replay(jobs_s: list[float], slots: int, now_s: float) -> tuple[Measure, int, int]:
    """What a run knows at *now_s*: the ages of ended jobs, how many run, and how many were not sent."""
    ages, free_at = Measure(), [0.0] * slots
    in_flight = unsent = 0
    for job_s in jobs_s:
        slot = min(range(slots), key=free_at.__getitem__)
        starts_at = free_at[slot]
        free_at[slot] += job_s
        if starts_at > now_s:
            unsent += 1
        elif free_at[slot] > now_s:
            in_flight += 1
        else:
            ages.add(job_s)
    return ages, in_flight, unsent


def test_nothing_left_takes_no_time() -> None:
    assert time_left_s(measured(5.0, 6.0), 0, 0, (20, 20)) == (0.0, 0.0)


def test_nothing_known_forecasts_nothing() -> None:
    assert time_left_s(Measure(), 100, 0, (20, 20)) == (0.0, 0.0)


def test_a_single_measured_job_gives_a_wide_range() -> None:
    low_s, high_s = time_left_s(measured(20.0), 1000, 0, (20, 20))
    assert low_s == 0.0
    assert high_s > 3000.0


def test_not_knowing_the_slots_widens_the_range() -> None:
    ages = measured(*(lognormal_s(random.Random(seed)) for seed in range(50)))
    low_s, high_s = time_left_s(ages, 1000, 0, (16, 200))
    assert low_s == time_left_s(ages, 1000, 0, (200, 200))[0]
    assert high_s > time_left_s(ages, 1000, 0, (200, 200))[1]


def test_costs_are_anything_up_to_the_price_until_three_are_known() -> None:
    assert cost_left_micro(measured(30_000.0, 30_000.0), 10, 40_000) == (0, 400_000)
    assert cost_left_micro(measured(30_000.0, 30_000.0, 30_000.0), 10, 40_000) == (300_000, 300_000)


def test_costs_that_vary_give_a_range_that_holds_the_truth() -> None:
    held = 0
    for seed in range(60):
        chance = random.Random(seed)
        low, high = cost_left_micro(measured(*(chance.uniform(20e3, 60e3) for _ in range(20))), 500, 60_000)
        held += low <= sum(chance.uniform(20e3, 60e3) for _ in range(500)) <= high
    assert held >= 54
