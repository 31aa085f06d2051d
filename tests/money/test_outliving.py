"""What was paid for outlives every error of polling and downloading, and is never sent again for it."""

from __future__ import annotations

import json
from pathlib import Path

from batchgen.core.job import Billed, State
from batchgen.runner.commands import collect
from batchgen.runner.options import Options
from tests.money.here import attempts, collected_whole, ran, serving_here
from tests.processes import TOKEN


def _collecting(folder: Path, base: str) -> Options:
    return Options(api_base=base, token=TOKEN, min_free_bytes=0)


async def test_errors_while_asking_never_change_what_became_of_a_job(tmp_path: Path) -> None:
    faults = (
        "status.5xx=#1-2,status.drop=#3-4,status.html=#5-6,status.404=#7-8,status.429=#9,status.unknown_word=30%,"
        "result.5xx=#1,result.drop=#2,result.404=#3,result.not_ready_400=#4-5,not_ready=400005,words=mixed"
    )
    async with serving_here(faults) as server:
        report = await ran(tmp_path, server.url, rows=6, in_flight=6)
        assert report.exit == 0
        assert server.posts == 6
        assert await collected_whole(tmp_path, server)


async def test_the_token_of_another_account_stops_the_run_and_leaves_paid_rows_as_they_are(tmp_path: Path) -> None:
    async with serving_here(latency="fixed:1s", other_account_token="other-token-1b") as server:
        assert (await ran(tmp_path, server.url, rows=4, limit=2, in_flight=2, job_timeout_s=0.1)).exit == 75
        report = await ran(tmp_path, server.url, in_flight=2, token="other-token-1b")
        assert report.exit == 3
        assert "another account" in report.reason
        assert (report.rows[State.SUBMITTED], report.rows[State.PENDING]) == (2, 2)
        assert server.posts == 2, "rows were sent on an account that knows none of this folder's requests"
        assert (await ran(tmp_path, server.url, in_flight=2)).exit == 0
        assert await collected_whole(tmp_path, server)


async def test_overdue_jobs_end_the_wait_and_not_the_job(tmp_path: Path) -> None:
    async with serving_here(latency="fixed:3s") as server:
        report = await ran(tmp_path, server.url, rows=3, in_flight=3, job_timeout_s=1.0)
        assert report.exit == 75
        assert report.overdue == ["row-0000", "row-0001", "row-0002"]
        brought_in = await collect(tmp_path / "out", _collecting(tmp_path, server.url))
        assert brought_in.exit == 0
        assert server.posts == 3
        assert await collected_whole(tmp_path, server)


async def test_a_run_ends_although_one_job_is_overdue_and_sends_all_other_rows(tmp_path: Path) -> None:
    async with serving_here(latency="fixed:60s") as server:
        await ran(tmp_path, server.url, rows=4, limit=1, job_timeout_s=0.1)
        server.change(latency="fixed:50ms")
        report = await ran(tmp_path, server.url, in_flight=2, job_timeout_s=0.1)
        assert report.exit == 75
        assert report.overdue == ["row-0000"]
        assert report.rows[State.COLLECTED] == 3


async def test_links_that_expired_before_they_were_used_are_asked_for_again(tmp_path: Path) -> None:
    async with serving_here(
        "download.drop=x4,expire=400ms"
    ) as server:  # aiohttp asks twice; the next try comes after 500 ms
        report = await ran(tmp_path, server.url, rows=2, in_flight=2)
        assert report.exit == 0
        assert server.provider.counters["result"] > 2
        assert server.posts == 2
        assert await collected_whole(tmp_path, server)


async def test_broken_downloads_are_carried_on_until_every_byte_is_there(tmp_path: Path) -> None:
    faults = (
        "download.truncate=#1-3,download.drop=#4,download.5xx=#5,download.empty=#6,download.html=#7,"
        "download.wrong_type=#8,download.403=#9,download.redirect=#10"
    )
    async with serving_here(faults) as server:
        report = await ran(tmp_path, server.url, rows=10, in_flight=10)
        assert report.exit == 0
        assert server.posts == 10
        assert await collected_whole(tmp_path, server)


async def test_a_cost_that_comes_late_is_read_again_and_is_never_zero_meanwhile(tmp_path: Path) -> None:
    async with serving_here("job.late_cost=100%:2") as server:
        report = await ran(tmp_path, server.url)
        assert attempts(tmp_path)[0].cost_micro is None
        assert report.money.charged == 30_000, "an absent cost counts as the estimate"
        assert (await collect(tmp_path / "out", _collecting(tmp_path, server.url))).exit == 0
        assert attempts(tmp_path)[0].cost_micro == 30_000
        told = json.loads((tmp_path / "out" / "rows" / "row-0000" / "row.json").read_text("utf-8"))
        assert told["cost_usd"] == 0.03
        assert await collected_whole(tmp_path, server)


async def test_a_failed_job_is_never_sent_again_whatever_its_error_says(tmp_path: Path) -> None:
    async with serving_here("job.fail=100%") as server:
        for _ in range(2):
            report = await ran(tmp_path, server.url, rows=5, in_flight=5)
            assert report.exit == 1
        jobs = [attempts(tmp_path, f"row-{number:04d}") for number in range(5)]
        assert all([job.billed for job in every] == [Billed.YES] for every in jobs)
        assert any("timeout 429" in (job.reason or "") for (job,) in jobs)
        assert server.posts == 5


async def test_a_success_without_files_is_asked_three_times_and_then_failed_and_billed(tmp_path: Path) -> None:
    async with serving_here("job.no_outputs=100%") as server:
        assert (await ran(tmp_path, server.url)).exit == 1
        (job,) = attempts(tmp_path)
        assert (job.state, job.billed) == (State.FAILED, Billed.YES)
        assert server.provider.counters["result"] == 3
        assert server.posts == 1


async def test_a_success_whose_files_come_late_is_collected(tmp_path: Path) -> None:
    async with serving_here("job.no_outputs=100%:1") as server:
        assert (await ran(tmp_path, server.url)).exit == 0
        assert await collected_whole(tmp_path, server)


async def test_files_that_were_lost_or_damaged_are_fetched_again_for_nothing(tmp_path: Path) -> None:
    async with serving_here() as server:
        await ran(tmp_path, server.url, rows=4, in_flight=4)
        rows = tmp_path / "out" / "rows"
        (rows / "row-0000" / "images-00.png").unlink()
        (rows / "row-0001" / "images-00.png").write_bytes(b"nothing like a picture")
        (rows / "row-0002" / "row.json").unlink()
        report = await collect(tmp_path / "out", _collecting(tmp_path, server.url), verify=True)
        assert report.exit == 0
        assert server.posts == 4
        assert await collected_whole(tmp_path, server)
