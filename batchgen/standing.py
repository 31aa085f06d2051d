"""How a run folder stands. Loads nothing that only a run needs."""

from __future__ import annotations

from pathlib import Path

from batchgen.job import State
from batchgen.outcome import Report
from batchgen.runfolder import RunFolder
from batchgen.statefile import Reader, StateUnusable, read_only


def status(out: Path) -> Report:
    """A run folder in figures, also while a run is on. Raises StateUnusable if there is none."""
    folder = RunFolder.at(out)
    if not folder.state.exists():
        raise StateUnusable(f"{folder.path} is not a run folder: it has no state.db")
    reader = Reader(read_only(folder.state))
    try:
        doubtful = [job.row_id for job in reader.jobs([State.IN_DOUBT])]
        return Report(folder.path, reader.counts(), doubtful, reader.money(), reader.budget_micro())
    finally:
        reader.close()
