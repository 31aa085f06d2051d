"""What the processes begun here know of ours: they decode foreign bytes."""

from __future__ import annotations

import os


def environ_without_key() -> dict[str, str]:
    """The environment for a process that has no need of the key."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RUNCOMFY")}
