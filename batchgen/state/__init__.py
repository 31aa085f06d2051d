"""The state of a run folder: SQLite and its journal, one writer, durable before anything acts on it.

The names below are loaded when they are first used: `status` reads, and has no use for what writes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchgen.state.diff import (
        DiffCounts,
        ManifestDiff,
        Scope,
    )
    from batchgen.state.file import OnMove, OtherBase, StateFile, Tally
    from batchgen.state.holder import held_by
    from batchgen.state.lock import HEARTBEAT_S, FolderInUse
    from batchgen.state.opening import open_state
    from batchgen.state.reader import ChangeMark, Reader, empty_reader, open_reader
    from batchgen.state.readonly import no_run_folder
    from batchgen.state.seen import Memo
    from batchgen.state.staging import Asked, Staging
    from batchgen.state.tables import StateUnusable
    from batchgen.state.unchanged import UnchangedRows
    from batchgen.state.writer import OnTrouble, Record

_HOMES = {
    "Asked": "staging",
    "ChangeMark": "reader",
    "FolderInUse": "lock",
    "HEARTBEAT_S": "lock",
    "ManifestDiff": "diff",
    "UnchangedRows": "unchanged",
    "Memo": "seen",
    "OnMove": "file",
    "OnTrouble": "writer",
    "OtherBase": "file",
    "Reader": "reader",
    "Record": "writer",
    "DiffCounts": "diff",
    "Scope": "diff",
    "Staging": "staging",
    "StateFile": "file",
    "StateUnusable": "tables",
    "Tally": "file",
    "empty_reader": "reader",
    "held_by": "holder",
    "open_state": "opening",
    "no_run_folder": "readonly",
    "open_reader": "reader",
}

__all__ = [
    "HEARTBEAT_S",
    "Asked",
    "ChangeMark",
    "DiffCounts",
    "FolderInUse",
    "ManifestDiff",
    "Memo",
    "OnMove",
    "OnTrouble",
    "OtherBase",
    "Reader",
    "Record",
    "Scope",
    "Staging",
    "StateFile",
    "StateUnusable",
    "Tally",
    "UnchangedRows",
    "empty_reader",
    "held_by",
    "no_run_folder",
    "open_reader",
    "open_state",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'batchgen.state' has no attribute {name!r}")
    return getattr(import_module(f"batchgen.state.{_HOMES[name]}"), name)
