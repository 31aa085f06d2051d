"""A run as a table for a notebook."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen.datasets.columns import column, in_order, open_columns, record_of
from batchgen.datasets.dataset import absent
from batchgen.job import State
from batchgen.marks import read_marks
from batchgen.runfolder import RunFolder
from batchgen.statefile import Reader, StateUnusable, read_only

if TYPE_CHECKING:
    import pandas as pd


def records(out: str | Path) -> pd.DataFrame:
    """One line per collected output of the run folder *out*, also while a run is on: the columns of `export`.

    `caption` is the prompt and `split` is empty. Raises StateUnusable if *out* is not a run folder.
    """
    import pandas as pd

    folder = RunFolder.at(Path(out))
    if not folder.state.exists():
        raise StateUnusable(f"{folder.path} is not a run folder: it has no state.db")
    marks = read_marks(folder)
    lines, open_names = [], set()
    with closing(Reader(read_only(folder.state))) as reader:
        for job in reader.jobs([State.COLLECTED]):
            open_names |= open_columns(job)
            lines += [
                record_of(job, index, file, marks.get((job.row_id, file.name, file.sha256), ""))
                for index, file in enumerate(job.saved)
            ]
    dtypes = {"text": "str", "whole": "Int64", "decimal": "float64"}
    return pd.DataFrame({
        name: pd.Series([line.get(name, absent(name)) for line in lines], dtype=dtypes[column(name).kind])
        for name in in_order(open_names)
    })  # fmt: skip
