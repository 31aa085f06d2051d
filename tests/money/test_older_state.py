"""A state that is older than its folder, or of another folder: nothing is sent before a repair has looked everywhere.

What was paid for lies in rows/, parts/, attempts/ and set-aside/ as well, and an older copy of the state, put back with
its journal, knows nothing of it.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.job import Billed, State
from batchgen.runner.commands import collect, retry
from batchgen.runner.options import Options
from batchgen.runner.recover import release
from batchgen.runner.session import open_existing
from batchgen.state import StateUnusable
from batchgen.state.repair import Repaired, repair
from batchgen.storage.paths import RunFolder
from tests.money.harness import Scene, until
from tests.money.here import EmbeddedServer, attempts, collected_whole, ran, serving_here
from tests.processes import MODEL, TOKEN, kill_group, serving

STATE_FILES = ("state.db", "journal.jsonl")
ALL_FILES = (*STATE_FILES, "generation.json")


def save(out: Path) -> None:
    """Back the files of the state up, as a person's own backup would."""
    backup = out.parent / "backup"
    backup.mkdir()
    for name in ALL_FILES:
        shutil.copy2(out / name, backup / name)


def put_back(out: Path, names: tuple[str, ...]) -> None:
    """Put files of the backup back over the newer ones, their times included; the rows stay as they are."""
    for path in out.glob("state.db-*"):
        path.unlink()
    for name in names:
        shutil.copy2(out.parent / "backup" / name, out / name)
    times = (out.parent / "backup").stat()
    os.utime(out / "rows", ns=(times.st_atime_ns, times.st_mtime_ns))  # as rsync -a does


def here(folder: Path, base: str, **told: Any) -> Options:
    return Options(api_base=base, token=TOKEN, min_free_bytes=0, in_flight=4, prices={MODEL: Decimal("0.03")}, **told)


async def refused(folder: Path, base: str) -> None:
    """Every command that can send or begin an attempt is refused, and names the repair."""
    out, options = folder / "out", here(folder, base)

    async def release_all() -> None:
        async with open_existing(out, options) as opened:
            await release(opened.state, list(opened.state.reader.jobs([State.IN_DOUBT])))

    commands: list[Callable[[], Awaitable[object]]] = [
        lambda: ran(folder, base),
        lambda: retry(out, options, lambda plan: True),
        lambda: retry(out, options, lambda plan: True, rerun=True),
        lambda: retry(out, options, lambda plan: True, rejected=True),
        release_all,
    ]
    if (out / "failed.csv").exists():
        commands.append(lambda: ran(folder, base, manifest=out / "failed.csv"))
    for command in commands:
        with pytest.raises(StateUnusable, match=f"batchgen repair {out}"):
            await command()


def repaired(folder: Path, server: EmbeddedServer) -> Repaired:
    return repair(RunFolder.at(folder / "out"), server.url)


@pytest.mark.parametrize(("names", "exit_code", "doubtful"), [(STATE_FILES, 0, []), (ALL_FILES, 7, ["row-0007"])])
async def test_an_older_state_beside_newer_rows_is_refused_until_the_rows_are_read(
    tmp_path: Path, names: tuple[str, ...], exit_code: int, doubtful: list[str]
) -> None:
    """Without the generation nobody knows whether the last row was sent, too."""
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=8, limit=3)).exit == 0
        save(tmp_path / "out")
        assert (await ran(tmp_path, server.url, limit=4)).exit == 0
        put_back(tmp_path / "out", names)
        await refused(tmp_path, server.url)
        assert server.posts == 7
        repaired(tmp_path, server)
        report = await ran(tmp_path, server.url)
        assert (report.exit, report.in_doubt) == (exit_code, doubtful)
        assert server.posts == 8 - len(doubtful)
        assert await collected_whole(tmp_path, server)


