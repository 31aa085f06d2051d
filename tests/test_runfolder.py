"""Where files lie, and how one gets its final name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchgen.storage.paths import NetworkFileSystem, RunFolder, refuse_network_file_system, write_whole


def test_the_default_folder_lies_beside_the_manifest_whatever_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert RunFolder.beside(Path("../ads.csv")).path == tmp_path / "out" / "ads"
    assert RunFolder.at("../out/ads").path == tmp_path / "out" / "ads"
    assert RunFolder.at(tmp_path / "out" / "ads").holds(Path("../out/ads/failed.csv"))
    assert RunFolder.beside(tmp_path / "ads.csv").path == tmp_path / "out" / "ads"


@pytest.mark.parametrize("sign", ["state.db", "journal.jsonl"])
def test_a_table_that_lies_in_a_run_folder_works_on_that_folder(tmp_path: Path, sign: str) -> None:
    assert RunFolder.beside(tmp_path / "failed.csv").path == tmp_path / "out" / "failed"
    (tmp_path / sign).touch()
    assert RunFolder.beside(tmp_path / "failed.csv").path == tmp_path


def test_a_rehearsal_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = RunFolder.at(tmp_path / "ads")
    assert folder.rehearsal.path == tmp_path / "ads.rehearsal"


def test_no_two_things_of_a_run_share_a_place(tmp_path: Path) -> None:
    folder = RunFolder.at(tmp_path)
    places = [folder.state, folder.journal, folder.lock, folder.holder, folder.rows, folder.failed_csv]
    places += [folder.set_aside, folder.row("a"), folder.attempt("a", 1), folder.attempt("a", 2)]
    places += [folder.parts("a", 1), folder.parts("a", 2)]
    assert len(set(places)) == len(places)
    assert all(place.is_relative_to(tmp_path) for place in places)


def test_a_file_is_the_old_one_or_the_new_one_and_leaves_no_part(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    write_whole(path, b"old")
    before = os.stat(path).st_ino
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.stat(path).st_ino != before  # replaced as a whole, never written into
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    write_whole(path, b"old")
    (tmp_path / "row.json.part").mkdir()
    with pytest.raises(OSError, match=r"row\.json"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"


MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/export {root}/nfs nfs4 rw 0 0
remote {root}/with\\040space fuse.rclone rw 0 0
tmpfs {root}/nfs/local tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "refused"),
    [("out", False), ("nfs/out", True), ("nfs-not/out", False), ("with space/out", True), ("nfs/local/out", False)],
)
def test_a_run_folder_on_a_network_mount_is_refused(tmp_path: Path, folder: str, refused: bool) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.replace("{root}", str(tmp_path)))
    (tmp_path / folder).mkdir(parents=True)
    if refused:
        with pytest.raises(NetworkFileSystem, match="--out"):
            refuse_network_file_system(tmp_path / folder / "new", mounts)
    else:
        refuse_network_file_system(tmp_path / folder / "new", mounts)


def test_a_system_without_a_table_of_mounts_is_not_asked(tmp_path: Path) -> None:
    refuse_network_file_system(tmp_path, tmp_path / "no-such-file")
