"""A run folder from elsewhere, in which links were planted: no command reads, writes or deletes through them."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from batchgen.collector.row_folder import remove_parts
from batchgen.core.errors import Exit, Refusal
from batchgen.core.job import Job, State
from batchgen.results.export.export import NothingToExport, export
from batchgen.results.export.settings import Settings
from batchgen.results.failed_csv import write_failed_csv
from batchgen.results.report.changes import original
from batchgen.results.report.write import write_report
from batchgen.results.reviews import append_mark, read_marks
from batchgen.results.row_history import story
from batchgen.results.status import status
from batchgen.runner.commands import collect
from batchgen.runner.neighbours import neighbours
from batchgen.runner.options import Options
from batchgen.state.repair import repair
from batchgen.storage.paths import LinkPlanted, NoPlainFile, RunFolder, refuse_planted
from tests.money.here import opened, ran, serving_here
from tests.processes import TOKEN, Batchgen

BASE = "http://127.0.0.1:1"


def tree(place: Path) -> dict[str, bytes | None]:
    """Every name below *place* with its bytes; None for a folder."""
    return {
        path.relative_to(place).as_posix(): path.read_bytes() if path.is_file() else None for path in place.rglob("*")
    }


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """What a user has beside the folder that was given to them."""
    place = tmp_path / "elsewhere"
    (place / "row-0000").mkdir(parents=True)
    for name in ("letter.txt", "row.json", "state.db", "images-00.png", "row-0000/row.json", "row-0000/images-00.png"):
        (place / name).write_text('{"private": "my letter"}')
    return place


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of two rows that came to its end."""

    async def whole_run(place: Path) -> None:
        async with serving_here() as server:
            assert (await ran(place, server.url, rows=2)).exit is Exit.DONE

    place = tmp_path_factory.mktemp("finished")
    asyncio.run(whole_run(place))
    return place / "out"


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> RunFolder:
    return RunFolder.at(shutil.copytree(finished, tmp_path / "out"))


def plant(folder: RunFolder, name: str, target: Path) -> None:
    place = folder.path / name
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


OWN_FILES = ["journal.jsonl", "marks.jsonl", "failed.csv", "report.html", "state.lock", "state.holder", "state.reserve"]
OWN_FOLDERS = ["rows", "parts", "attempts", "set-aside", "thumbs"]
READING: list[Callable[[RunFolder, Path], object]] = [
    lambda folder, dest: status(folder.path),
    lambda folder, dest: story(folder.path, "row-0000"),
    lambda folder, dest: write_report(folder.path, False, lambda done, of: None),
    lambda folder, dest: export(folder.path, dest, Settings(to="imagefolder")),
    lambda folder, dest: write_failed_csv(folder),
    lambda folder, dest: repair(folder, BASE),
]


@pytest.mark.parametrize("name", [*OWN_FILES, *OWN_FOLDERS, "state.db", "state.db-wal"])
async def test_what_is_ours_by_its_name_and_is_a_link_is_refused_by_name_with_nothing_touched(
    name: str, folder: RunFolder, tmp_path: Path, elsewhere: Path
) -> None:
    plant(folder, name, elsewhere if name in OWN_FOLDERS else elsewhere / "letter.txt")
    before = tree(elsewhere)
    for command in READING:
        with pytest.raises(LinkPlanted, match=f"{name} is a link") as refused:
            command(folder, tmp_path / "data")
        assert refused.value.exit is Exit.STATE
    with pytest.raises(LinkPlanted, match=f"{name} is a link"):
        opened(folder, BASE)
    assert tree(elsewhere) == before
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("name", ["state.db", "journal.jsonl"])
def test_a_named_pipe_where_a_file_of_ours_belongs_is_refused_by_name_and_not_waited_for(
    name: str, folder: RunFolder, tmp_path: Path
) -> None:
    (folder.path / name).unlink(missing_ok=True)
    os.mkfifo(folder.path / name)
    batchgen = Batchgen(tmp_path, BASE)
    for command in ("status", "show", "report", "audit", "repair"):
        ended = batchgen(command, folder.path, *(["row-0000"] if command == "show" else []), timeout_s=20)
        assert ended.exit == Exit.STATE, (command, ended)
        assert f"{name} is a named pipe" in ended.stderr, command
    with pytest.raises(NoPlainFile, match=f"{name} is a named pipe"):
        opened(folder, BASE)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("name", sorted({*OWN_FILES, "state.db-wal", "generation.json", "rows"} - {"journal.jsonl"}))
