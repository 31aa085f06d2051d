"""The state of a run folder: SQLite and its journal, one writer, durable before anything acts on it.

The names below are loaded when they are first used: `status` reads, and has no use for what writes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchgen.statefile.file import OnMove, OtherBase, StateFile, Tally
    from batchgen.statefile.holder import held_by
    from batchgen.statefile.judgement import (
        Judgement,
        Rows,
        Scope,
        expiring_inputs,
        judge,
        local_files_to_send,
        rows_within,
        to_send_among,
    )
    from batchgen.statefile.known import KnownRows, kept_schemas
    from batchgen.statefile.lock import HEARTBEAT_S, FolderInUse
    from batchgen.statefile.memo import Memo
    from batchgen.statefile.neighbours import paid_elsewhere
    from batchgen.statefile.opening import open_state
    from batchgen.statefile.reader import Reader, empty, read_only
    from batchgen.statefile.scratch import Asked, Scratch
    from batchgen.statefile.tables import StateUnusable
    from batchgen.statefile.writer import OnTrouble, Record

_HOMES = {
    "Asked": "scratch",
    "FolderInUse": "lock",
    "HEARTBEAT_S": "lock",
    "Judgement": "judgement",
    "KnownRows": "known",
    "Memo": "memo",
    "OnMove": "file",
    "OnTrouble": "writer",
    "OtherBase": "file",
    "Reader": "reader",
    "Record": "writer",
    "Rows": "judgement",
    "Scope": "judgement",
    "Scratch": "scratch",
    "StateFile": "file",
    "StateUnusable": "tables",
    "Tally": "file",
    "empty": "reader",
    "expiring_inputs": "judgement",
    "held_by": "holder",
    "judge": "judgement",
    "kept_schemas": "known",
    "local_files_to_send": "judgement",
    "open_state": "opening",
    "paid_elsewhere": "neighbours",
    "rows_within": "judgement",
    "read_only": "reader",
    "to_send_among": "judgement",
}

__all__ = [
    "HEARTBEAT_S",
    "Asked",
    "FolderInUse",
    "Judgement",
    "KnownRows",
    "Memo",
    "OnMove",
    "OnTrouble",
    "OtherBase",
    "Reader",
    "Record",
    "Rows",
    "Scope",
    "Scratch",
    "StateFile",
    "StateUnusable",
    "Tally",
    "empty",
    "expiring_inputs",
    "held_by",
    "judge",
    "kept_schemas",
    "local_files_to_send",
    "open_state",
    "paid_elsewhere",
    "read_only",
    "rows_within",
    "to_send_among",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'batchgen.statefile' has no attribute {name!r}")
    return getattr(import_module(f"batchgen.statefile.{_HOMES[name]}"), name)
