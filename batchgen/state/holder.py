"""Who holds a run folder, as far as the file beside its lock tells."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from batchgen.storage.paths import RunFolder

_OTHER_HOST_S = 60.0
_DYING_S = 2.0


def in_use(folder: RunFolder) -> str:
    """That *folder* is held, and by whom."""
    try:
        holder = json.loads(folder.read_bytes(folder.holder))
        since = datetime.fromtimestamp(holder["since"]).strftime("%Y-%m-%d %H:%M:%S")
        who = f"host {holder['host']}, pid {holder['pid']}, since {since}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "a process that is just starting"
    return f"another run holds {folder.path} ({who}); wait for it or stop it, then try again"


def held_by(folder: RunFolder) -> str | None:
    """Who is running in *folder* now, as far as its heartbeat tells; None if nobody is."""
    try:
        holder, age_s = _read(folder)
        return f"host {holder['host']}, pid {holder['pid']}" if age_s <= _OTHER_HOST_S else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def living_elsewhere(folder: RunFolder) -> str | None:
    """Who else holds the folder from another machine, as far as its heartbeat tells."""
    try:
        holder, age_s = _read(folder)
    except (OSError, ValueError):
        return None
    if holder.get("host") == socket.gethostname() or age_s > _OTHER_HOST_S:
        return None
    return (
        f"{folder.path} is held from another machine (host {holder['host']}, pid {holder['pid']}, last sign "
        f"of life {age_s:.0f} s ago); stop that run, or wait {_OTHER_HOST_S:.0f} s after it ended"
    )


def living_here(folder: RunFolder) -> str | None:
    """Which other process of this machine still holds the folder, although its lock could be taken: a lock file that
    was deleted locks nobody out.
    """
    try:
        holder, age_s = _read(folder)
        is_alive = holder["pid"] != os.getpid() and age_s <= _OTHER_HOST_S and _stays_alive(int(holder["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return in_use(folder) if is_alive else None


def _stays_alive(pid: int) -> bool:
    """Whether there is such a process, and not just one that was killed and is on its way out."""
    give_up = time.monotonic() + _DYING_S
    while _is_alive(pid):
        if time.monotonic() > give_up:
            return True
        time.sleep(0.02)
    return False


def _is_alive(pid: int) -> bool:
    """Whether there is such a process. On Windows, where a lock that is held cannot be deleted, nobody asks."""
    if sys.platform == "win32" or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    try:  # one that is dead and not yet waited for, as under a container's first process, holds nothing
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return True


def _read(folder: RunFolder) -> tuple[Any, float]:
    """What the file says, and how many seconds ago it was touched last."""
    with folder.reading(folder.holder) as stream:
        return json.load(stream), time.time() - os.fstat(stream.fileno()).st_mtime