@pytest.mark.parametrize("names", [STATE_FILES, ALL_FILES])
async def test_an_attempt_that_was_made_again_since_the_backup_is_known_by_the_files_of_the_one_before(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=2)).exit == 0
        save(tmp_path / "out")
        options = here(tmp_path, server.url, only=frozenset({"row-0001"}))
        assert (await retry(tmp_path / "out", options, lambda plan: True, rerun=True)).exit == 0
        put_back(tmp_path / "out", names)
        await refused(tmp_path, server.url)
        repaired(tmp_path, server)
        assert (await ran(tmp_path, server.url)).exit == 0
        assert server.posts == 3
        assert [job.state for job in attempts(tmp_path, "row-0001")] == [State.COLLECTED] * 2


async def test_a_failed_row_that_a_retry_brought_in_since_the_backup_is_not_sent_again(tmp_path: Path) -> None:
    async with serving_here("job.fail=#1") as server:
        assert (await ran(tmp_path, server.url, rows=2)).exit == 1
        save(tmp_path / "out")
        assert (await retry(tmp_path / "out", here(tmp_path, server.url), lambda plan: True)).exit == 0
        put_back(tmp_path / "out", ALL_FILES)
        await refused(tmp_path, server.url)
        repaired(tmp_path, server)
        assert (await ran(tmp_path, server.url)).exit == 0
        assert server.posts == 3
        first, second = attempts(tmp_path, "row-0000")
        assert (first.state, first.billed, second.state) == (State.FAILED, Billed.YES, State.COLLECTED)


async def test_an_answered_id_that_stands_in_parts_alone_is_found_and_its_files_are_taken(tmp_path: Path) -> None:
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=2, limit=1)).exit == 0
        save(tmp_path / "out")
        assert (await ran(tmp_path, server.url)).exit == 0
        put_back(tmp_path / "out", ALL_FILES)
        (tmp_path / "out" / "parts").mkdir()
        (tmp_path / "out" / "rows" / "row-0001").rename(tmp_path / "out" / "parts" / "row-0001.1")
        await refused(tmp_path, server.url)
        repaired(tmp_path, server)
        assert [job.state for job in attempts(tmp_path, "row-0001")] == [State.COLLECTED]
        assert (await ran(tmp_path, server.url)).exit == 0
        assert server.posts == 2
        assert await collected_whole(tmp_path, server)


async def test_a_row_whose_files_in_parts_are_not_whole_is_polled_by_its_id_and_fetched(tmp_path: Path) -> None:
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=2, limit=1)).exit == 0
        out = tmp_path / "out"
        (out / "parts").mkdir()
        (out / "rows" / "row-0000").rename(out / "parts" / "row-0000.1")
        (out / "parts" / "row-0000.1" / "images-00.png").write_bytes(b"")
        for name in (*ALL_FILES, "state.db-wal", "state.db-shm"):
            (out / name).unlink(missing_ok=True)
        await refused(tmp_path, server.url)
        repaired(tmp_path, server)
        report = await ran(tmp_path, server.url)
        assert (report.exit, report.in_doubt) == (7, ["row-0001"]), "nothing tells that the other row was never sent"
        assert server.posts == 1
        assert await collected_whole(tmp_path, server)
        assert (await ran(tmp_path, server.url)).exit == 7


@pytest.mark.parametrize(
    "place", ["rows/row-0001", "parts/row-0001.1", "attempts/row-0001/1", "set-aside/row-0001.1.1234567890123456789"]
)
async def test_a_request_id_that_the_state_does_not_know_is_found_in_every_folder_of_outputs(
    tmp_path: Path, place: str
) -> None:
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=2, limit=1)).exit == 0
        told = json.loads((tmp_path / "out" / "rows" / "row-0000" / "row.json").read_text("utf-8"))
        told |= {"row_id": "row-0001", "request_id": "answered-elsewhere"}
        told["attempts"] = [told["attempts"][0] | {"request_id": "answered-elsewhere"}]
        stray = tmp_path / "out" / place
        stray.mkdir(parents=True)
        (stray / "row.json").write_text(json.dumps(told), "utf-8")
        await refused(tmp_path, server.url)
        repaired(tmp_path, server)
        assert [job.request_id for job in attempts(tmp_path, "row-0001")] == ["answered-elsewhere"]
        await collect(tmp_path / "out", here(tmp_path, server.url, job_timeout_s=0.1))
        assert server.posts == 1


