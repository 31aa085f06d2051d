"""Rows that come together are put on disk together, and each answers for itself alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.collector.shelf import Arrival, shelve
from batchgen.job import SavedFile
from batchgen.runfolder import RunFolder
from batchgen.verify import Undecodable
from tests.collector.conftest import ready
from tests.collector.media import picture


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder.at(tmp_path / "out")
    folder.rows.mkdir(parents=True)
    return folder


def arrival(row_id: str, content: bytes, publish: bool = True) -> Arrival:
    return Arrival(ready("https://example.com/a.png", row_id=row_id), (), {"images-00": content}, publish)


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
    both = Arrival(ready("https://a/1", "https://a/2"), (), {"images-00": whole, "images-01": b"<html>"}, True)
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
