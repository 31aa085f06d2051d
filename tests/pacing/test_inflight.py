"""How many jobs are let to the provider at once: what is learned from accounts of several kinds, in virtual time."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from typing import TypeVar

import pytest

from batchgen.scheduler.pacing import AutoInFlight, FixedInFlight, InFlight, LearnedPolling
from tests.pacing.account import Account, Client, Run, list_schedule_s

Slots = TypeVar("Slots", bound=InFlight)


def job_times(jobs: int, median_s: float = 2.0, seed: int = 3) -> list[float]:
    chance = random.Random(seed)
    return [median_s * math.exp(0.5 * chance.gauss(0.0, 1.0)) for _ in range(jobs)]


def run(
    slots: InFlight,
    account: Account,
    jobs_s: list[float],
    changes: dict[float, Callable[[Account], None]] | None = None,
    polls_per_min: float = 120_000.0,
) -> Run:
    return Client(account, slots, LearnedPolling(polls_per_min), jobs_s, changes=changes or {}).run()


@pytest.mark.parametrize(("polls_per_min", "of_ideal", "most_polls"), [(120_000.0, 0.97, 13.0), (36_000.0, 0.93, 6.0)])
def test_a_fixed_number_is_near_perfect_scheduling_and_few_polls_cost_little(
    polls_per_min: float, of_ideal: float, most_polls: float
) -> None:
    jobs_s = job_times(2000)
    told = run(FixedInFlight(200), Account(200), jobs_s, polls_per_min=polls_per_min)
    assert list_schedule_s(jobs_s, 200) / told.makespan_s >= of_ideal
    assert told.polls / len(jobs_s) <= most_polls


def test_auto_finds_200_slots_from_nothing_and_a_queue_behind_them_saves_polls_and_time() -> None:
    jobs_s = job_times(2000)
    told = run(AutoInFlight(), Account(200), jobs_s)
    assert list_schedule_s(jobs_s, 200) / told.makespan_s >= 0.98
    assert told.polls / len(jobs_s) <= 5.0
    assert max(limit for _, limit, _ in told.limits) <= 300


def test_the_ramp_takes_a_handful_of_round_trips() -> None:
    told = run(AutoInFlight(), Account(200), job_times(400))
    assert told.accepted_at[199] <= 0.3  # POSTs take 10 ms here


def test_auto_keeps_no_more_than_twice_what_runs_once_it_knows() -> None:
    told = run(AutoInFlight(), Account(10), job_times(300))
    known_from = next(at for at, (_, _, hides) in enumerate(told.limits) if hides)
    assert max(limit for _, limit, _ in told.limits[known_from:]) <= 20


def test_auto_keeps_a_few_slots_as_full_as_many() -> None:
    nights = [job_times(300, seed=seed) for seed in range(3, 8)]
    of_ideal = [list_schedule_s(jobs_s, 10) / run(AutoInFlight(), Account(10), jobs_s).makespan_s for jobs_s in nights]
    assert sum(of_ideal) / len(of_ideal) >= 0.97


def test_auto_lets_no_more_than_the_ceiling_run_where_the_account_takes_more() -> None:
    account = Account(1000)
    told = run(AutoInFlight(ceiling=100), account, job_times(1000))
    assert account.most_running <= 130  # as many as would wait behind a hundred that run, and only once
    assert {limit for _, limit, _ in told.limits[-500:]} == {100}


@pytest.mark.parametrize("slots", [FixedInFlight(40), AutoInFlight()])
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_limit_that_falls_from_40_to_15_causes_a_handful_of_refusals(slots: InFlight, seed: int) -> None:
    refused_before = []

    def fall(account: Account) -> None:
        account.slots = 15
        refused_before.append(account.refused)

    jobs_s = job_times(500, median_s=20.0, seed=seed)
    told = run(copy.deepcopy(slots), Account(40, room=0), jobs_s, changes={120.0: fall})
    assert told.refused - refused_before[0] <= 9
    assert told.limits[-1][1] <= 15


def test_a_limit_that_refuses_is_found_and_held() -> None:
    jobs_s = job_times(2000, median_s=20.0)
    told = run(AutoInFlight(), Account(40, room=0), jobs_s)
    assert told.refused <= 15
    assert list_schedule_s(jobs_s, 40) / told.makespan_s >= 0.90


@pytest.mark.parametrize("job_s", [0.1, 2.0, 10.0])
@pytest.mark.parametrize("slots", [FixedInFlight(200), AutoInFlight()])
def test_where_50_submits_a_second_are_allowed_few_are_refused_and_no_time_is_lost(
    slots: InFlight, job_s: float
) -> None:
    told = run(copy.deepcopy(slots), Account(600, per_s=50.0), [job_s] * 500)
    assert told.refused <= 25
    ideal_s = (500 - 50) / 50
    if job_s * 50 < 150:  # else slots are the limit, and not the rate
        assert told.accepted_at[-1] <= 1.05 * ideal_s


@pytest.mark.parametrize("slots", [FixedInFlight(40), AutoInFlight()])
@pytest.mark.parametrize(("share", "times_ideal"), [(0.05, 1.1), (0.10, 1.15), (0.15, 1.25), (0.20, 2.0)])
def test_where_posts_are_refused_by_chance_a_run_goes_on_at_its_pace(
    slots: InFlight, share: float, times_ideal: float
) -> None:
    jobs_s = job_times(500, median_s=5.0)
    told = run(copy.deepcopy(slots), Account(40, by_chance=share), jobs_s)
    assert told.makespan_s <= times_ideal * list_schedule_s(jobs_s, 40)
    assert told.refused <= 2 * share * len(jobs_s)


@pytest.mark.parametrize("slots", [FixedInFlight(40), AutoInFlight()])
def test_a_run_of_short_jobs_does_not_pause_for_every_refusal_by_chance(slots: InFlight) -> None:
    jobs_s = job_times(2000, median_s=0.2)
    told = run(copy.deepcopy(slots), Account(40, by_chance=0.02), jobs_s)
    assert told.makespan_s <= 1.6 * list_schedule_s(jobs_s, 40)


@pytest.mark.parametrize("slots", [FixedInFlight(40), AutoInFlight()])
def test_a_limit_is_kept_to_beside_refusals_by_chance(slots: InFlight) -> None:
    jobs_s = job_times(500, median_s=5.0)
    told = run(copy.deepcopy(slots), Account(15, room=0, by_chance=0.05), jobs_s)
    assert told.makespan_s <= 2.0 * list_schedule_s(jobs_s, 15)
    assert told.refused <= 0.2 * len(jobs_s)


class TestRefusals:
    def test_the_first_refusal_cuts_nothing_and_the_next_does_if_nothing_was_accepted_between(self) -> None:
        slots = with_jobs(FixedInFlight(40), 40)
        for _ in range(20):
            slots.busy(100.0, 101.0)
        assert slots.limit == 40
        for _ in range(20):
            slots.busy(101.0, 102.0)
        assert slots.limit == 30

    def test_a_refusal_with_as_many_after_some_were_accepted_cuts_too(self) -> None:
        slots = with_jobs(FixedInFlight(100), 40)
        slots.busy(100.0, 101.0)
        with_jobs(slots, 42, first=40)
        slots.busy(101.0, 102.0)
        assert slots.limit == 31

    def test_many_more_than_were_refused_show_that_it_was_the_rate(self) -> None:
        slots = with_jobs(FixedInFlight(100), 40)
        slots.busy(100.0, 101.0)
        assert slots.limit == 54
        with_jobs(slots, 52, first=40)
        assert slots.limit == 100

    def test_a_refusal_after_the_pause_cuts_again_from_what_is_live_then(self) -> None:
        slots = with_jobs(FixedInFlight(40), 40)
        slots.busy(100.0, 101.0)
        for key in range(20):
            slots.ended(key)
        slots.busy(101.0, 102.0)
        assert slots.limit == 15

    def test_the_limit_never_falls_below_one(self) -> None:
        slots = FixedInFlight(40)
        for at in range(10):
            slots.busy(100.0 + at, 100.5 + at)
        assert slots.limit == 1

    def test_acceptances_lead_back_to_just_below_where_it_was_refused(self) -> None:
        slots = with_jobs(FixedInFlight(40), 40)
        slots.busy(100.0, 101.0)
        slots.busy(101.0, 102.0)
        replace_jobs(slots, 40, 200)
        assert 36 <= slots.limit <= 39

    def test_what_was_refused_is_tried_again_after_a_long_time_without_refusals(self) -> None:
        slots = with_jobs(FixedInFlight(40), 20)
        slots.busy(100.0, 101.0)
        slots.busy(101.0, 102.0)
        replace_jobs(slots, 20, 5000)
        assert slots.limit > 20


class TestAuto:
    def test_it_starts_small_and_every_acceptance_makes_room(self) -> None:
        slots = AutoInFlight()
        assert slots.limit == 16
        assert with_jobs(slots, 16).limit == 20
        assert with_jobs(slots, 64, first=16).limit == 72

    def test_one_that_waits_tells_what_runs(self) -> None:
        slots = with_jobs(AutoInFlight(), 60)
        slots.seen_running(39)
        slots.seen_queued(45)
        assert slots.hides_lag
        assert slots.limit == 52  # 40 have started, and 1.3 times as many are kept

    def test_a_cold_start_says_nothing_about_slots(self) -> None:
        slots = with_jobs(AutoInFlight(), 16)
        slots.seen_queued(0)
        assert slots.limit == 20

    def test_where_jobs_do_not_start_in_their_order_no_more_than_what_surely_runs_allows_is_kept(self) -> None:
        slots = with_jobs(AutoInFlight(), 60)
        for key in range(50):
            slots.seen_queued(key)
        for key in range(50, 59):
            slots.seen_running(key)
        slots.seen_queued(59)
        assert slots.limit == 15

    def test_more_slots_in_the_night_are_found(self) -> None:
        slots = with_jobs(AutoInFlight(), 60)
        slots.seen_running(39)
        slots.seen_queued(45)
        for _ in range(2):
            for key in range(60):
                slots.seen_running(key)
        assert slots.limit == 78
        assert not slots.hides_lag

    def test_what_was_learned_is_told_and_nothing_is_told_before(self) -> None:
        slots = with_jobs(AutoInFlight(), 60)
        assert slots.learned is None
        slots.seen_running(39)
        slots.seen_queued(45)
        assert slots.learned == 52

    def test_a_job_is_looked_at_now_and_then_and_not_each(self) -> None:
        slots = AutoInFlight()
        looks = sum(slots.accepted(key) for key in range(240))
        assert 10 <= looks <= 40

    def test_jobs_that_are_not_known_may_end(self) -> None:
        slots = AutoInFlight()
        slots.ended(99)
        assert slots.limit == 16


def with_jobs(slots: Slots, up_to: int, first: int = 0) -> Slots:
    for key in range(first, up_to):
        slots.accepted(key)
    return slots


def replace_jobs(slots: InFlight, live: int, times: int) -> None:
    """End the oldest job and accept another, if the limit allows it, *times* times."""
    keys = list(range(live))
    for new in range(live, live + times):
        slots.ended(keys.pop(0))
        while len(keys) < slots.limit:
            keys.append(new * 1000 + len(keys))
            slots.accepted(keys[-1])
