"""Run folders in which the same sheet may lie under another name."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from pathlib import Path

from batchgen.core.errors import Refusal
from batchgen.storage.paths import RunFolder, absolute, refuse_planted

_MOST = 200


def neighbours(folder: RunFolder, manifest: Path) -> list[Path]:
    """The state files beside that of *folder* and beside the default folder of *manifest*, the newest of many."""
    found: dict[Path, float] = {}
    for place in {absolute(folder.path).parent, RunFolder.beside(manifest).path.parent}:
        for state in place.glob("*/state.db"):
            with suppress(OSError):  # it went away meanwhile
                found[state] = state.stat().st_mtime
    found.pop(absolute(folder.state), None)
    newest = sorted(found, key=lambda state: found[state], reverse=True)
    return list(islice(filter(_can_be_opened, newest), _MOST))


def _can_be_opened(state: Path) -> bool:
    try:
        refuse_planted(RunFolder(state.parent))
    except Refusal:
        return False
    return True
