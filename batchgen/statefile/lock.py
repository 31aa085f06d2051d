"""One writer a run folder: a lock that names who holds it."""

from __future__ import annotations

import json
import os
import socket
import time

from filelock import FileLock, Timeout

from batchgen.exits import Exit, Refusal
from batchgen.runfolder import RunFolder
from batchgen.statefile.holder import in_use, living_elsewhere

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
        if (other := living_elsewhere(folder)) is not None:
            self._lock.release()
            raise FolderInUse(other)
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
        with folder.writing(folder.holder) as stream:
            stream.write(json.dumps(holder).encode())

    def beat(self) -> None:
        os.utime(self._folder.holder, follow_symlinks=False)

    def release(self) -> None:
        self._folder.unlink(self._folder.holder)
        self._lock.release()
