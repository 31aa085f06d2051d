"""A state file that belongs to somebody else, or lies where nothing can be written: SQLite needs help to read it.

To read a file in WAL mode it makes two more beside it. Where it may not, or where what it makes would stand in the
way of the file's owner, the file is read without them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

from batchgen.state.tables import StateUnusable
from batchgen.storage.paths import RunFolder

_NOT_PERMITTED = frozenset(
    {sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_IOERR}
)


class _Copied(sqlite3.Connection):
    """A connection to a copy, which goes with it."""

    place: TemporaryDirectory[str]


def opened_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises sqlite3.Error."""
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return _connect(path, "mode=ro")
    if not _size_bytes(path, "-wal"):
        return _connect(path, "immutable=1")  # nobody is writing: the last writer left no log
    if _size_bytes(path, "-shm") is None:
        return _of_a_copy(path)
    return _connect(path, "mode=ro")


def refuse_unwritable(folder: RunFolder) -> None:
    """Raise StateUnusable if this user may not write in *folder*, before anything is done there."""
    if not all(os.access(path, os.W_OK) for path in (folder.path, folder.state) if path.exists()):
        raise StateUnusable(
            f"{folder.path} cannot be written by this user, so nothing was done there and nothing sent: it is another "
            "user's, or on a read-only disk; status, show, report --out, export, plan and audit need to read it alone"
        )


def no_run_folder(folder: RunFolder) -> StateUnusable:
    """That *folder* is none, and what it lacks."""
    what = "it has no state.db" if folder.path.is_dir() else "there is no such folder"
    return StateUnusable(f"{folder.path} is not a run folder: {what}; a run's folder is named at its start and end")


def why_unreadable(path: Path, error: sqlite3.Error) -> str:
    """What is wrong with the state file at *path*, and what helps: a repair only where the file itself is damaged."""
    if not os.access(path, os.R_OK) or getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_PERMITTED:
        return (
            f"{path} may not be read by this user ({error}); whoever owns {path.parent} can give the permission: "
            f"chmod -R a+rX {path.parent}"
        )
    return f"{path} cannot be read ({error}); `batchgen repair {path.parent}` restores it"


def _connect(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=30, check_same_thread=False)


def _of_a_copy(path: Path) -> sqlite3.Connection:
    """What a killed run left in its log can be read only where the log can be gone through: in a copy of both."""
    place = TemporaryDirectory(prefix="batchgen-", ignore_cleanup_errors=True)
    try:
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", f"{place.name}/{path.name}{suffix}")
    except OSError as error:
        raise sqlite3.OperationalError(str(error.strerror)) from None
    copied = sqlite3.connect(f"{place.name}/{path.name}", timeout=30, check_same_thread=False, factory=_Copied)
    copied.place = place
    copied.execute("PRAGMA query_only = ON")
    return copied


def _size_bytes(path: Path, suffix: str) -> int | None:
    try:
        return os.stat(f"{path}{suffix}").st_size
    except OSError:
        return None
