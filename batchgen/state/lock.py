"""One writer a run folder: a lock that names who holds it."""

from __future__ import annotations

import json
import os
import socket
import time

from filelock import FileLock, Timeout

from batchgen.core.errors import Exit, Refusal
from batchgen.state.holder import in_use, living_elsewhere, living_here
from batchgen.storage.paths import RunFolder

HEARTBEAT_S = 15.0


class FolderInUse(Refusal):
    """Another run holds the folder; says its host, process and since when."""

    exit = Exit.FOLDER_IN_USE


class Lock:
    """Held from construction to `release`. Raises FolderInUse at once if another process holds the folder.

    The operating system frees the lock of a killed process. A holder on another host, which a shared folder may
    have, is known by its heartbeat: `beat` must be called at least every HEARTBEAT_S seconds.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._lock = FileLock(folder.lock)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise FolderInUse(in_use(folder)) from None
        if (other := living_elsewhere(folder) or living_here(folder)) is not None:
            self._lock.release()
            raise FolderInUse(other)
        self._is = _what_is_at(folder)
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
        with folder.writing(folder.holder) as stream:
            stream.write(json.dumps(holder).encode())
        self._held = os.open(folder.holder, os.O_RDONLY)

    def lost(self) -> str | None:
        """Why the folder is no longer ours, though nobody released it; None as long as it is."""
        found = _what_is_at(self._folder)
        if found == self._is:
            return None
        if not os.path.lexists(self._folder.path):
            what = f"{self._folder.path} was moved away or deleted while the run was on"
        elif found is None:
            what = f"{self._folder.lock} was deleted while the run was on, so that another run could begin beside it"
        else:
            what = f"another folder, or another run, took the place of {self._folder.path} while the run was on"
        if self.is_deleted:
            return (
                f"{what}. Nothing more is sent; what was deleted is gone, and the same command pays for its rows anew"
            )
        return f"{what}. Nothing more is sent; what was answered is saved in the folder that the run began in"

    @property
    def is_deleted(self) -> bool:
        """Whether the folder is not elsewhere, but nowhere: what is written to its open files can be read by nobody."""
        return not os.path.lexists(self._folder.path) and os.fstat(self._held).st_nlink == 0

    def beat(self) -> None:
        os.utime(self._folder.holder, follow_symlinks=False)

    def release(self) -> None:
        is_ours = self.lost() is None
        os.close(self._held)  # Windows removes no open file
        if is_ours:
            self._folder.unlink(self._folder.holder)
        self._lock.release()


def _what_is_at(folder: RunFolder) -> tuple[int, int] | None:
    """Which file is the folder's lock; None if there is none."""
    try:
        found = os.lstat(folder.lock)
    except OSError:
        return None
    return found.st_dev, found.st_ino
