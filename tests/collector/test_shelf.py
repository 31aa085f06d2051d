"""Rows that come together are put on disk together, and each answers for itself alone."""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from batchgen.collector.batching import RowBatcher
from batchgen.collector.verify import Undecodable
from batchgen.collector.workers.writer import ShelverDied, WriterProcess
from batchgen.collector.write_rows import RowFiles, Shelved, shelve
from batchgen.core.children import environ_of_our_own
from batchgen.core.job import SavedFile
from batchgen.storage.paths import RunFolder
from tests.collector.conftest import Bench, ready
from tests.collector.filehost import FileHost, sends
from tests.collector.media import picture
from tests.virtual import in_virtual_time, the_loop


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder.at(tmp_path / "out")
    folder.rows.mkdir(parents=True)
    return folder


def arrival(row_id: str, content: bytes, publish: bool = True) -> RowFiles:
    return RowFiles(ready("https://example.com/a.png", row_id=row_id), (), {"images-00": content}, publish)


def test_every_row_of_a_group_gets_its_folder(folder: RunFolder) -> None:
    outcomes = shelve(folder, [arrival(row_id, picture(seed=ord(row_id))) for row_id in "abc"])
    for row_id, outcome in zip("abc", outcomes, strict=True):
        assert isinstance(outcome, dict)
        assert isinstance(outcome["images-00"], SavedFile)
        assert sorted(path.name for path in folder.row(row_id).iterdir()) == ["images-00.png", "row.json"]
    assert list(folder.parts("", 0).parent.iterdir()) == []


def test_what_goes_wrong_with_one_row_is_its_own(folder: RunFolder) -> None:
    in_the_way = folder.parts("a", 1)
    in_the_way.parent.mkdir()
    in_the_way.touch()
    first, second = shelve(folder, [arrival("a", picture()), arrival("b", picture())])
    assert isinstance(first, OSError)
    assert isinstance(second, dict)
    assert not folder.row("a").exists()
    assert (folder.row("b") / "row.json").is_file()


def test_a_file_that_is_none_keeps_its_row_from_its_folder_and_its_bytes_in_the_part(folder: RunFolder) -> None:
    whole = picture()
    both = RowFiles(ready("https://a/1", "https://a/2"), (), {"images-00": whole, "images-01": b"<html>"}, True)
    (outcome,) = shelve(folder, [both])
    assert isinstance(outcome, dict)
    assert isinstance(outcome["images-00"], SavedFile)
    assert isinstance(outcome["images-01"], Undecodable)
    assert not folder.row("dune").exists()
    kept = {path.name: path.read_bytes() for path in folder.parts("dune", 1).iterdir()}
    assert kept == {"images-00.png": whole, "images-01.part": b"<html>"}


def test_a_row_that_is_not_complete_keeps_its_files_and_gets_no_folder(folder: RunFolder) -> None:
    shelve(folder, [arrival("a", picture(), publish=False)])
    assert not folder.row("a").exists()
    assert [path.name for path in folder.parts("a", 1).iterdir()] == ["images-00.png"]


@pytest.mark.parametrize("rows", [1, 63, 64, 150])
async def test_few_rows_and_many_are_put_on_disk(folder: RunFolder, rows: int) -> None:
    shelf = RowBatcher(folder)
    try:
        names = [f"row-{number:03d}" for number in range(rows)]
        async with asyncio.timeout(20):
            shelved = await asyncio.gather(*(shelf.put(arrival(name, picture(seed=1))) for name in names))
        assert all(isinstance(one["images-00"], SavedFile) for one in shelved)
        assert sorted(path.name for path in folder.rows.iterdir()) == names
    finally:
        shelf.close()


