"""Parquet, by the extra of that name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batchgen.core.row import Problem
from batchgen.manifest.record import Record, Table, unreadable
from batchgen.manifest.unchanged import RecordDigests, UnchangedRow

_BATCH_ROWS = 10_000


def read_parquet(path: Path, memory: RecordDigests) -> Table:
    """The records of a Parquet file; a record's line is its number, from 1."""
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        message = "reading Parquet needs an extra: pip install 'batchgen-runner[parquet]'"
        raise unreadable(str(path), message) from None
    try:
        file = parquet.ParquetFile(path)
    except (ValueError, OSError) as error:  # pyarrow's own errors are children of these two
        raise unreadable(str(path), f"this is not a Parquet file: {error}") from None
    return Table(str(path), tuple(file.schema_arrow.names), _records(str(path), file, memory))


def _records(name: str, file: Any, memory: RecordDigests) -> Iterator[Record | UnchangedRow | Problem]:
    line = 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS):
        for cells in batch.to_pylist():
            line += 1
            digest = memory.digest(repr(cells).encode("utf-8", "surrogatepass"))
            if (row := memory.key(digest)) is not None:
                yield UnchangedRow(row, name, line)
                continue
            record = {key: _cell(value) for key, value in cells.items()}
            broken = next((key for key, value in record.items() if isinstance(value, bytes)), None)
            if broken is None:
                given = {key: value for key, value in record.items() if value not in (None, "")}
                yield Record(line, given, None, digest)
            else:
                message = "the cell holds bytes, not text; store the picture's path or URL instead"
                yield Problem(name, line, broken, None, None, message)


def _cell(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if isinstance(value, str | int | float | list | dict | bytes | None) else str(value)
