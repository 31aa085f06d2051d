"""Where every file of a run lies, and how a file gets its final name."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.errors import Exit, Refusal
from batchgen.storage.inside import Inside


class LinkPlanted(Refusal):
    """A name that a run folder gives its own files is a link there."""

    exit = Exit.STATE


class NoPlainFile(Refusal):
    """A name that a run folder gives its own files is a named pipe, a socket or a device there."""

    exit = Exit.STATE


class NetworkFileSystem(Refusal):
    """The run folder lies on a file system on which SQLite's locks cannot be trusted."""

    exit = Exit.STATE


def absolute(path: str | Path) -> Path:
    """*path* from the root and without `..`, so that a folder has one name from wherever it is reached."""
    path = Path(path)
    return path.resolve() if ".." in path.parts else path.absolute()


@dataclass(frozen=True, slots=True)
class RunFolder(Inside):
    """The paths of one run folder (OUT), each to be reached by the methods of Inside and by nothing else."""

    @classmethod
    def at(cls, path: str | Path) -> RunFolder:
        return cls(absolute(path))

    @classmethod
    def beside(cls, manifest: Path) -> RunFolder:
        """The default run folder of *manifest*, whatever the working directory.

        A CSV that lies in a run folder, such as its `failed.csv`, works on that folder.
        """
        manifest = absolute(manifest)
        if (manifest.parent / "state.db").exists() or (manifest.parent / "journal.jsonl").exists():
            return cls(manifest.parent)
        return cls(manifest.parent / "out" / manifest.stem)

    def holds(self, manifest: Path) -> bool:
        """Whether *manifest* is a table that lies in this folder, such as its failed.csv."""
        return absolute(manifest).parent == absolute(self.path)

    @property
    def rehearsal(self) -> RunFolder:
        """The folder beside this one that `rehearse` uses, which nobody can take for a paid one."""
        return RunFolder(self.path.with_name(self.path.name + ".rehearsal"))

    @property
    def state(self) -> Path:
        return self.path / "state.db"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def lock(self) -> Path:
        return self.path / "state.lock"

    @property
    def holder(self) -> Path:
        """Who holds the lock: a file of its own, since a locked file cannot be read on Windows."""
        return self.path / "state.holder"

    @property
    def reserve(self) -> Path:
        """Room that is given up when the disk is full, so that an id that was answered can still be written."""
        return self.path / "state.reserve"

    @property
    def generation(self) -> Path:
        """How far the folder had come, for an older state that is put back."""
        return self.path / "generation.json"

    @property
    def rows(self) -> Path:
        return self.path / "rows"

    @property
    def attempts(self) -> Path:
        return self.path / "attempts"

    @property
    def failed_csv(self) -> Path:
        return self.path / "failed.csv"

    @property
    def set_aside(self) -> Path:
        """Bytes that were paid for and cannot be used: kept, never deleted."""
        return self.path / "set-aside"

    @property
    def all_parts(self) -> Path:
        """Where the files of all rows arrive."""
        return self.path / "parts"

    @property
    def of_outputs(self) -> tuple[Path, ...]:
        """The folders that hold what was paid for."""
        return (self.rows, self.all_parts, self.attempts, self.set_aside)

    def row(self, row_id: str) -> Path:
        return self.rows / row_id

    def attempt(self, row_id: str, n: int) -> Path:
        """Where the outputs of an earlier attempt are kept."""
        return self.attempts / row_id / str(n)

    def parts(self, row_id: str, n: int) -> Path:
        """Where a row's files arrive before the whole row moves to its folder."""
        return self.all_parts / f"{row_id}.{n}"


_OWN_NAMES = (
    *("state.db", "state.db-wal", "state.db-shm", "state.db-journal", "state.db.part"),
    *("state.lock", "state.holder", "state.reserve", "journal.jsonl", "generation.json", "marks.jsonl"),
    *("generation.json.part", "failed.csv", "report.html"),
    *("rows", "parts", "attempts", "set-aside", "thumbs"),
)


def refuse_planted(folder: RunFolder) -> None:
    """Raise LinkPlanted if something right in *folder* that is ours by its name is a link, and NoPlainFile if it is
    neither file nor folder: whoever opens a named pipe waits for ever.

    SQLite and the lock open by name: for them this look is all there is. The folder itself may be a link.
    """
    for name in _OWN_NAMES:
        if folder.is_link(folder.path / name):
            raise LinkPlanted(
                f"{folder.path / name} is a link. Nothing was read or written: inside a run folder no link is "
                "followed, since a folder from elsewhere could lead anywhere. Put the file or folder itself there; "
                "to keep a run on another disk, name that place with --out"
            )
        found = folder.stat(folder.path / name)
        if found is not None and not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise NoPlainFile(
                f"{folder.path / name} is a named pipe, a socket or a device, which is never opened inside a run "
                "folder; nothing was read or written: put the file itself there"
            )


def sync_folder(folder: Path) -> None:
    """Return once the names in *folder* are on disk. Windows has no such call and needs none."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Put *content* at *path* so that a reader finds the old file or the new one, never a part."""
    Inside(path.parent).write_whole(path, content)


_NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "lustre", "ceph", "glusterfs", "afs", "fuse.sshfs"}
)


def refuse_network_file_system(folder: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """Raise NetworkFileSystem if *folder* (or its nearest existing parent) is on a network mount.

    Known on Linux only; elsewhere nothing is checked.
    """
    if not mounts.exists():
        return
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    place = place.resolve()
    best, kind = "", ""
    for line in mounts.read_text(errors="replace").splitlines():
        _, mount_point, file_system, *_ = line.split(" ")
        mount_point = mount_point.replace("\\040", " ")
        if place.is_relative_to(mount_point) and len(mount_point) >= len(best):
            best, kind = mount_point, file_system
    if kind in _NETWORK_FILE_SYSTEMS or kind.startswith("fuse.rclone"):
        raise NetworkFileSystem(
            f"{folder} lies on a network file system ({kind}), where two machines could write the state file "
            "at once; choose a folder on a local disk with --out"
        )
