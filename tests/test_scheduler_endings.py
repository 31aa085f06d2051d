"""Runs that must end: whatever stands still, the wait for it has an end, and what it was is named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path

import pytest

from batchgen.core.errors import Exit
from batchgen.core.job import State
from batchgen.providers.contract import Cause
from batchgen.scheduler import Scheduler
from tests.virtual import in_virtual_time, names, night, the_loop

HOUR_S = 3600.0
TIMEOUT_S = 600.0


@pytest.mark.parametrize("fault", ["download.403", "download.5xx"])
@in_virtual_time
async def test_a_file_host_that_refuses_for_ever_ends_the_wait_and_no_row(tmp_path: Path, fault: str) -> None:
    async with night(tmp_path, faults=f"{fault}=100%") as here:
        await here.run(names(3), job_timeout_s=TIMEOUT_S)
        assert here.exit() is Exit.STILL_LIVE
        assert here.scheduler.overdue == set(names(3))
        assert here.count(State.READY) == 3
        assert TIMEOUT_S < here.now_s < TIMEOUT_S + 90

        again_at = here.now_s
        await here.run(job_timeout_s=TIMEOUT_S)  # overdue already: tried for a while and left
        assert here.exit() is Exit.STILL_LIVE
        assert here.now_s - again_at < 300

        here.change(faults="")
        await here.run(job_timeout_s=TIMEOUT_S)
        assert here.exit() is Exit.DONE
        assert sorted(here.paid) == names(3)


@in_virtual_time
async def test_a_short_limit_ends_the_wait_before_the_next_fresh_link_is_due(tmp_path: Path) -> None:
    async with night(tmp_path, faults="download.403=100%", latency="fixed:1s") as here:
        await here.run(names(3), job_timeout_s=30.0)
        assert here.exit() is Exit.STILL_LIVE
        assert here.scheduler.overdue == set(names(3))
        assert here.now_s < 40.0


@in_virtual_time
async def test_a_link_that_expired_over_night_makes_no_job_overdue(tmp_path: Path) -> None:
    async with night(tmp_path, faults="expire=60s,download.5xx=100%") as here:
        await here.run(names(2), during=leave_after(120.0))
        assert here.count(State.READY) == 2
        here.clock.ahead_s += 8 * HOUR_S
        here.change(faults="expire=60s")
        await here.run(job_timeout_s=TIMEOUT_S)
        assert here.exit() is Exit.DONE


@in_virtual_time
async def test_a_file_host_that_comes_back_in_time_is_waited_for(tmp_path: Path) -> None:
    async with night(tmp_path, faults="download.403=100%") as here:

        async def mend(_: Scheduler) -> None:
            await asyncio.sleep(0.9 * TIMEOUT_S)
            here.change(faults="")

        await here.run(names(3), during=mend, job_timeout_s=2 * TIMEOUT_S)
        assert here.exit() is Exit.DONE


@in_virtual_time
async def test_overdue_jobs_in_every_slot_end_the_run_with_rows_pending(tmp_path: Path) -> None:
    async with night(tmp_path, latency="fixed:20h") as here:
        await here.run(names(5), in_flight=2, job_timeout_s=TIMEOUT_S)
        assert here.exit() is Exit.STILL_LIVE
        assert here.scheduler.overdue == set(names(2))
        assert here.paid == names(2)
        assert here.count(State.PENDING) == 3
        assert "hold all slots" in " ".join(here.ending.notes)
        assert here.now_s < TIMEOUT_S + 300


@in_virtual_time
async def test_one_slot_that_is_not_overdue_carries_all_that_is_left(tmp_path: Path) -> None:
    async with night(tmp_path, latency="fixed:20h") as here:

        async def quicken(_: Scheduler) -> None:
            await asyncio.sleep(10.0)
            here.change(latency="fixed:5min")

        await here.run(names(8), during=quicken, in_flight=2, submits_per_min=2, job_timeout_s=TIMEOUT_S)
        assert here.exit() is Exit.STILL_LIVE
        assert here.scheduler.overdue == {"row-000"}
        assert here.count(State.COLLECTED) == 7


@in_virtual_time
async def test_a_job_that_is_overdue_is_named_whatever_ends_the_run(tmp_path: Path) -> None:
    async with night(tmp_path, latency="fixed:20h") as here:

        async def revoke(_: Scheduler) -> None:
            await asyncio.sleep(10.0)
            here.change(latency="fixed:5min")
            await asyncio.sleep(2 * TIMEOUT_S)
            here.change(token="another")

        await here.run(names(12), during=revoke, in_flight=2, submits_per_min=2, job_timeout_s=TIMEOUT_S)
        assert here.exit() is Exit.TOKEN
        assert here.scheduler.overdue == {"row-000"}


# ── a disk and a state that are no longer there ─────────────────────────────────────────────────────────


@in_virtual_time
async def test_a_folder_that_vanishes_stops_the_run_and_is_named(tmp_path: Path) -> None:
    async with night(tmp_path) as here:

        async def move_away(_: Scheduler) -> None:
            await asyncio.sleep(10.0)
            here.folder.path.rename(tmp_path / "elsewhere")

        await here.run(names(5), during=move_away, in_flight=1)
        assert here.ending.cause is Cause.DISK
        assert str(here.folder.path) in here.ending.reason
        assert len(here.paid) == 1


@in_virtual_time
async def test_a_state_that_can_no_longer_be_read_stops_the_run_and_loses_no_id(tmp_path: Path) -> None:
    async with night(tmp_path) as here:
        here.post_s = 10.0

        async def break_reader(scheduler: Scheduler) -> None:
            await asyncio.sleep(5.0)
            scheduler.state.reader._connection.close()

        await here.run(names(5), during=break_reader, in_flight=1)
        assert here.ending.cause is Cause.DISK
        assert "cannot be read" in here.ending.reason
        assert len(here.paid) >= 1  # rows that were read ahead are sent
        assert here.count(State.COLLECTED) == len(here.paid)


# ── a person who wants to go ────────────────────────────────────────────────────────────────────────────


def leave_after(seconds: float) -> Callable[[Scheduler], Coroutine[None, None, None]]:
    async def leave(scheduler: Scheduler) -> None:
        await asyncio.sleep(seconds)
        scheduler.leave()

    return leave


@in_virtual_time
async def test_a_slow_submit_rate_keeps_nobody_from_leaving(tmp_path: Path) -> None:
    async with night(tmp_path) as here:
        await here.run(names(5), during=leave_after(5.0), submits_per_min=1 / 60)
        assert here.now_s == pytest.approx(5.0, abs=0.1)
        assert here.paid == ["row-000"]


@in_virtual_time
async def test_a_slow_submit_rate_keeps_no_run_that_was_stopped(tmp_path: Path) -> None:
    async with night(tmp_path) as here:

        async def stop(scheduler: Scheduler) -> None:
            await asyncio.sleep(5.0)
            scheduler.stop()

        await here.run(names(5), during=stop, submits_per_min=1 / 60)
        assert here.count(State.COLLECTED) == 1
        assert here.now_s < 60.0


@in_virtual_time
async def test_a_submit_rate_is_kept_to_the_second(tmp_path: Path) -> None:
    async with night(tmp_path) as here:
        await here.run(names(5), submits_per_min=6.0)
        times = [at for at, _ in here.posts_at]
        assert [round(after - before, 3) for before, after in pairwise(times)] == [10.0] * 4


# ── a machine that slept ────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_waking_up_asks_about_jobs_and_leaves_refused_links_their_time(tmp_path: Path) -> None:
    async with night(tmp_path, faults="download.403=100%") as here:
        seen: list[int] = []

        async def sleep(scheduler: Scheduler) -> None:
            await asyncio.sleep(100.0)
            here.clock.ahead_s += HOUR_S
            for _ in range(2):
                seen.append(here.server.counters["download"])
                await asyncio.sleep(60.0)
            scheduler.leave()

        await here.run(names(2), during=sleep, job_timeout_s=10 * HOUR_S)
        assert "slept for 60 min" in " ".join(here.ending.notes)
        assert seen == [4, 4]  # the link that came with the result and a fresh one, of two jobs each


def test_no_time_passes_while_threads_are_at_work(tmp_path: Path) -> None:
    """What all of these rest on: waiting for the disk or for a worker thread takes no virtual time."""

    @in_virtual_time
    async def one_row(tmp_path: Path) -> None:
        async with night(tmp_path, latency="fixed:1s") as here:
            await here.run(names(1))
            assert here.exit() is Exit.DONE
            assert here.now_s < 3.0
            assert the_loop().waited_for_threads >= 4

    one_row(tmp_path=tmp_path)
