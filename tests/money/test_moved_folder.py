"""A run folder that is renamed, copied, or robbed of its lock: nothing is paid twice, and no answered id is lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.job import State
from batchgen.runner.commands import collect, retry
from batchgen.runner.options import Options
from batchgen.runner.session import Watch
from batchgen.scheduler import Scheduler
from batchgen.state import FolderInUse, StateUnusable
from batchgen.state.repair import repair
from batchgen.storage.paths import RunFolder
from tests.money.here import EmbeddedServer, attempts, opened, ran, serving_here
from tests.processes import MODEL, TOKEN


def options(base: str) -> Options:
    return Options(api_base=base, token=TOKEN, min_free_bytes=0, in_flight=4, prices={MODEL: Decimal("0.03")})


def once_sent(server: EmbeddedServer, posts: int, do: Callable[[], Any]) -> Watch:
    """Does something beside a run as soon as *posts* have reached the server."""

    async def watch(scheduler: Scheduler) -> None:
        while server.posts < posts:  # noqa: ASYNC110 - the server counts, it does not call
            await asyncio.sleep(0.005)
        do()

    return watch


async def ids(server: EmbeddedServer) -> set[str]:
    return {job["request_id"] for job in await server.charged()}


def ids_on_disk(out: Path) -> set[str]:
    with closing(sqlite3.connect(f"file:{out}/state.db?mode=ro", uri=True)) as connection:
        return {one for (one,) in connection.execute("SELECT request_id FROM jobs WHERE request_id IS NOT NULL")}


async def test_a_run_whose_folder_is_renamed_stops_and_makes_nothing_anew_and_goes_on_where_the_folder_is(
    tmp_path: Path,
) -> None:
    async with serving_here(latency="fixed:300ms") as server:
        out, moved = tmp_path / "out", tmp_path / "out of the way"
        report = await ran(
            tmp_path, server.url, rows=40, in_flight=4, watch=once_sent(server, 6, lambda: out.rename(moved))
        )
        assert report.exit == 9
        assert "was moved away" in report.reason
        assert server.posts < 40
        assert not out.exists(), "the folder was made anew"
        assert ids_on_disk(moved) == await ids(server)
        assert (await ran(tmp_path, server.url, out=moved, in_flight=8)).exit == 0
        assert server.posts == 40
        assert not out.exists()


async def test_ids_of_paid_jobs_are_said_aloud_when_their_folder_is_deleted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with serving_here(latency="fixed:3s") as server:
        out = tmp_path / "out"
        delete = once_sent(server, 4, lambda: shutil.rmtree(out))
        report = await ran(tmp_path, server.url, rows=40, in_flight=4, watch=delete)
        assert (report.exit, server.posts < 40, out.exists()) == (9, True, False)
        assert "pays for its rows anew" in report.reason
        said = capfd.readouterr().err
        live = {job["request_id"] for job in await server.charged() if job["state"] in ("in_queue", "in_progress")}
        assert live
        assert live <= {line.split()[-1] for line in said.splitlines() if line.startswith("row-")}


async def test_a_folder_that_was_put_in_the_place_of_the_one_that_runs_gets_nothing_from_it(tmp_path: Path) -> None:
    async with serving_here(latency="fixed:300ms") as server:
        out, moved = tmp_path / "out", tmp_path / "moved"

        def replace() -> None:
            out.rename(moved)
            shutil.copytree(moved, out)

        report = await ran(tmp_path, server.url, rows=40, in_flight=4, watch=once_sent(server, 6, replace))
        assert (report.exit, server.posts < 40) == (9, True)
        assert "took the place" in report.reason
        assert ids_on_disk(moved) == await ids(server)


async def test_a_run_whose_lock_is_deleted_sends_nothing_more(tmp_path: Path) -> None:
    async with serving_here(latency="fixed:300ms") as server:
        lock = tmp_path / "out" / "state.lock"
        report = await ran(tmp_path, server.url, rows=40, in_flight=4, watch=once_sent(server, 6, lock.unlink))
        assert (report.exit, server.posts < 40) == (9, True)
        assert "state.lock was deleted" in report.reason
        assert ids_on_disk(tmp_path / "out") == await ids(server)
        assert (await ran(tmp_path, server.url, in_flight=8)).exit == 0
        assert server.posts == 40


@pytest.mark.skipif(os.name == "nt", reason="a lock that is held cannot be deleted there")
def test_a_lock_that_was_deleted_beside_a_living_run_locks_out_all_the_same(tmp_path: Path) -> None:
    folder = RunFolder.at(tmp_path / "out")
    first = opened(folder, "http://127.0.0.1:1")
    try:
        folder.lock.unlink()
        told = json.loads(folder.holder.read_text("utf-8"))
        folder.holder.write_text(json.dumps(told | {"pid": os.getppid()}), "utf-8")  # as another process sees it
        with pytest.raises(FolderInUse, match=f"pid {os.getppid()}"):
            opened(folder, "http://127.0.0.1:1")
    finally:
        first.close()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell of dead processes")
def test_a_process_that_is_dead_and_not_yet_waited_for_holds_no_folder(tmp_path: Path) -> None:
    folder = RunFolder.at(tmp_path / "out")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    try:
        opened(folder, "http://127.0.0.1:1").close()
        holder = {"host": socket.gethostname(), "pid": dead.pid, "since": time.time()}
        folder.holder.write_text(json.dumps(holder), "utf-8")
        opened(folder, "http://127.0.0.1:1").close()
    finally:
        dead.wait()


async def test_an_answered_id_whose_row_another_run_has_moved_is_said_aloud_and_found_by_a_repair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving_here("submit.slow=100%:500ms") as server:
        state = tmp_path / "out" / "state.db"

        def settle_as_another_run_does() -> None:
            with closing(sqlite3.connect(state, isolation_level=None)) as connection:
                connection.execute("UPDATE jobs SET state = 'in_doubt', reason = 'x' WHERE state = 'submitting'")

        await ran(tmp_path, server.url, rows=2, watch=once_sent(server, 1, settle_as_another_run_does))
        (request_id,) = await ids(server)
        assert f"row-0000 {request_id}\n" in capsys.readouterr().err
        assert [job.state for job in attempts(tmp_path)] == [State.IN_DOUBT]
        repair(RunFolder.at(tmp_path / "out"), server.url)
        assert [(job.state, job.request_id) for job in attempts(tmp_path)] == [(State.SUBMITTED, request_id)]
        assert (await ran(tmp_path, server.url)).exit == 0
        assert server.posts == 2


async def test_a_copy_sends_nothing_while_its_original_is_there_and_collects_all_the_same(tmp_path: Path) -> None:
    async with serving_here(latency="fixed:1s") as server:
        out, copy = tmp_path / "out", tmp_path / "copy"
        assert (await ran(tmp_path, server.url, rows=4, limit=2, in_flight=2, job_timeout_s=0.1)).exit == 75
        shutil.copytree(out, copy)
        commands: list[Callable[[], Awaitable[object]]] = [
            lambda: ran(tmp_path, server.url, out=copy),
            lambda: retry(copy, options(server.url), lambda plan: True, rerun=True),
        ]
        for command in commands:
            with pytest.raises(StateUnusable, match=f"copy of {out}.*batchgen repair {copy}"):
                await command()
        assert (await collect(copy, options(server.url))).rows[State.COLLECTED] == 2
        assert server.posts == 2
        assert (await ran(tmp_path, server.url, in_flight=4)).exit == 0
        assert server.posts == 4, "the original could not go on"
        with pytest.raises(StateUnusable, match=f"copy of {out}"):
            await ran(tmp_path, server.url, out=copy)


async def test_a_copy_goes_on_once_its_original_is_gone_or_a_person_says_so(tmp_path: Path) -> None:
    async with serving_here() as server:
        out = tmp_path / "out"
        assert (await ran(tmp_path, server.url, rows=3, limit=1)).exit == 0
        for name in ("copy", "moved"):
            shutil.copytree(out, tmp_path / name)
        notes = repair(RunFolder.at(tmp_path / "copy"), server.url).notes
        assert any(f"{out} would pay for the same rows" in note for note in notes)
        assert (await ran(tmp_path, server.url, out=tmp_path / "copy", limit=1)).exit == 0
        shutil.rmtree(out)
        assert (await ran(tmp_path, server.url, out=tmp_path / "moved", limit=1)).exit == 0
        assert server.posts == 3


@pytest.mark.parametrize("same_inode", [True, False])
async def test_a_folder_from_another_machine_goes_on_only_if_it_is_the_very_same_one(
    tmp_path: Path, same_inode: bool
) -> None:
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=2, limit=1)).exit == 0
        with closing(sqlite3.connect(tmp_path / "out" / "state.db", isolation_level=None)) as connection:
            (place,) = connection.execute("SELECT value FROM meta WHERE name = 'place'").fetchone()
            told = json.loads(place) | {"machine": "another"}
            told["inode"] += not same_inode
            connection.execute("UPDATE meta SET value = ? WHERE name = 'place'", (json.dumps(told),))
        if same_inode:  # a container with a name of its own
            assert (await ran(tmp_path, server.url)).exit == 0
            assert server.posts == 2
            return
        with pytest.raises(StateUnusable, match="on another machine"):
            await ran(tmp_path, server.url)
        assert server.posts == 1


async def test_a_folder_reached_by_a_link_is_the_folder_itself(tmp_path: Path) -> None:
    async with serving_here() as server:
        real, link = tmp_path / "disk" / "out", tmp_path / "out"
        real.mkdir(parents=True)
        link.symlink_to(real)
        assert (await ran(tmp_path, server.url, rows=3, limit=1)).exit == 0
        assert (await ran(tmp_path, server.url, out=real, limit=1)).exit == 0
        assert (await ran(tmp_path, server.url)).exit == 0
        assert server.posts == 3