@in_virtual_time
async def test_rows_wait_while_others_come_but_not_for_long(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []

    shelves = WriterProcess.shelve

    def counted(shelver: WriterProcess, folder: RunFolder, arrivals: Sequence[RowFiles]) -> list[Shelved | Exception]:
        groups.append(len(arrivals))
        return shelves(shelver, folder, arrivals)

    monkeypatch.setattr(WriterProcess, "shelve", counted)
    shelf, waited_s = RowBatcher(folder), []

    async def put(row_id: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        began_s = the_loop().time()
        await shelf.put(arrival(row_id, picture()))
        waited_s.append(the_loop().time() - began_s)

    await asyncio.gather(*(put(f"row-{number:02d}", 0.03 * number) for number in range(30)), put("last", 5.0))
    shelf.close()
    assert len(groups) <= 6
    assert groups[-1] == 1
    assert max(waited_s) < 0.26
    assert waited_s[-1] < 0.06  # nobody else came


async def test_rows_that_wait_for_company_when_the_run_leaves_are_left_to_the_next_run(folder: RunFolder) -> None:
    shelf = RowBatcher(folder)
    waiting = asyncio.create_task(shelf.put(arrival("dune", picture())))
    await asyncio.sleep(0)
    waiting.cancel()
    shelf.close()
    await asyncio.sleep(0.2)
    assert list(folder.rows.iterdir()) == []
    assert not folder.parts("", 0).parent.exists()


async def test_where_no_thread_can_be_started_the_row_is_told_so(folder: RunFolder) -> None:
    shelf = RowBatcher(folder)
    shelf.close()
    async with asyncio.timeout(5):
        with pytest.raises(OSError, match="no thread"):
            await shelf.put(arrival("dune", picture()))


async def test_a_process_that_was_killed_is_replaced(folder: RunFolder) -> None:
    shelf = RowBatcher(folder)
    try:
        await shelf.put(arrival("a", picture()))
        (shelver,) = shelf.idle
        os.kill(shelver.pid, signal.SIGKILL)
        with pytest.raises(ShelverDied, match="killed"):
            await shelf.put(arrival("b", picture()))
        await shelf.put(arrival("b", picture()))
        assert sorted(path.name for path in folder.rows.iterdir()) == ["a", "b"]
    finally:
        shelf.close()


async def test_a_process_that_is_killed_each_time_is_an_error(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    shelf = RowBatcher(folder)
    try:
        for expected in (ShelverDied, ShelverDied, OSError):
            with pytest.raises(expected, match="killed"):
                await shelf.put(arrival("a", picture()))
    finally:
        shelf.close()


async def test_errors_of_the_system_keep_their_number(folder: RunFolder) -> None:
    folder.parts("a", 1).parent.mkdir()
    folder.parts("a", 1).touch()
    shelf = RowBatcher(folder)
    try:
        with pytest.raises(NotADirectoryError) as caught:
            await shelf.put(arrival("a", picture()))
        assert caught.value.errno == errno.ENOTDIR
    finally:
        shelf.close()
    assert shelf.idle == []


def test_the_process_ends_with_whoever_began_it_whatever_it_is_doing(folder: RunFolder) -> None:
    """A group whose first file is a pipe that nobody reads hangs for ever."""
    folder.parts("a", 1).mkdir(parents=True)
    os.mkfifo(folder.parts("a", 1) / "images-00.part")
    group = pickle.dumps((folder, [arrival("a", picture())]))
    shelver = subprocess.Popen([sys.executable, "-P", "-m", "batchgen.collector.workers.writer"], stdin=subprocess.PIPE)
    assert shelver.stdin is not None
    shelver.stdin.write(group)
    shelver.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        shelver.wait(1.0)
    shelver.stdin.close()
    shelver.wait(10.0)


async def test_a_row_whose_process_is_killed_is_tried_again_from_what_is_there(host: FileHost, bench: Bench) -> None:
    content = picture()
    first = host.puts("/a.png", sends(content))
    await bench.fetch(ready(first))
    (shelver,) = bench.collector._shelf.idle
    os.kill(shelver.pid, signal.SIGKILL)
    fetched = await bench.fetch(ready(host.puts("/b.png", sends(content), sends(content)), row_id="arrakis"))
    assert ["killed" in wait.reason for wait in fetched.waits] == [True]
    assert bench.saved("arrakis") == {"images-00.png": content}


async def test_a_row_whose_folder_had_moved_when_its_process_was_killed_is_not_fetched_again(
    host: FileHost, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, shelves = picture(), WriterProcess.shelve

    def killed_before_it_answers(
        shelver: WriterProcess, folder: RunFolder, arrivals: Sequence[RowFiles]
    ) -> list[Shelved | Exception]:
        monkeypatch.setattr(WriterProcess, "shelve", shelves)
        assert not any(isinstance(outcome, Exception) for outcome in shelves(shelver, folder, arrivals))
        os.kill(shelver.pid, signal.SIGKILL)
        return shelves(shelver, folder, arrivals)

    monkeypatch.setattr(WriterProcess, "shelve", killed_before_it_answers)
    fetched = await bench.fetch(ready(host.puts("/a.png", sends(content))))
    assert len(fetched.waits) == 1
    assert len(host.asked) == 1
    assert bench.saved() == {"images-00.png": content}
    assert bench.set_aside == []


async def test_the_process_finds_its_modules_where_we_do_and_has_no_key(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", "secret")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    environ = environ_of_our_own()
    assert "secret" not in environ.values()
    assert environ["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path / "modules")
    (tmp_path / "queue.py").write_text("raise SystemExit('not what was meant')")  # a user's own, where they stand
    monkeypatch.chdir(tmp_path)
    shelf = RowBatcher(folder)
    try:
        await shelf.put(arrival("a", picture()))
        assert (folder.row("a") / "row.json").is_file()
    finally:
        shelf.close()
