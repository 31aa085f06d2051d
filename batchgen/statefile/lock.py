"""One writer a run folder: a lock that names who holds it."""

from __future__ import annotations

import json
import os
import socket
import time
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from batchgen.exits import Exit, Refusal
from batchgen.runfolder import RunFolder

HEARTBEAT_S = 15.0
_OTHER_HOST_S = 60.0


class FolderInUse(Refusal):
    """Another run holds the folder; says its host, process and since when."""

    exit = Exit.FOLDER_IN_USE


class Lock:
    """Held from construction to `release`. Raises FolderInUse at once if another process holds the folder.

    The operating system frees the lock of a killed process. A holder on another host, which a shared folder may
    have, is known by its heartbeat: `beat` must be called at least every HEARTBEAT_S seconds.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._holder = folder.holder
        self._lock = FileLock(folder.lock)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise FolderInUse(_in_use(folder)) from None
        if (other := _living_elsewhere(folder.holder)) is not None:
            self._lock.release()
            raise FolderInUse(other)
        self._holder.write_text(
            json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}), "utf-8"
        )

    def beat(self) -> None:
        os.utime(self._holder)

    def release(self) -> None:
        self._holder.unlink(missing_ok=True)
        self._lock.release()


def _in_use(folder: RunFolder) -> str:
    try:
        holder = json.loads(folder.holder.read_text("utf-8"))
        since = datetime.fromtimestamp(holder["since"]).strftime("%Y-%m-%d %H:%M:%S")
        who = f"host {holder['host']}, pid {holder['pid']}, since {since}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "a process that is just starting"
    return f"another run holds {folder.path} ({who}); wait for it or stop it, then try again"


def held_by(folder: RunFolder) -> str | None:
    """Who is running in *folder* now, as far as its heartbeat tells; None if nobody is."""
    try:
        holder = json.loads(folder.holder.read_text("utf-8"))
        age_s = time.time() - folder.holder.stat().st_mtime
        return f"host {holder['host']}, pid {holder['pid']}" if age_s <= _OTHER_HOST_S else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _living_elsewhere(holder_file: Path) -> str | None:
    """Who else holds the folder from another machine, as far as its heartbeat tells."""
    try:
        holder = json.loads(holder_file.read_text("utf-8"))
        age_s = time.time() - holder_file.stat().st_mtime
    except (OSError, ValueError):
        return None
    if holder.get("host") == socket.gethostname() or age_s > _OTHER_HOST_S:
        return None
    return (
        f"{holder_file.parent} is held from another machine (host {holder['host']}, pid {holder['pid']}, last sign "
        f"of life {age_s:.0f} s ago); stop that run, or wait {_OTHER_HOST_S:.0f} s after it ended"
    )
