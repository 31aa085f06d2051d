"""What the rest will cost: a range before the start and while a run is on, which holds what it then came to."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.errors import Exit
from batchgen.core.job import Job, State
from batchgen.core.money import Price
from batchgen.runner.activity import Pace
from batchgen.runner.measurements import History, measured
from batchgen.scheduler import Scheduler
from batchgen.scheduler.cost_forecast import CostForecast
from batchgen.scheduler.reservations import Reservations
from batchgen.state import open_state
from batchgen.storage.paths import RunFolder
from tests.processes import Batchgen, serving, write_csv
from tests.virtual import in_virtual_time, names, night


def job(**known: Any) -> Job:
    plain = Job(1, "a", 1, State.COLLECTED, "model", {}, (), "f", submitted_at=0.0, ended_at=5.0)
    return plain._replace(**known)


@in_virtual_time
async def test_while_a_run_is_on_the_rest_is_told_from_what_ended(tmp_path: Path) -> None:
    async with night(tmp_path, latency="fixed:60s") as here:
        told: list[tuple[int, int] | None] = []

        async def look(scheduler: Scheduler) -> None:
            told.append(scheduler.cost_left_micro)
            await asyncio.sleep(300.0)
            left = 10 - scheduler.state.tally.counts[State.COLLECTED]
            assert 0 < left < 8
            told.append(scheduler.cost_left_micro)
            assert told[-1] == (left * 30_000, left * 30_000)

        await here.run(names(10), during=look, in_flight=1)
        assert here.exit() is Exit.DONE
        assert told[0] == (0, 10 * 30_000)  # nothing has ended: anything up to the highest price
        assert here.scheduler.cost_left_micro == (0, 0)


@in_virtual_time
async def test_the_time_left_counts_what_fetching_takes_and_not_jobs_that_have_ended(tmp_path: Path) -> None:
    async with night(tmp_path, faults="download.slow=100%:40s", latency="fixed:1s") as here:
        told: list[tuple[float, float]] = []

        async def look(scheduler: Scheduler) -> None:
            await asyncio.sleep(140.0)
            assert scheduler.in_flight == 0
            assert 0 < scheduler.state.tally.counts[State.READY] < 8
            assert scheduler.left_s is not None
            told.append((here.now_s + scheduler.left_s[0], here.now_s + scheduler.left_s[1]))

        await here.run(names(10), during=look, in_flight=10, downloads=2)
        ((first_s, last_s),) = told
        assert first_s <= here.now_s <= last_s


@in_virtual_time
async def test_refused_rows_lower_what_is_to_be_expected(tmp_path: Path) -> None:
    async with night(tmp_path, faults="submit.refuse=#1-3") as here:
        seen: list[tuple[int, int] | None] = []

        async def look(scheduler: Scheduler) -> None:
            await asyncio.sleep(20.0)
            seen.append(scheduler.cost_left_micro)

        await here.run(names(6), during=look, in_flight=1)
        assert seen == [(0, 0)]  # three ended, and none of them cost anything


def test_where_nobody_knows_how_long_a_film_gets_nobody_says_what_the_rest_will_cost(tmp_path: Path) -> None:
    state = open_state(RunFolder.at(tmp_path / "out"), "http://127.0.0.1:1", False, lambda reason, jobs: None)
    with closing(state):
        purse = Reservations(state, {"picture": Price(20, 30), "film": Price(20, 30)}, None)
        assert CostForecast({"picture": 3}, purse).cost_left_micro() == (0, 90)
        assert CostForecast({"picture": 3, "film": 0}, purse).cost_left_micro() is None


def test_the_history_leaves_out_what_units_cost_where_nobody_knows_how_many_they_were() -> None:
    (told,) = measured([job(cost_micro=60_000, units=2), job(cost_micro=4_500_000, units=0)]).values()
    assert (told.jobs, told.priced, told.unit_micro) == (2, 1, 30_000)


def test_the_history_keeps_what_units_cost_and_reads_what_older_versions_wrote(tmp_path: Path) -> None:
    history = History("http://127.0.0.1:1", tmp_path)
    history.add(measured([job(cost_micro=60_000, units=2), job(cost_micro=40_000, units=1), job()]))
    known = history.read()["model"]
    assert (known.jobs, known.priced) == (3, 2)
    assert known.unit_micro / known.priced == pytest.approx(35_000.0)
    (file,) = (tmp_path / "history").iterdir()
    file.write_text('{"model": {"jobs": 4, "seconds": 8.0, "files": 4, "bytes": 400}}')
    assert (history.read()["model"].jobs, history.read()["model"].priced) == (4, 0)


def test_a_plan_tells_what_rows_are_likely_to_cost_and_status_what_is_left(tmp_path: Path) -> None:
    with serving() as server:
        batchgen = Batchgen(tmp_path, server.url)
        manifest = write_csv(tmp_path / "m.csv", 6)
        before = batchgen("plan", manifest, "--json").json["cost"]
        assert before["expected"] == [0.0, pytest.approx(before["estimate"])]
        assert batchgen("run", manifest, "--yes", "-q").exit == 0
        again = batchgen("plan", write_csv(tmp_path / "n.csv", 6, prefix="other"), "--json").json["cost"]
        assert again["expected"] == [pytest.approx(again["estimate"])] * 2


@in_virtual_time
async def test_where_fetching_is_slower_than_the_provider_the_end_is_told_by_it(tmp_path: Path) -> None:
    async with night(tmp_path, faults="download.slow=100%:40s", latency="fixed:1s") as here:
        told: list[tuple[float, float, float]] = []

        async def look(scheduler: Scheduler) -> None:
            await asyncio.sleep(170.0)
            assert scheduler.left_s is not None
            told.append((here.now_s, *scheduler.left_s))

        await here.run(names(40), during=look, in_flight=40, downloads=2)
        ((at_s, first_s, last_s),) = told
        really_s = here.now_s - at_s
        assert really_s > 300.0
        assert 0.5 * really_s < first_s <= really_s <= last_s


@in_virtual_time
async def test_once_a_fifth_of_the_rows_has_ended_the_time_left_is_told(tmp_path: Path) -> None:
    async with night(tmp_path, latency="fixed:60s") as here:
        told: list[tuple[float, float] | None] = []

        async def look(scheduler: Scheduler) -> None:
            told.append(scheduler.left_s)
            await asyncio.sleep(90.0)
            assert scheduler.state.tally.counts[State.COLLECTED] == 1
            told.append(scheduler.left_s)

        await here.run(names(5), during=look, in_flight=1)
    assert told[0] is None
    assert told[1] is not None
    assert told[1][0] <= 210.0 <= told[1][1]


@in_virtual_time
async def test_a_run_that_goes_on_tells_the_time_left_from_what_the_last_one_saw(tmp_path: Path) -> None:
    async with night(tmp_path, latency="fixed:60s") as here:
        await here.run(names(2), in_flight=1)
        told: list[tuple[float, float] | None] = []

        async def look(scheduler: Scheduler) -> None:
            await asyncio.sleep(1.0)
            told.append(scheduler.left_s)

        await here.run(names(5), during=look, in_flight=1)
    assert told[0] is not None
    assert told[0][0] <= 180.0 <= told[0][1]


def test_the_end_is_never_earlier_than_the_pace_that_was_seen() -> None:
    pace = Pace()
    for second in range(0, 300, 5):
        pace.note(float(second), second // 10)
        if second < 285:
            assert pace.kept_to((1.0, 2.0), 100) == (1.0, 2.0), "a start is no pace yet"
    assert pace.kept_to((1.0, 2.0), 100) == pytest.approx((1000.0, 1000.0), rel=0.05)
    assert pace.kept_to((2000.0, 3000.0), 100) == (2000.0, 3000.0)
    for second in range(300, 900, 5):
        pace.note(float(second), second // 10)
    fast = pace.fastest_rows_per_s
    for second in range(900, 1500, 5):
        pace.note(float(second), 90)
    assert pace.fastest_rows_per_s == fast, "a pause takes nothing back"


@in_virtual_time
async def test_a_row_that_waits_for_its_links_is_waited_for_in_the_time_that_is_left(tmp_path: Path) -> None:
    async with night(tmp_path, faults="download.404=x15", latency="fixed:2s") as here:
        told: list[tuple[float, float]] = []

        async def look(scheduler: Scheduler) -> None:
            await asyncio.sleep(60.0)
            waits = scheduler.waits
            assert scheduler.left_s is not None
            told.append((scheduler.left_s[0], waits[-1].until - here.clock()))

        await here.run(names(5), during=look, in_flight=5)
    ((first_s, wait_s),) = told
    assert wait_s > 30.0
    assert first_s >= wait_s - 1.0
