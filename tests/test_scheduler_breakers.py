"""What keeps rows from being sent pauses and does not fail: rows stay pending, polling and collecting go on, one row
tries, and whatever opened is told.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path

import pytest

from batchgen.core.errors import Exit
from batchgen.core.job import State
from batchgen.scheduler import Limits, Scheduler
from tests.processes import MODEL
from tests.virtual import Night, in_virtual_time, names, night

HOUR_S = 3600.0
PRICE_USD = 0.03

During = Callable[[Scheduler], Coroutine[None, None, None]]


def at(seconds: float, change: Callable[[], object]) -> During:
    """Do *change* once, *seconds* after the run began."""

    async def during(_: Scheduler) -> None:
        await asyncio.sleep(seconds)
        change()

    return during


def accepted_at(here: Night) -> list[float]:
    return [when for when, status in here.posts_at if status == 200]


def refused_at(here: Night) -> list[float]:
    return [when for when, status in here.posts_at if status != 200]


# ── balance ─────────────────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_without_the_flag_an_empty_wallet_ends_the_run_with_4_and_what_was_paid_for_at_home(
    tmp_path: Path,
) -> None:
    async with night(tmp_path, wallet_usd=3 * PRICE_USD) as here:
        await here.run(names(6), in_flight=2)
        assert here.exit() is Exit.BALANCE
        assert (here.count(State.COLLECTED), here.count(State.PENDING)) == (3, 3)
        assert here.told == ["balance opened"]


@in_virtual_time
async def test_waiting_for_balance_tries_one_row_now_and_then_and_goes_on_when_there_is_some(tmp_path: Path) -> None:
    async with night(tmp_path, wallet_usd=3 * PRICE_USD) as here:
        top_up = at(2 * HOUR_S, lambda: here.change(wallet_usd=10.0))
        await here.run(names(12), during=top_up, in_flight=4, wait_for_balance=True)
        assert here.exit() is Exit.DONE
        assert sorted(here.paid) == names(12)
        refused = refused_at(here)
        assert len(refused) < 20
        apart = [after - before for before, after in pairwise(refused[4:])]
        assert min(apart) >= 60.0  # one row at a time
        assert max(apart) <= 901.0
        assert accepted_at(here)[3] <= 2 * HOUR_S + 901.0
        assert here.told[:3] == ["balance opened", "balance half-open", "balance opened"]
        assert here.told[-1] == "balance closed"
        assert "does not cover" in here.breakers[0].reason


@in_virtual_time
async def test_while_waiting_for_balance_paid_jobs_come_home(tmp_path: Path) -> None:
    async with night(tmp_path, wallet_usd=3 * PRICE_USD) as here:
        seen: list[int] = []

        async def look(scheduler: Scheduler) -> None:
            await asyncio.sleep(300.0)
            seen.append(scheduler.state.tally.counts[State.COLLECTED])
            (opened,) = scheduler.breakers
            assert opened.until is None or opened.until > here.clock()
            assert scheduler.waiting_for == "the account's balance"
            scheduler.stop()

        await here.run(names(6), during=look, wait_for_balance=True)
        assert seen == [3]
        assert here.count(State.PENDING) == 3


# ── provider ────────────────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_without_the_flag_a_provider_out_of_reach_ends_the_run_with_5(tmp_path: Path) -> None:
    async with night(tmp_path) as here:
        await here.run(names(6), during=at(60.0, lambda: here.cut_off(True)), in_flight=2)
        assert here.exit() is Exit.PROVIDER
        assert here.now_s < HOUR_S
        assert here.told[0] == "provider opened"
        assert here.count(State.FAILED) == here.count(State.IN_DOUBT) == 0


@in_virtual_time
async def test_waiting_for_the_provider_outlasts_hours_and_pays_nothing_twice(tmp_path: Path) -> None:
    async with night(tmp_path) as here:

        async def outage(_: Scheduler) -> None:
            await asyncio.sleep(60.0)
            here.cut_off(True)
            await asyncio.sleep(2 * HOUR_S)
            here.cut_off(False)

        await here.run(names(12), during=outage, in_flight=2, wait_for_provider=True)
        assert here.exit() is Exit.DONE
        assert sorted(here.paid) == names(12)
        assert here.now_s < 2 * HOUR_S + 600.0
        assert here.told[-1] == "provider closed"


@in_virtual_time
async def test_a_provider_that_was_never_there_is_waited_for_too(tmp_path: Path) -> None:
    async with night(tmp_path) as here:
        here.cut_off(True)
        await here.run(names(3), during=at(HOUR_S, lambda: here.cut_off(False)), wait_for_provider=True)
        assert here.exit() is Exit.DONE


@in_virtual_time
async def test_after_an_outage_one_row_tries_before_the_others_follow(tmp_path: Path) -> None:
    async with night(tmp_path, latency="fixed:10s") as here:
        here.post_s = 3.0
        here.cut_off(True)
        await here.run(names(6), during=at(600.0, lambda: here.cut_off(False)), in_flight=6, wait_for_provider=True)
        first, second, *_ = accepted_at(here)
        assert second - first >= 3.0


@in_virtual_time
async def test_lost_answers_end_submitting_after_six_and_jobs_in_flight_still_come_home(tmp_path: Path) -> None:
    async with night(tmp_path, latency="fixed:30min") as here:
        lose = at(15.0, lambda: here.change(faults="submit.5xx_before=100%"))
        await here.run(names(20), during=lose, in_flight=20, submits_per_min=6.0)
        assert here.exit() is Exit.PROVIDER
        assert here.count(State.IN_DOUBT) == 6
        assert here.count(State.COLLECTED) == 2
        assert "answers in a row were lost" in here.ending.reason


@in_virtual_time
async def test_waiting_for_the_provider_risks_a_few_rows_in_doubt_and_no_more(tmp_path: Path) -> None:
    async with night(tmp_path) as here:

        async def outage(_: Scheduler) -> None:
            await asyncio.sleep(60.0)
            here.change(faults="submit.5xx_before=100%")
            await asyncio.sleep(2 * HOUR_S)
            here.change(faults="")

        await here.run(names(40), during=outage, in_flight=2, wait_for_provider=True)
        assert here.exit() is Exit.IN_DOUBT
        assert 3 <= here.count(State.IN_DOUBT) <= 14
        assert here.count(State.COLLECTED) == 40 - here.count(State.IN_DOUBT)
        assert len(set(here.paid)) == len(here.paid)


@in_virtual_time
async def test_nothing_is_sent_while_questions_bring_nothing_but_server_errors(tmp_path: Path) -> None:
    async with night(tmp_path, latency="fixed:10min") as here:

        async def storm(_: Scheduler) -> None:
            await asyncio.sleep(65.0)
            here.change(faults="status.5xx=100%,submit.5xx_before=100%")
            await asyncio.sleep(HOUR_S)
            here.change(faults="")

        await here.run(names(8), during=storm, in_flight=4, submits_per_min=1.0)
        assert here.exit() is Exit.DONE
        assert "errors half-open" in here.told
        assert here.told[-1] == "errors closed"


# ── model, token, disk ──────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_a_model_that_comes_back_while_the_run_is_on_is_tried_with_one_row(tmp_path: Path) -> None:
    async with night(tmp_path) as here:
        known = here.server.catalogue.models.pop(MODEL)
        back = at(1000.0, lambda: here.server.catalogue.models.update({MODEL: known}))
        await here.run(names(5), during=back, in_flight=5, wait_for_provider=True)
        assert here.exit() is Exit.DONE
        assert sorted(here.paid) == names(5)
        assert here.told[0] == "model opened"
        assert here.told[-1] == "model closed"
        assert here.breakers[0].model == MODEL
        assert len(refused_at(here)) < 5 + 10


@in_virtual_time
async def test_without_the_flag_a_model_that_is_missing_ends_the_run_with_5(tmp_path: Path) -> None:
    async with night(tmp_path) as here:
        del here.server.catalogue.models[MODEL]
        await here.run(names(5), in_flight=1)
        assert here.exit() is Exit.PROVIDER
        assert here.count(State.PENDING) == 5
        assert len(here.posts_at) == 1


@in_virtual_time
async def test_a_token_that_is_revoked_ends_the_run_at_once_with_3(tmp_path: Path) -> None:
    async with night(tmp_path, latency="fixed:10min") as here:
        await here.run(names(5), during=at(700.0, lambda: here.change(token="another")), in_flight=2)
        assert here.exit() is Exit.TOKEN
        assert here.now_s < 700.0 + 120.0
        assert here.told == ["token opened"]
        assert here.count(State.SUBMITTED) == 2
        assert here.count(State.PENDING) == 1


@in_virtual_time
async def test_a_full_disk_pauses_submitting_and_room_lets_it_go_on(tmp_path: Path) -> None:
    async with night(tmp_path, latency="fixed:10min") as here:

        async def fill_and_free(scheduler: Scheduler) -> None:
            free_bytes = shutil.disk_usage(tmp_path).free
            await asyncio.sleep(60.0)
            scheduler.limits = Limits(in_flight=4, min_free_bytes=2 * free_bytes)
            await asyncio.sleep(300.0)
            assert scheduler.waiting_for == "room on the disk"
            scheduler.limits = Limits(in_flight=4, min_free_bytes=0)

        await here.run(names(8), during=fill_and_free, in_flight=4, submits_per_min=2.0)
        assert here.exit() is Exit.DONE
        assert here.told[:2] == ["disk opened", "disk closed"]


@in_virtual_time
async def test_a_disk_that_stays_full_ends_the_run_with_9_once_nothing_else_is_left(tmp_path: Path) -> None:
    async with night(tmp_path) as here:

        async def fill(scheduler: Scheduler) -> None:
            await asyncio.sleep(10.0)
            scheduler.limits = Limits(in_flight=1, min_free_bytes=1 << 60)

        await here.run(names(3), during=fill, in_flight=1)
        assert here.exit() is Exit.STATE
        assert (here.count(State.COLLECTED), here.count(State.PENDING)) == (1, 2)


@in_virtual_time
async def test_a_cause_that_repeats_is_told_with_its_model(tmp_path: Path) -> None:
    async with night(tmp_path, faults="submit.refuse=100%") as here:
        await here.run(names(30), in_flight=1)
        assert here.exit() is Exit.SOME_FAILED
        assert here.told == ["same_cause half-open", "same_cause opened"]
        assert here.breakers[0].model == MODEL


@pytest.mark.parametrize("rate", ["1/s", "100/min"])
@in_virtual_time
async def test_a_rate_limit_is_told_while_it_holds(tmp_path: Path, rate: str) -> None:
    async with night(tmp_path, latency="fixed:1s", submit_rate=rate) as here:
        await here.run(names(20), in_flight=20)
        assert here.exit() is Exit.DONE
        assert here.told[:2] == ["busy opened", "busy closed"]
