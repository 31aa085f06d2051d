"""A row that lacks an output, from the command's end: collected, named, asked for again, and nothing of the provider's
links in what is shared.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from batchgen.cli import tables
from batchgen.core.errors import Exit
from batchgen.core.job import State
from batchgen.results.report.write import write_report
from batchgen.runner.activity import ActivityReporter
from batchgen.runner.commands import collect
from batchgen.runner.options import Options
from batchgen.runner.outcome import Report
from batchgen.scheduler import Scheduler
from tests.money.here import EmbeddedServer, attempts, collected_whole, ran, serving_here
from tests.processes import TOKEN

BESIDE = "job.malformed=100%:beside_no_address"
NOWHERE = "job.malformed=100%:link_two_dots"


async def collected_again(folder: Path, server: EmbeddedServer, **options: Any) -> Report:
    told: dict[str, Any] = {"api_base": server.url, "token": TOKEN, "min_free_bytes": 0} | options
    return await collect(folder / "out", Options(**told))


async def test_a_row_with_one_link_that_is_no_address_is_collected_named_and_asked_for_again(tmp_path: Path) -> None:
    async with serving_here(faults=BESIDE) as server:
        first = await ran(tmp_path, server.url, rows=2, in_flight=2)
        assert (first.exit, first.rows[State.COLLECTED]) == (Exit.SOME_FAILED, 2)
        assert set(first.incomplete) == {"row-0000", "row-0001"}
        assert "preview-00" in first.incomplete["row-0000"]
        assert "finished: 2 of 2 rows collected; 2 of them lack an output" in tables.report(first)

        again = await ran(tmp_path, server.url, rows=2)  # nothing is sent, and it still says so
        assert (again.exit, set(again.incomplete)) == (Exit.SOME_FAILED, set(first.incomplete))
        still = await collected_again(tmp_path, server)
        assert (still.exit, set(still.incomplete)) == (Exit.SOME_FAILED, set(first.incomplete))
        assert still.rows[State.COLLECTED] == 2

        for made in server.provider.account:
            made.strikes.clear()  # the provider has mended its results
        one = await collected_again(tmp_path, server, only=frozenset({"row-0000"}))
        assert (one.exit, one.incomplete) == (Exit.DONE, {})
        rest = await collected_again(tmp_path, server)
        assert (rest.exit, rest.incomplete) == (Exit.DONE, {})
        assert server.posts == 2
        assert await collected_whole(tmp_path, server)


async def test_a_file_host_that_breaks_while_the_rest_is_asked_for_changes_nothing(tmp_path: Path) -> None:
    async with serving_here(faults=BESIDE) as server:
        first = await ran(tmp_path, server.url, rows=3, in_flight=3)
        before = {path: path.read_bytes() for path in (tmp_path / "out" / "rows").rglob("*.png")}
        server.change(faults="result.5xx=100%")
        report = await collected_again(tmp_path, server)
        assert (report.exit, report.incomplete) == (Exit.SOME_FAILED, first.incomplete)
    away = await collected_again(tmp_path, server)  # nobody answers any more
    assert (away.exit, away.incomplete) == (Exit.SOME_FAILED, first.incomplete)
    assert {path: path.read_bytes() for path in before} == before


async def test_a_row_whose_only_link_is_no_address_has_failed_and_was_billed(tmp_path: Path) -> None:
    async with serving_here(faults=NOWHERE) as server:
        report = await ran(tmp_path, server.url)
        assert (report.exit, report.rows[State.FAILED], report.incomplete) == (Exit.SOME_FAILED, 1, {})
        (job,) = attempts(tmp_path)
        assert job.billed == "yes"
        assert "is no address" in str(job.reason)
        assert "a..b" in job.outputs[0].url, "it is written down"


async def test_no_link_of_the_provider_is_in_what_is_shared(tmp_path: Path) -> None:
    async with serving_here(faults="job.malformed=50%:beside_no_address,job.fail=20%") as server:
        await ran(tmp_path, server.url, rows=10, in_flight=10)
        out = tmp_path / "out"
        await asyncio.to_thread(write_report, out, False, lambda done, of: None)
        shared = [*out.glob("rows/*/row.json"), out / "report.html", out / "failed.csv"]
        links = [
            output.url for row in range(10) for job in attempts(tmp_path, f"row-{row:04d}") for output in job.outputs
        ]
        assert links
        for path in shared:
            text = path.read_text("utf-8")
            for told in (*links, server.url, "[::1/", "/v1/requests"):
                assert told not in text, path.name


async def test_the_screen_says_which_row_waits_for_links_and_until_when(tmp_path: Path) -> None:
    seen: list[str] = []

    async def watch(scheduler: Scheduler) -> None:
        while not seen:
            seen.extend(line for line in ActivityReporter(scheduler).activity().troubles if "waiting for links" in line)
            await asyncio.sleep(0.05)
        scheduler.leave()

    async with serving_here(faults="download.404=100%") as server:
        report = await ran(tmp_path, server.url, watch=watch)
    assert report.exit is Exit.STILL_LIVE
    assert seen[0].startswith("row-0000 until ")
    assert "HTTP 404" in seen[0]
