"""The state of a run folder: SQLite and its journal, one writer, durable before anything acts on it."""

from batchgen.statefile.file import OnMove, OtherBase, StateFile, Tally, open_state
from batchgen.statefile.judgement import Judgement, Rows, Scope, expiring_inputs, judge, local_files_to_send
from batchgen.statefile.known import KnownRows, kept_schemas
from batchgen.statefile.lock import HEARTBEAT_S, FolderInUse, held_by
from batchgen.statefile.reader import Reader, empty, read_only
from batchgen.statefile.scratch import Asked, Scratch
from batchgen.statefile.tables import StateUnusable
from batchgen.statefile.writer import OnTrouble

__all__ = [
    "HEARTBEAT_S",
    "Asked",
    "FolderInUse",
    "Judgement",
    "KnownRows",
    "OnMove",
    "OnTrouble",
    "OtherBase",
    "Reader",
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
    "read_only",
]
