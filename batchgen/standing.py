"""How a run folder stands. Loads nothing that only a run needs."""

from __future__ import annotations

import time
from pathlib import Path

from batchgen.job import State
from batchgen.outcome import Report
from batchgen.runfolder import RunFolder
from batchgen.statefile import Reader, StateUnusable, held_by, read_only

_WINDOW_S = 300.0


def status(out: Path) -> Report:
    """A run folder in figures, also while a run is on. Raises StateUnusable if there is none."""
    folder = RunFolder.at(out)
    if not folder.state.exists():
        what = "it has no state.db" if folder.path.is_dir() else "there is no such folder"
        raise StateUnusable(f"{folder.path} is not a run folder: {what}")
    reader = Reader(read_only(folder.state))
    try:
        doubtful = [job.row_id for job in reader.jobs([State.IN_DOUBT])]
        now = time.time()
        ended, first_sent_at = reader.ended_since(now - _WINDOW_S)
        rows_per_s = ended / max(min(now - first_sent_at, _WINDOW_S), 1.0)
        return Report(
            folder.path,
            reader.counts(),
            doubtful,
            reader.money(),
            reader.budget_micro(),
            rows_per_s=round(rows_per_s, 4),
            running=held_by(folder),
        )
    finally:
        reader.close()
