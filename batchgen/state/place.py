"""Where a run folder lies, so that a copy of it can be told from the folder that it was."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path

from batchgen.state import generation
from batchgen.storage.paths import RunFolder

_MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True)
class Place:
    """*machine* stands for a machine without naming it; *path* is free of links; *inode* is the folder's own."""

    machine: str
    path: str
    inode: int


def here(folder: RunFolder) -> Place:
    return Place(_machine(), os.path.realpath(folder.path), os.stat(folder.path).st_ino)


def of_state(connection: sqlite3.Connection) -> Place | None:
    """Where the state says that it lies; None if it was never said."""
    found = connection.execute("SELECT value FROM meta WHERE name = 'place'").fetchone()
    return None if found is None else Place(**json.loads(found[0]))


def keep(connection: sqlite3.Connection, place: Place) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('place', ?)", (json.dumps(asdict(place)),))


def original(name: str, was: Place, now: Place) -> str | None:
    """What the folder called *name* is a copy of, if that may still be in use; None if this is the folder itself.

    The folder itself may have been renamed, or moved to another disk: then it is no longer where it was. Of another
    machine nothing can be known, but that a container sees the very same folder under the very same path.
    """
    if now.machine != was.machine:
        return None if (now.path, now.inode) == (was.path, was.inode) else f"{was.path} on another machine"
    if now.path == was.path or _is_one_folder(now.path, was.path):
        return None
    there = RunFolder(Path(was.path))
    beside_it = generation.beside(there)
    is_there = there.state.exists() if beside_it is None else beside_it.folder == name
    return was.path if is_there else None


def _is_one_folder(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _machine() -> str:
    """The same for every process of this machine, and for no other machine."""
    try:
        own = _MACHINE_ID.read_text("ascii").strip()
    except (OSError, ValueError):
        own = ""
    return hashlib.sha256(f"batchgen {own or socket.gethostname()}".encode()).hexdigest()[:32]