def test_no_other_name_of_ours_may_be_a_named_pipe(name: str, tmp_path: Path) -> None:
    folder = RunFolder.at(tmp_path)
    os.mkfifo(folder.path / name)
    with pytest.raises(NoPlainFile, match=f"{name} is a named pipe"):
        refuse_planted(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_folder_beside_this_one_whose_state_is_a_named_pipe_is_passed_by(tmp_path: Path) -> None:
    for name in ("good", "piped"):
        (tmp_path / name).mkdir()
    (tmp_path / "good" / "state.db").touch()
    os.mkfifo(tmp_path / "piped" / "state.db")
    found = neighbours(RunFolder.at(tmp_path / "out"), tmp_path / "dunes.csv")
    assert found == [tmp_path / "good" / "state.db"]


def test_rows_and_files_that_are_links_give_nothing_away(folder: RunFolder, tmp_path: Path, elsewhere: Path) -> None:
    plant(folder, "rows/row-0000", elsewhere / "row-0000")
    plant(folder, "rows/row-0001/images-00.png", elsewhere / "letter.txt")
    plant(folder, "rows/row-0002/row.json", elsewhere / "row.json")
    plant(folder, "attempts/row-0001/1", elsewhere / "row-0000")
    before = tree(elsewhere)
    write_report(folder.path, True, lambda done, of: None)
    assert original(folder, "row-0000", "images-00.png") is None
    assert original(folder, "row-0001", "images-00.png") is None
    with pytest.raises(NothingToExport):
        export(folder.path, tmp_path / "data", Settings(to="imagefolder"))
    repair(folder, BASE)
    assert tree(elsewhere) == before
    written = [(folder.path / "report.html").read_bytes(), *tree(tmp_path / "data").values()]
    assert not [content for content in written if content and b"my letter" in content]


async def test_what_a_link_stands_for_is_fetched_anew_beside_it(tmp_path: Path, elsewhere: Path) -> None:
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=3)).exit is Exit.DONE
        folder = RunFolder.at(tmp_path / "out")
        plant(folder, "rows/row-0000", elsewhere / "row-0000")
        plant(folder, "rows/row-0001/images-00.png", elsewhere / "letter.txt")
        plant(folder, "parts/row-0000.1/images-00.png", elsewhere / "letter.txt")
        plant(folder, "parts/row-0001.1/images-00.part", elsewhere / "letter.txt")
        before = tree(elsewhere)
        options = Options(api_base=server.url, token=TOKEN, min_free_bytes=0)
        assert (await collect(folder.path, options, verify=True)).exit is Exit.DONE
        assert server.posts == 3
    assert tree(elsewhere) == before
    assert all(folder.is_file(folder.row(f"row-000{number}") / "images-00.png") for number in range(3))


def test_a_folder_on_the_way_that_is_a_link_is_not_emptied(tmp_path: Path, elsewhere: Path) -> None:
    folder = RunFolder.at(tmp_path / "out")
    plant(folder, "parts/row-0000.1", elsewhere)
    before = tree(elsewhere)
    job = Job(1, "row-0000", 1, State.FAILED, "model", {}, (), "0" * 64)
    remove_parts(folder, job)
    assert tree(elsewhere) == before
    assert folder.names(folder.path / "parts") == []


def test_marks_are_neither_read_from_nor_added_to_a_link(folder: RunFolder, elsewhere: Path) -> None:
    plant(folder, "marks.jsonl", elsewhere / "letter.txt")
    before = tree(elsewhere)
    with pytest.raises(OSError, match="never followed"):
        read_marks(folder)
    with pytest.raises(OSError, match="never followed"):
        append_mark(folder, "row-0000", "a.png", "0" * 64, "accepted", 1.0)
    assert tree(elsewhere) == before


@pytest.mark.parametrize("row_id", ["../../elsewhere/row-0000", "/etc"])
def test_what_a_state_file_says_of_names_leads_nowhere_else(
    row_id: str, folder: RunFolder, tmp_path: Path, elsewhere: Path
) -> None:
    before = tree(elsewhere)
    with closing(sqlite3.connect(folder.state)) as connection:
        connection.execute("UPDATE rows SET row_id = ?, folded = ? WHERE row_id = 'row-0000'", (row_id, row_id))
        connection.commit()
    write_report(folder.path, True, lambda done, of: None)
    with suppress(Refusal, ValueError):
        export(folder.path, tmp_path / "data", Settings(to="imagefolder"))
    assert tree(elsewhere) == before
    written = [(folder.path / "report.html").read_bytes(), *tree(tmp_path / "data").values()]
    assert not [content for content in written if content and b"my letter" in content]


async def test_a_run_folder_that_its_user_reaches_by_a_link_works(tmp_path: Path) -> None:
    (tmp_path / "big disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "big disk")
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=2)).exit is Exit.DONE
        assert (await ran(tmp_path, server.url)).exit is Exit.DONE
        assert server.posts == 2
    folder = RunFolder.at(tmp_path / "out")
    write_report(folder.path, False, lambda done, of: None)
    append_mark(folder, "row-0000", "a.png", "0" * 64, "accepted", 1.0)
    assert {"rows", "report.html", "marks.jsonl", "state.db"} <= set(tree(tmp_path / "big disk"))
