"""Reading a manifest from its first row to its last."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from batchgen.core.row import FINGERPRINT_VERSION, Problem, Row
from batchgen.core.spreadsheet import as_it_was
from batchgen.manifest.diagnostics import Diagnostics
from batchgen.manifest.digest import Opens
from batchgen.manifest.formats.registry import DOCUMENTS, check_file, open_table
from batchgen.manifest.formats.yaml import Entry, entries
from batchgen.manifest.header import Header, read_head
from batchgen.manifest.localfiles import KnownHash, LocalFiles
from batchgen.manifest.record import ManifestError, Record, Table, unreadable
from batchgen.manifest.resolve import Resolver
from batchgen.manifest.unchanged import Lookup, RecordDigests, UnchangedRow
from batchgen.models import ModelSchema, UnitPrice


class _Reading(NamedTuple):
    """What all files of one reading share."""

    told: Diagnostics
    files: LocalFiles
    version: int
    is_of_folder: bool


def read(
    path: Path,
    schemas: Callable[[str], ModelSchema],
    *,
    default_model: str | None = None,
    known_hash: KnownHash | None = None,
    recall: Lookup | None = None,
    fingerprint_version: int = FINGERPRINT_VERSION,
    opens: Opens = lambda path: None,
    is_of_folder: bool = False,
) -> Iterator[Row | UnchangedRow | Problem]:
    """Every row of the manifest, and every problem where it stands, in the order of the file.

    A row with a problem is not among the rows. Rows stream: memory does not grow with them. *schemas* gives
    a model's schema or raises ModelUnknown. *known_hash* spares reading local files again, *recall* rows that
    the folder has as they are; *fingerprint_version* is the folder's. *opens* is told of every file that rows come
    from. A table that *is_of_folder*, its failed.csv, was written so that spreadsheets take its cells for text. Two
    rows may have one id: whoever keeps the rows looks for that.

    Raises ManifestError if the manifest cannot be read as a whole, or holds no row.
    """
    reading = _Reading(Diagnostics(schemas), LocalFiles(known_hash), fingerprint_version, is_of_folder)
    opens(path)
    head = _head(path)
    if head.rows_from is not None:
        opens(head.rows_from)
    head.model = head.model or default_model
    yield from head.problems
    some = bool(head.problems)
    memory = RecordDigests(recall).of(head.written, head.model, os.path.abspath(path.parent))
    for found in _rows(path, head, memory, reading):
        some = True
        yield found
    if not some:
        raise unreadable(str(path), "the manifest has no rows; write at least one")


def sources(path: Path) -> list[Path]:
    """Every file the rows of the manifest come from: itself, and the table it names."""
    table = _head(path).rows_from
    return [path] if table is None else [path, table]


def prices(path: Path) -> dict[str, UnitPrice]:
    """The price list of the manifest: USD for one output or second, by model. Empty for a table."""
    return dict(_head(path).prices)


def price_list(path: Path) -> dict[str, UnitPrice]:
    """A YAML file of `model: USD for one output or second`, or `USD/second` to say which.

    Raises ManifestError with what is wrong in it.
    """
    check_file(path)
    head = Header(str(path))
    for entry in entries(path):
        head.lines[f"prices.{entry.key}"] = entry.node.line
        head.take_price(entry.key, entry.node.bare())
    if head.problems:
        raise ManifestError(head.problems)
    return dict(head.prices)


def _head(path: Path) -> Header:
    check_file(path)
    return read_head(path) if path.suffix.lower() in DOCUMENTS else Header(str(path))


def _rows(path: Path, head: Header, memory: RecordDigests, reading: _Reading) -> Iterator[Row | UnchangedRow | Problem]:
    if path.suffix.lower() not in DOCUMENTS:
        yield from _table_rows(path, head, memory, reading)
        return
    if head.rows_from is not None:
        try:
            yield from _table_rows(head.rows_from, head, memory, reading)
        except ManifestError as error:
            yield from error.problems
    resolver = Resolver(head, Table(head.file, None, iter(())), reading.told, reading.files, memory, reading.version)
    if head.has_rows:
        for entry in entries(path):
            if entry.key == "rows":
                yield from _document_row(head.file, entry, resolver, memory)
    elif head.rows_from is None and head.matrix is not None:
        line = head.lines["matrix"]
        yield from resolver.rows(Record(line, {}, {}, memory.digest(b"")))


def _document_row(
    file: str, entry: Entry, resolver: Resolver, memory: RecordDigests
) -> Iterator[Row | UnchangedRow | Problem]:
    node = entry.node
    yield from entry.problems
    if any(problem.severity == "error" for problem in entry.problems):
        return
    if not isinstance(node.value, dict):
        yield Problem(file, node.line, None, None, None, "a row is field: value pairs, such as {text: a dune}")
    else:
        lines = {key: inner.line for key, inner in node.value.items()}
        cells = node.bare()
        digest = memory.digest(repr(cells).encode("utf-8", "surrogatepass"))
        yield from resolver.recalled(Record(node.line, cells, lines, digest))


def _table_rows(
    path: Path, head: Header, memory: RecordDigests, reading: _Reading
) -> Iterator[Row | UnchangedRow | Problem]:
    memory = memory.of(os.path.abspath(path.parent))
    table = open_table(path, memory if head.matrix is None else memory.of(recalls=False))
    for column in head.columns:
        if table.columns is not None and column not in table.columns:
            message = f"{table.file} has no column {column!r}"
            yield Problem(head.file, head.lines.get(f"columns.{column}"), column, None, None, message)
    resolver = Resolver(head, table, reading.told, reading.files, memory, reading.version)
    for record in table.records:
        if isinstance(record, Record):
            yield from resolver.rows(_as_it_was(record) if reading.is_of_folder else record)
        else:
            yield record


def _as_it_was(record: Record) -> Record:
    cells = {name: as_it_was(cell) if type(cell) is str else cell for name, cell in record.cells.items()}
    return record._replace(cells=cells)
