"""Marks: the last one holds, for the bytes that were looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.results.reviews import append_mark, marks_file, read_marks, rejected_rows
from batchgen.state import open_reader
from batchgen.storage.paths import RunFolder
from tests.report.folders import mixed_folder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.at(mixed_folder(tmp_path / "out", 4))


def sha256_of(folder: RunFolder, row_id: str) -> str:
    reader = open_reader(folder)
    try:
        return reader.attempts(row_id)[-1].saved[0].sha256
    finally:
        reader.close()


def test_the_last_mark_of_an_output_holds(folder: RunFolder) -> None:
    sha256 = sha256_of(folder, "row-0001")
    append_mark(folder, "row-0001", "images-00.png", sha256, "rejected", 1.0)
    assert rejected_rows(folder) == {"row-0001"}
    append_mark(folder, "row-0001", "images-00.png", sha256, "accepted", 2.0)
    assert rejected_rows(folder) == set()
    append_mark(folder, "row-0001", "images-00.png", sha256, "none", 3.0)
    assert read_marks(folder) == {}
    assert len(marks_file(folder).read_text().splitlines()) == 3, "nothing is ever overwritten"


def test_a_row_that_was_made_anew_is_no_longer_rejected(folder: RunFolder) -> None:
    append_mark(folder, "row-0001", "images-00.png", "0" * 64, "rejected", 1.0)
    assert rejected_rows(folder) == set()


def test_a_torn_line_costs_only_itself(folder: RunFolder) -> None:
    sha256 = sha256_of(folder, "row-0001")
    append_mark(folder, "row-0001", "images-00.png", sha256, "rejected", 1.0)
    with marks_file(folder).open("ab") as stream:
        stream.write(b'{"at": 2.0, "row": "row-0001", "fi')
    append_mark(folder, "row-0002", "images-00.png", sha256_of(folder, "row-0002"), "rejected", 3.0)
    assert rejected_rows(folder) == {"row-0001", "row-0002"}


def test_without_marks_nothing_is_rejected(folder: RunFolder) -> None:
    assert rejected_rows(folder) == set()
    assert not marks_file(folder).exists()
