"""CSV and TSV: pandas parses blocks of records that a csv.reader pass found whole.

The pass gives what pandas does not: the true line of every record, and a field count for each, so that no
ragged line is padded or shifted in silence. What is not whole becomes a Problem and never reaches pandas.
"""

from __future__ import annotations

import csv
import heapq
import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from batchgen.core.row import Problem
from batchgen.manifest.dialect import Dialect, dialect_of, in_words
from batchgen.manifest.ragged import Fault, is_odd, mended
from batchgen.manifest.record import Record, Table, unreadable
from batchgen.manifest.unchanged import RecordDigests, UnchangedRow

_BLOCK_CHARACTERS = 2 << 20  # some 10,000 rows
_LONGEST_RECORD_LINES = 20_000
_LONGEST_CELL = 64 << 20  # an inlined picture is one cell; csv's own limit is 128 KiB


@dataclass(slots=True)
class _Block:
    """Whole records, their first lines and their text; and the faults of those that are not whole."""

    lines: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    faults: list[tuple[int, str | None, str]] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)

    def take(self, line: int, whole: str | Fault) -> None:
        """Take in a record as it is *whole*, or what is wrong with it."""
        if isinstance(whole, str):
            self.lines.append(line)
            self.texts.append(whole)
        else:
            self.faults.append((line, *whole))

    def take_known(self, file: str, memory: RecordDigests) -> list[UnchangedRow]:
        """Take out the records that *memory* knows; the others get their digests."""
        known: list[UnchangedRow] = []
        new: list[tuple[int, str, bytes]] = []
        for line, text in zip(self.lines, self.texts, strict=True):
            digest = memory.digest(text.rstrip("\r\n").encode())
            if (key := memory.key(digest)) is not None:
                known.append(UnchangedRow(key, file, line))
            else:
                new.append((line, text, digest))
        if known:
            self.lines, self.texts = [line for line, _, _ in new], [text for _, text, _ in new]
        self.digests = [digest for _, _, digest in new]
        return known


def read_csv(path: Path, memory: RecordDigests) -> Table:
    """The records of a comma-separated file."""
    return _read(path, ",", memory)


def read_tsv(path: Path, memory: RecordDigests) -> Table:
    """The records of a tab-separated file."""
    return _read(path, "\t", memory)


def _read(path: Path, separator: str, memory: RecordDigests) -> Table:
    csv.field_size_limit(_LONGEST_CELL)
    with _opened(path) as file:
        dialect = dialect_of(str(path), file, separator)
    columns, line = dialect.columns, dialect.header_line
    if fault := _damage(dialect.header):
        raise unreadable(str(path), fault, line)
    usable = [place for place, name in enumerate(columns) if name and columns.index(name) == place]
    names = tuple(columns[place] for place in usable)
    if not usable:
        raise unreadable(str(path), "no column has a name; the first line names the columns", line)
    records = _records(path, dialect, usable, memory.of(dialect.separator, columns))
    problems = _twice_named(str(path), line, columns)
    return Table(str(path), names, itertools.chain(problems, records), line)


def _opened(path: Path) -> TextIO:
    # Bytes that are no UTF-8 come through as lone surrogates, to be reported with the line they stand in.
    return open(path, newline="", encoding="utf-8-sig", errors="surrogateescape")


def _twice_named(file: str, line: int, columns: tuple[str, ...]) -> Iterator[Problem]:
    for place, name in enumerate(columns):
        if name and columns.index(name) != place:
            message = f"two columns are called {name!r}; rename or delete column {place + 1}"
            yield Problem(file, line, name, None, None, message)


