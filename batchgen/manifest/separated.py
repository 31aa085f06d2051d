"""CSV and TSV: pandas parses blocks of records that a csv.reader pass found whole.

The pass gives what pandas does not: the true line of every record, and a field count for each, so that no
ragged line is padded or shifted in silence. What is not whole becomes a Problem and never reaches pandas.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from batchgen.manifest.record import Record, Table, unreadable
from batchgen.request import Problem

_BLOCK_RECORDS = 10_000
_BLOCK_CHARACTERS = 8 << 20
_LONGEST_CELL = 64 << 20  # an inlined picture is one cell; csv's own limit is 128 KiB


class _Raw(NamedTuple):
    line: int
    text: str
    fields: int
    fault: str | None
    cells: list[str]


def read_csv(path: Path) -> Table:
    """The records of a comma-separated file."""
    return _read(path, ",")


def read_tsv(path: Path) -> Table:
    """The records of a tab-separated file."""
    return _read(path, "\t")


def _read(path: Path, separator: str) -> Table:
    with _opened(path) as file:
        header = next(_raw_records(file, separator), None)
    if header is None:
        raise unreadable(str(path), "the file is empty; its first line names the columns")
    fault = header.fault or _unreadable_text(header.text) or _wrong_separator(header.cells, separator)
    if fault:
        raise unreadable(str(path), fault, header.line)
    columns = tuple(name.strip() for name in header.cells)
    problems = _header_problems(str(path), header.line, columns)
    usable = [place for place, name in enumerate(columns) if name and columns.index(name) == place]
    records = _records(path, separator, columns, usable)
    names = tuple(columns[place] for place in usable)
    return Table(str(path), names, itertools.chain(problems, records))


def _opened(path: Path) -> TextIO:
    # Bytes that are no UTF-8 come through as lone surrogates, to be reported with the line they stand in.
    return open(path, newline="", encoding="utf-8-sig", errors="surrogateescape")


def _wrong_separator(header: list[str], separator: str) -> str | None:
    if len(header) > 1:
        return None
    names = {",": "commas", ";": "semicolons", "\t": "tabs"}
    for other in names:
        if other != separator and other in header[0]:
            return f"the columns look separated by {names[other]}; save the file with {names[separator]}"
    return None


def _header_problems(file: str, line: int, columns: tuple[str, ...]) -> Iterator[Problem]:
    for place, name in enumerate(columns):
        if not name:
            message = f"column {place + 1} has no name; name it or delete the column"
            yield Problem(file, line, None, None, None, message)
        elif columns.index(name) != place:
            message = f"two columns are called {name!r}; rename or delete column {place + 1}"
            yield Problem(file, line, name, None, None, message)


def _raw_records(file: TextIO, separator: str) -> Iterator[_Raw]:
    """Every record that is not blank, with its first line and its text as it stands in the file."""
    csv.field_size_limit(_LONGEST_CELL)
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in file:
            taken.append(line)
            yield line

    reader = csv.reader(lines(), delimiter=separator, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _Raw(first, "".join(taken), 0, _in_words(str(error)), [])
        else:
            if cells:
                yield _Raw(first, taken[0] if len(taken) == 1 else "".join(taken), len(cells), None, cells)
        taken.clear()


def _in_words(error: str) -> str:
    if "unexpected end" in error:
        return "a quote that opens in this row is never closed; close it, or double a quote that is text"
    if "expected after" in error:
        return 'text follows a closing quote; write a quote inside quoted text twice: ""'
    if "field limit" in error:
        return "a cell is over 64 MiB, or a quote that opens in this row is never closed"
    return f"the row cannot be read: {error}"


def _records(path: Path, separator: str, columns: tuple[str, ...], usable: list[int]) -> Iterator[Record | Problem]:
    with _opened(path) as file:
        raw = _raw_records(file, separator)
        next(raw)
        for block in _blocks(raw):
            yield from _parsed(str(path), separator, columns, usable, block)


def _blocks(raw: Iterator[_Raw]) -> Iterator[list[_Raw]]:
    block: list[_Raw] = []
    characters = 0
    for record in raw:
        block.append(record)
        characters += len(record.text)
        if len(block) == _BLOCK_RECORDS or characters > _BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _parsed(
    file: str, separator: str, columns: tuple[str, ...], usable: list[int], block: list[_Raw]
) -> Iterator[Record | Problem]:
    """The records of one block and the problems between them, in the order of their lines."""
    text = "".join(record.text for record in block)
    suspect = _unreadable_text(text) is not None
    width = len(columns)
    problems = {}
    for record in block:
        if record.fields != width or record.fault or (suspect and _unreadable_text(record.text)):
            problems[record.line] = _problem(file, columns, record)
    if problems:
        block = [record for record in block if record.line not in problems]
        text = "".join(record.text for record in block)
    rows = _cells(text, separator, width, usable)
    names = [columns[place] for place in usable]
    found = (
        Record(record.line, {name: cell for name, cell in zip(names, cells, strict=True) if cell})
        for record, cells in zip(block, rows, strict=True)
    )
    filled = (record for record in found if record.cells)  # spreadsheets leave lines of nothing but commas
    if not problems:
        yield from filled
    else:
        both: list[Record | Problem] = [*filled, *problems.values()]
        yield from sorted(both, key=lambda each: each.line or 0)


def _cells(text: str, separator: str, width: int, usable: list[int]) -> Iterator[tuple[str, ...]]:
    import pandas  # a quarter of a second and 75 MB: only when a table is read

    if not text:
        return iter(())
    frame = pandas.read_csv(
        io.StringIO(text),
        sep=separator,
        header=None,
        names=list(range(width)),
        index_col=False,
        dtype=str,
        keep_default_na=False,
        na_filter=False,
        skip_blank_lines=False,
        engine="c",
    )
    return zip(*(frame[place].tolist() for place in usable), strict=True)


def _unreadable_text(text: str) -> str | None:
    if "\0" in text:
        return "a NUL character stands in this row; the file is damaged or is no text"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) - 0xDC00
        return f"byte 0x{byte:02X} is not UTF-8; save the file as UTF-8 (in Excel: CSV UTF-8)"
    return None


def _problem(file: str, columns: tuple[str, ...], record: _Raw) -> Problem:
    fault = record.fault or _unreadable_text(record.text)
    column = None
    if fault is None and record.fields < len(columns):
        column = columns[record.fields] or None
        fault = f"{record.fields} fields where the header has {len(columns)}; add the missing commas"
    elif fault is None:
        extra = record.fields - len(columns)
        fault = (
            f"{record.fields} fields where the header has {len(columns)}, {extra} too many; "
            "put quotes around a text that holds a comma"
        )
    return Problem(file, record.line, column, None, None, fault)
