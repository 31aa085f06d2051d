"""Who holds a run folder, as far as the file beside its lock tells."""

from __future__ import annotations

import json
import socket
import time
from datetime import datetime
from pathlib import Path

from batchgen.runfolder import RunFolder

_OTHER_HOST_S = 60.0


def in_use(folder: RunFolder) -> str:
    """That *folder* is held, and by whom."""
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


def living_elsewhere(holder_file: Path) -> str | None:
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