def _records(
    path: Path, dialect: Dialect, usable: list[int], memory: RecordDigests
) -> Iterator[Record | UnchangedRow | Problem]:
    names = [dialect.columns[place] for place in usable]
    nameless = [place for place, name in enumerate(dialect.columns) if not name]
    with _opened(path) as file:
        for _ in range(dialect.header_line):
            next(file, None)
        for block in _blocks(file, dialect):
            known = block.take_known(str(path), memory)
            cells_of = _columns("".join(block.texts), dialect)
            for place in [place for place in nameless if any(cells_of(place))]:
                nameless.remove(place)
                message = f"column {place + 1} has no name; name it or delete the column"
                yield Problem(str(path), dialect.header_line, None, None, None, message)
            rows = zip(*map(cells_of, usable), strict=True)
            found: Iterator[Record | UnchangedRow | Problem] = (
                Record(line, {name: cell for name, cell in zip(names, cells, strict=True) if cell}, None, digest)
                for line, digest, cells in zip(block.lines, block.digests, rows, strict=True)
                if any(cells)  # spreadsheets leave lines of nothing but commas
            )
            if known:
                found = heapq.merge(found, known, key=lambda each: each.line or 0) if block.texts else iter(known)
            if block.faults:
                faults = [Problem(str(path), line, column, None, None, why) for line, column, why in block.faults]
                found = iter(sorted([*found, *faults], key=lambda each: each.line or 0))
            yield from found


def _blocks(file: TextIO, dialect: Dialect) -> Iterator[_Block]:
    """The rest of the file below its header, in blocks of about _BLOCK_CHARACTERS."""
    lines: list[str] = []
    before = dialect.header_line
    while fresh := file.readlines(_BLOCK_CHARACTERS):
        is_too_long = len(lines) > _LONGEST_RECORD_LINES
        lines += fresh
        block, used = _block(lines, dialect, before, is_last=is_too_long)
        yield block
        lines, before = lines[used:], before + used
    yield _block(lines, dialect, before, is_last=True)[0]


def _block(lines: list[str], dialect: Dialect, before: int, is_last: bool) -> tuple[_Block, int]:
    """The records of *lines* and how many lines they take; one that goes on beyond waits, unless *is_last*."""
    block = _Block()
    written = "".join(lines)
    is_suspect = _damage(written) is not None
    is_plain = not is_suspect and not is_odd(written, dialect.separator)
    width, done = len(dialect.columns), 0
    reader = csv.reader(lines, delimiter=dialect.separator, strict=True)
    while done < len(lines):
        try:
            for cells in reader:
                end = reader.line_num
                text = lines[done] if end == done + 1 else "".join(lines[done:end])
                if is_plain and len(cells) == width:
                    block.lines.append(before + done + 1)
                    block.texts.append(text)
                elif any(cell.strip() for cell in cells):
                    damage = _damage(text) if is_suspect else None
                    block.take(before + done + 1, (None, damage) if damage else mended(text, cells, dialect))
                done = end
        except csv.Error as error:
            if "unexpected end" in str(error) and not is_last:
                return block, done
            block.faults.append((before + done + 1, None, in_words(str(error))))
            done = reader.line_num
    return block, done


def _damage(text: str) -> str | None:
    """Why *text* is no text at all, or None."""
    if "\0" in text:
        return "a NUL character stands in this row; the file is damaged or is no text"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) - 0xDC00
        return f"byte 0x{byte:02X} is not UTF-8; save the file as UTF-8 (in Excel: CSV UTF-8)"
    return None


def _columns(text: str, dialect: Dialect) -> Callable[[int], list[str]]:
    """What gives the cells of a column by its place, for the records of *text*."""
    if not text:
        return lambda place: []
    import pandas  # a quarter of a second and 75 MB: only when a table has something new

    frame = pandas.read_csv(
        io.StringIO(text),
        sep=dialect.separator,
        header=None,
        names=list(range(len(dialect.columns))),
        index_col=False,
        dtype=object,  # `str` would be kept by pyarrow where that is installed, whose memory grows
        keep_default_na=False,
        na_filter=False,
        skip_blank_lines=False,
        engine="c",
    )
    return lambda place: list(frame[place].tolist())
