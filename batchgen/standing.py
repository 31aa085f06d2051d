"""How a run folder stands. Loads nothing that only a run needs."""

from __future__ import annotations

import time
from pathlib import Path

from batchgen.job import State
from batchgen.outcome import Report
from batchgen.runfolder import RunFolder
from batchgen.statefile import Reader, StateUnusable, read_only

_WINDOW_S = 300.0


def status(out: Path) -> Report:
    """A run folder in figures, also while a run is on. Raises StateUnusable if there is none."""
    folder = RunFolder.at(out)
    if not folder.state.exists():
        raise StateUnusable(f"{folder.path} is not a run folder: it has no state.db")
    reader = Reader(read_only(folder.state))
    try:
        doubtful = [job.row_id for job in reader.jobs([State.IN_DOUBT])]
        rows_per_s = reader.ended_since(time.time() - _WINDOW_S) / _WINDOW_S
        return Report(
            folder.path,
            reader.counts(),
            doubtful,
            reader.money(),
            reader.budget_micro(),
            rows_per_s=round(rows_per_s, 4),
        )
    finally:
        reader.close()
