"""What the processes begun here know of ours: they decode foreign bytes, so they get no key."""

from __future__ import annotations

import os
import sys


def environ_without_key() -> dict[str, str]:
    """Our environment without the key. Modules are found where we find ours, wherever that was set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNCOMFY")}
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
