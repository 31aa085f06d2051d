"""A disk that fills up in the middle: nothing is corrupted, and the same command finishes once there is room."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.money.disks import fill, make_room, small_disk
from tests.money.harness import Scene, counted, until
from tests.processes import Ended, Server, serving


def _scene_on(disk: Path, folder: Path, server: Server, rows: int, in_flight: int) -> Scene:
    scene = Scene(folder / "home", server, "dune", rows, flags=("--in-flight", in_flight, "--out", disk / "out"))
    scene.out = disk / "out"
    return scene


def _check_whole(scene: Scene) -> None:
    with closing(sqlite3.connect(f"file:{scene.out}/state.db?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a tmpfs")


def test_a_disk_filled_by_pictures_stops_the_run_and_costs_nothing_twice(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, serving(draw="bytes:200KB") as server:
        scene = _scene_on(disk, tmp_path, server, rows=30, in_flight=5)
        ended = _told_to_leave_if_it_waits(scene)
        assert ended.exit == 9, ended.stderr
        _check_whole(scene)
        assert scene.paid < scene.rows, "submitting did not stop"
        make_room(disk)
        _adopt_printed(scene, ended.stderr)
        settlement = scene.settle(scene.finish())
        settlement.check()
        assert settlement.charged == settlement.kept == scene.rows


def test_an_id_that_the_disk_does_not_take_is_printed_and_written_once_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, serving("submit.slow=100%:2s") as server:
        scene = _scene_on(disk, tmp_path, server, rows=12, in_flight=4)
        process = scene.start()
        assert process.stderr is not None
        until(lambda: counted(server, "submit.accepted") >= 4)
        ballast = disk / "ballast"
        fill(ballast)
        ids = {job["request_id"] for job in server.charged}
        for line in process.stderr:
            if line.split()[-1:] and line.split()[-1] in ids:
                break
        assert process.poll() is None, "it ended with an id that is on no disk"
        assert counted(server, "submit") == 4, "submitting did not stop"
        ballast.unlink()
        process.communicate(timeout=60)
        assert process.returncode in (0, 9)
        _check_whole(scene)
        settlement = scene.settle(scene.finish())
        settlement.check()
        assert settlement.charged == settlement.kept == scene.rows


def test_a_journal_that_takes_nothing_more_leaves_no_row_in_doubt(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", "1m") as disk,
        serving("submit.slow=100%:3s") as server,
        ExitStack() as stack,
    ):
        scene = Scene(tmp_path / ("home" * 50), server, "dune", rows=30, flags=("--in-flight", 4))
        scene.out.mkdir(parents=True)
        stack.enter_context(_standing_at(disk / "journal.jsonl", scene.out / "journal.jsonl"))
        process = scene.start()
        until(lambda: counted(server, "submit") >= 4)
        fill(disk / "ballast")
        assert process.stderr is not None
        for line in process.stderr:  # until an id waits, or the end, if the journal's last page had room for all ids
            if line.split()[-1:] and line.split()[-1] in {job["request_id"] for job in server.charged}:
                assert process.poll() is None, "it ended with an id that is not in the journal"
                for _ in range(2):
                    process.send_signal(signal.SIGINT)
                    time.sleep(0.3)
                break
        process.communicate(timeout=60)
        assert process.returncode == 9
        assert counted(server, "submit") == counted(server, "submit.accepted") < scene.rows
        (disk / "ballast").unlink()
        settlement = scene.settle(scene.finish())
        settlement.check()
        assert settlement.charged == settlement.kept == scene.rows


@contextmanager
def _standing_at(file: Path, place: Path) -> Iterator[None]:
    """*file* is at *place* as well, which no link inside a run folder could do."""
    file.touch()
    place.touch()
    subprocess.run(["mount", "--bind", str(file), str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _told_to_leave_if_it_waits(scene: Scene) -> Ended:
    """Run; if an id waits for room, leave as a person would with Ctrl-C twice."""
    process = scene.start()
    try:
        stdout, stderr = process.communicate(timeout=40)
    except subprocess.TimeoutExpired:
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        stdout, stderr = process.communicate(timeout=30)
    return Ended(process.returncode, stdout, stderr)


def _adopt_printed(scene: Scene, stderr: str) -> None:
    """What a person does with the ids on the screen."""
    charged = {job["request_id"] for job in scene.server.charged}
    pairs = [line.split() for line in stderr.splitlines() if line.split()[-1:] and line.split()[-1] in charged]
    doubtful = scene.finish()["in_doubt"]
    adopted = [
        flag for row_id, request_id in pairs if row_id in doubtful for flag in ("--adopt", f"{row_id}={request_id}")
    ]
    if adopted:
        ended = scene.batchgen("reconcile", scene.out, *adopted)
        assert ended.exit == 0, ended.stderr
