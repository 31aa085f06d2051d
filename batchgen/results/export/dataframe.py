"""A run as a table for a notebook."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen.results.export.columns import blank, column, in_order, record_of
from batchgen.results.export.outputs import outputs
from batchgen.results.export.sources import source_of
from batchgen.results.export.survey import open_columns
from batchgen.results.reviews import read_marks
from batchgen.state import open_reader
from batchgen.storage.paths import RunFolder

if TYPE_CHECKING:
    import pandas as pd


def records(out: str | Path) -> pd.DataFrame:
    """One line per output that `export` would find in the run folder *out*, also while a run is on: its columns.

    `caption` is the prompt and `split` is empty. Raises StateUnusable if *out* is not a run folder.
    """
    import pandas as pd

    folder = RunFolder.at(Path(out))
    with closing(open_reader(folder)) as reader:
        marks = read_marks(folder)
        reader.begin_view()
        empty = blank(in_order(open_columns(reader)))
        lines = [
            empty | record_of(made.job, made.number, made.file, source_of(made.job, made.file.media_type), *made[-2:])
            for made in outputs(folder, reader, lambda *output: marks.get(output, ""))
        ]
    dtypes = {"text": "str", "whole": "Int64", "decimal": "float64"}
    return pd.DataFrame({
        name: pd.Series([line[name] for line in lines], dtype=dtypes[column(name).kind]) for name in empty
    })  # fmt: skip
