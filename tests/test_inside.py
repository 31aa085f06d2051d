"""Nothing below a folder is reached through a link."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.storage.inside import Inside, LinkInside, _look_at_each, _plain_names


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder of the user's that nobody may touch."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "letter.txt").write_text("private")
    return place


@pytest.fixture
def folder(tmp_path: Path, elsewhere: Path) -> Inside:
    """A foreign folder: a file, a folder and one in between lead elsewhere."""
    root = tmp_path / "foreign"
    (root / "rows").mkdir(parents=True)
    (root / "rows" / "file").symlink_to(elsewhere / "letter.txt")
    (root / "rows" / "folder").symlink_to(elsewhere)
    (root / "rows" / "nowhere").symlink_to(elsewhere / "new.txt")
    (root / "rows" / "good.txt").write_text("good")
    (root / "thumbs").symlink_to(elsewhere)
    return Inside(root)


THROUGH = ["rows/folder/letter.txt", "thumbs/letter.txt", "thumbs/../rows/good.txt", "../elsewhere/letter.txt"]
AT = ["rows/file", "rows/nowhere"]

REACHING: list[Callable[[Inside, Path], object]] = [
    lambda folder, path: folder.read_bytes(path),
    lambda folder, path: folder.writing(path).close(),
    lambda folder, path: folder.writing(path, "ab").close(),
    lambda folder, path: folder.descriptor(path, os.O_RDWR),
]
CHANGING: list[Callable[[Inside, Path], object]] = [
    lambda folder, path: folder.write_whole(path, b"new"),
    lambda folder, path: folder.unlink(path),
    lambda folder, path: folder.remove(path),
    lambda folder, path: folder.replace(path, folder.path / "taken"),
    lambda folder, path: folder.replace(folder.path / "rows" / "good.txt", path),
    lambda folder, path: folder.make(path.parent / "made"),
    lambda folder, path: folder.sync(path.parent),
    lambda folder, path: folder.names(path.parent),
    lambda folder, path: folder.rmdir(path),
]


@pytest.mark.parametrize("path", THROUGH)
@pytest.mark.parametrize("reach", [*REACHING, *CHANGING])
def test_no_way_leads_through_a_link(
    folder: Inside, elsewhere: Path, path: str, reach: Callable[[Inside, Path], object]
) -> None:
    with pytest.raises(LinkInside):
        reach(folder, folder.path / path)
    assert [(one.name, one.read_text()) for one in elsewhere.iterdir()] == [("letter.txt", "private")]


@pytest.mark.parametrize("path", AT)
@pytest.mark.parametrize("reach", REACHING)
def test_a_link_is_neither_read_nor_written(
    folder: Inside, elsewhere: Path, path: str, reach: Callable[[Inside, Path], object]
) -> None:
    with pytest.raises(LinkInside):
        reach(folder, folder.path / path)
    assert [(one.name, one.read_text()) for one in elsewhere.iterdir()] == [("letter.txt", "private")]


def test_a_link_can_be_replaced_renamed_and_removed_and_what_it_leads_to_stays(folder: Inside, elsewhere: Path) -> None:
    rows = folder.path / "rows"
    folder.write_whole(rows / "file", b"ours")
    folder.replace(rows / "folder", rows / "aside")
    folder.remove(rows / "aside")
    folder.unlink(rows / "nowhere")
    assert sorted(folder.names(rows)) == ["file", "good.txt"]
    assert (elsewhere / "letter.txt").read_text() == "private"


def test_a_part_that_was_planted_as_a_link_is_not_written_through(folder: Inside, elsewhere: Path) -> None:
    (folder.path / "failed.csv.part").symlink_to(elsewhere / "letter.txt")
    folder.write_whole(folder.path / "failed.csv", b"ours")
    assert folder.read_bytes(folder.path / "failed.csv") == b"ours"
    assert (elsewhere / "letter.txt").read_text() == "private"


def test_what_is_removed_with_its_folder_is_not_followed(folder: Inside, elsewhere: Path) -> None:
    folder.remove(folder.path / "rows")
    assert folder.names(folder.path) == ["thumbs"]
    assert (elsewhere / "letter.txt").read_text() == "private"


def test_a_link_is_no_file_and_no_folder(folder: Inside) -> None:
    for name in ("rows/file", "rows/folder", "rows/folder/letter.txt", "thumbs", "rows/missing", "thumbs/missing/x"):
        assert not folder.is_file(folder.path / name)
        assert not folder.is_dir(folder.path / name)
    assert folder.is_file(folder.path / "rows" / "good.txt")
    assert folder.is_dir(folder.path / "rows")


def test_the_folder_itself_may_be_a_link(folder: Inside, tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(folder.path)
    mine = Inside(tmp_path / "mine")
    assert mine.make(mine.path / "a" / "b" / "c") is True
    assert mine.make(mine.path / "a" / "b" / "c") is False
    mine.write_whole(mine.path / "a" / "b" / "c" / "d.txt", b"whole")
    assert mine.read_text(folder.path.parent / "mine" / "a/b/c/d.txt") == "whole"


def test_folders_inside_are_made_and_the_folder_itself_never_is(tmp_path: Path) -> None:
    new = Inside(tmp_path / "new")
    assert new.names(new.path / "rows") == []
    assert new.stat(new.path / "rows" / "a") is None
    new.unlink(new.path / "rows" / "a")
    with pytest.raises(FileNotFoundError):  # it was moved away
        new.make(new.path / "rows" / "a")
    assert not new.path.exists()
    new.path.mkdir()
    new.make(new.path / "rows" / "a")
    assert new.is_dir(tmp_path / "new" / "rows" / "a")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
def test_a_named_pipe_is_refused_and_not_waited_for(folder: Inside, flags: int) -> None:
    os.mkfifo(folder.path / "pipe")
    with pytest.raises(OSError, match="no plain file"):
        folder.descriptor(folder.path / "pipe", flags)


def test_errors_name_the_whole_path(folder: Inside) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        folder.read_bytes(folder.path / "rows" / "missing")
    assert missing.value.filename == str(folder.path / "rows" / "missing")
    with pytest.raises(LinkInside) as link:
        folder.read_bytes(folder.path / "rows" / "file")
    assert link.value.errno == errno.ELOOP


def test_no_descriptor_is_left_open(folder: Inside) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for path in (*THROUGH, *AT, "rows/good.txt", "rows/missing"):
        for reach in (folder.is_file, folder.is_dir):
            reach(folder.path / path)
        with pytest.raises(OSError, match=r"link|[Dd]irectory"):
            folder.rmdir(folder.path / path)
    assert (len(os.listdir("/proc/self/fd")) if before else 0) == before


def test_without_the_systems_help_each_name_on_the_way_is_looked_at(folder: Inside) -> None:
    _look_at_each(folder.path, ("rows", "missing", "further"))
    with pytest.raises(LinkInside):
        _look_at_each(folder.path, ("rows", "folder", "letter.txt"))


@pytest.mark.parametrize("below", ["rows", "rows/a/b.png", "rows/..x", "rows/ä b", "rows\\a", "rows/a\nb"])
def test_names_read_the_quick_way_are_those_that_pathlib_finds(below: str) -> None:
    text = str(Path("/out") / below)
    assert tuple(_plain_names(str(Path("/out")), text) or Path(text).parts[2:]) == Path(below).parts


@pytest.mark.parametrize("text", ["/out", "/out/", "/output/rows", "/out//rows", "/out/./rows", "/other", "out/rows"])
def test_what_is_not_written_the_plain_way_is_left_to_pathlib(text: str) -> None:
    assert _plain_names("/out", text) is None


def test_no_file_is_left_open_by_a_way_that_ends_in_the_middle(folder: Inside) -> None:
    before = os.dup(0)
    os.close(before)
    for place in ("rows/folder/x", "rows/none/x", "rows/good.txt/x", "thumbs/x"):
        with pytest.raises((LinkInside, FileNotFoundError, NotADirectoryError)):
            folder.reading(folder.path / place)
    after = os.dup(0)
    os.close(after)
    assert after == before