async def test_bytes_set_aside_of_an_attempt_that_the_state_never_sent_put_the_row_in_doubt(tmp_path: Path) -> None:
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=2, limit=1)).exit == 0
        await ran(tmp_path, server.url, limit=0)
        aside = tmp_path / "out" / "set-aside"
        aside.mkdir()
        (aside / "row-0001.1.images-00.bytes").write_bytes(b"nothing like a picture")
        await refused(tmp_path, server.url)
        repaired(tmp_path, server)
        report = await ran(tmp_path, server.url)
        assert (report.exit, report.in_doubt) == (7, ["row-0001"])
        assert server.posts == 1


async def test_rows_that_may_have_been_sent_since_the_backup_are_in_doubt_where_nothing_on_disk_tells_which(
    tmp_path: Path,
) -> None:
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=5, limit=2)).exit == 0
        save(tmp_path / "out")
        server.change(latency="fixed:5s")
        assert (await ran(tmp_path, server.url, limit=1, job_timeout_s=0.1)).exit == 75
        put_back(tmp_path / "out", STATE_FILES)
        await refused(tmp_path, server.url)
        (note,) = [note for note in repaired(tmp_path, server).notes if "are older than" in note]
        assert "3 rows that seem to wait are now" in note
        report = await ran(tmp_path, server.url)
        assert (report.exit, report.in_doubt) == (7, ["row-0002", "row-0003", "row-0004"])
        assert server.posts == 3


async def test_the_state_of_another_folder_is_not_taken_for_that_of_this_one(tmp_path: Path) -> None:
    async with serving_here() as server:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            assert (await ran(tmp_path / name, server.url, rows=2, limit=1)).exit == 0
        for name in STATE_FILES:
            shutil.copy2(tmp_path / "b" / "out" / name, tmp_path / "a" / "out" / name)
        await refused(tmp_path / "a", server.url)
        assert server.posts == 2


async def test_a_folder_without_its_generation_file_is_read_once_and_goes_on(tmp_path: Path) -> None:
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=3, limit=2)).exit == 0
        beside = tmp_path / "out" / "generation.json"
        for content in (None, "", "{", '{"number": 7}'):
            beside.unlink()
            if content is not None:
                beside.write_text(content, "utf-8")
            assert (await ran(tmp_path, server.url, limit=0)).rows[State.COLLECTED] == 2
        assert (await ran(tmp_path, server.url)).exit == 0
        assert server.posts == 3


def test_a_backup_of_a_moment_ago_is_known_to_be_older_before_any_file_came_home(tmp_path: Path) -> None:
    with serving(latency="fixed:60s") as server:
        scene = Scene(tmp_path, server, "dune", rows=8)
        scene.flags = (*scene.flags, "--submit-rate", "60/min")
        run = scene.start()
        until(lambda: scene.paid >= 3)
        save(scene.out)
        with (
            closing(sqlite3.connect(scene.out / "state.db")) as state,
            closing(sqlite3.connect(tmp_path / "whole")) as copy,
        ):
            state.backup(copy)  # with what still lies in its log
        (tmp_path / "whole").replace(scene.out.parent / "backup" / "state.db")
        until(lambda: scene.paid >= 5)
        time.sleep(2.5)  # how far it has come is told every second
        kill_group(run)
        run.communicate()
        paid = scene.paid
        put_back(scene.out, STATE_FILES)
        refused = scene.batchgen(*scene.arguments)
        assert (refused.exit, scene.paid) == (9, paid)
        assert "repair" in refused.stderr


async def test_a_row_in_doubt_is_not_forgotten_with_the_state_and_the_journal(tmp_path: Path) -> None:
    async with serving_here(faults="submit.drop_reply=x1") as server:
        assert (await ran(tmp_path, server.url, rows=3)).exit == 7
        out, posts = tmp_path / "out", server.posts
        for path in (*out.glob("state.db*"), out / "journal.jsonl"):
            path.unlink()
        repair(RunFolder.at(out), server.url)
        report = await ran(tmp_path, server.url, rows=3)
        assert (report.exit, len(report.in_doubt), server.posts) == (7, 1, posts)
