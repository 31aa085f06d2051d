"""CSV and TSV: pandas parses blocks of records that a csv.reader pass found whole.

The pass gives what pandas does not: the true line of every record, and a field count for each, so that no
ragged line is padded or shifted in silence. What is not whole becomes a Problem and never reaches pandas.
"""

from __future__ import annotations

import csv
import heapq
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from batchgen.manifest.memory import Known, Memory
from batchgen.manifest.record import Record, Table, unreadable
from batchgen.request import Problem

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

    def take_known(self, file: str, memory: Memory) -> list[Known]:
        """Take out the records that *memory* knows; the others get their digests."""
        known: list[Known] = []
        new: list[tuple[int, str, bytes]] = []
        for line, text in zip(self.lines, self.texts, strict=True):
            digest = memory.digest(text.rstrip("\r\n").encode())
            if (key := memory.key(digest)) is not None:
                known.append(Known(key, file, line))
            else:
                new.append((line, text, digest))
        if known:
            self.lines, self.texts = [line for line, _, _ in new], [text for _, text, _ in new]
        self.digests = [digest for _, _, digest in new]
        return known


def read_csv(path: Path, memory: Memory) -> Table:
    """The records of a comma-separated file."""
    return _read(path, ",", memory)


def read_tsv(path: Path, memory: Memory) -> Table:
    """The records of a tab-separated file."""
    return _read(path, "\t", memory)


def _read(path: Path, separator: str, memory: Memory) -> Table:
    with _opened(path) as file:
        first, text, header = _header(str(path), file, separator)
    fault = _damage(text) or _wrong_separator(header, separator)
    if fault:
        raise unreadable(str(path), fault, first)
    columns = tuple(name.strip() for name in header)
    usable = [place for place, name in enumerate(columns) if name and columns.index(name) == place]
    names = tuple(columns[place] for place in usable)
    if not usable:
        raise unreadable(str(path), "no column has a name; the first line names the columns", first)
    records = _records(path, separator, columns, usable, first, memory.of(separator, columns))
    problems = _header_problems(str(path), first, columns)
    return Table(str(path), names, itertools.chain(problems, records), first)


def _opened(path: Path) -> TextIO:
    # Bytes that are no UTF-8 come through as lone surrogates, to be reported with the line they stand in.
    return open(path, newline="", encoding="utf-8-sig", errors="surrogateescape")


def _header(file: str, lines: TextIO, separator: str) -> tuple[int, str, list[str]]:
    """The first line that is not blank, its text, and the columns it names."""
    csv.field_size_limit(_LONGEST_CELL)
    for first, text in enumerate(lines, 1):
        if text.strip():
            try:
                return first, text, next(csv.reader([text], delimiter=separator, strict=True))
            except csv.Error as error:
                raise unreadable(file, _in_words(str(error)), first) from None
    raise unreadable(file, "the file is empty; its first line names the columns")


def _wrong_separator(header: list[str], separator: str) -> str | None:
    names = {",": "commas", ";": "semicolons", "\t": "tabs"}
    for other in names:
        if len(header) == 1 and other != separator and other in header[0]:
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


def _records(
    path: Path, separator: str, columns: tuple[str, ...], usable: list[int], header_lines: int, memory: Memory
) -> Iterator[Record | Known | Problem]:
    names = [columns[place] for place in usable]
    with _opened(path) as file:
        for _ in range(header_lines):
            next(file, None)
        for block in _blocks(file, separator, columns, header_lines):
            known = block.take_known(str(path), memory)
            rows = _cells("".join(block.texts), separator, len(columns), usable)
            found: Iterator[Record | Known | Problem] = (
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


def _blocks(file: TextIO, separator: str, columns: tuple[str, ...], before: int) -> Iterator[_Block]:
    """The file in blocks of about _BLOCK_CHARACTERS; *before* lines were already read."""
    lines: list[str] = []
    while fresh := file.readlines(_BLOCK_CHARACTERS):
        is_too_long = len(lines) > _LONGEST_RECORD_LINES
        lines += fresh
        block, used = _block(lines, separator, columns, before, is_last=is_too_long)
        yield block
        lines, before = lines[used:], before + used
    yield _block(lines, separator, columns, before, is_last=True)[0]


def _block(
    lines: list[str], separator: str, columns: tuple[str, ...], before: int, is_last: bool
) -> tuple[_Block, int]:
    """The records of *lines* and how many lines they take; one that goes on beyond waits, unless *is_last*."""
    block = _Block()
    suspect = _damage("".join(lines)) is not None
    width, done = len(columns), 0
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while done < len(lines):
        try:
            for cells in reader:
                end = reader.line_num
                text = lines[done] if end == done + 1 else "".join(lines[done:end])
                if len(cells) == width and not (suspect and _damage(text)):
                    block.lines.append(before + done + 1)
                    block.texts.append(text)
                elif cells:
                    block.faults.append((before + done + 1, *_fault(columns, len(cells), text)))
                done = end
        except csv.Error as error:
            if "unexpected end" in str(error) and not is_last:
                return block, done
            block.faults.append((before + done + 1, None, _in_words(str(error))))
            done = reader.line_num
    return block, done


def _in_words(error: str) -> str:
    if "unexpected end" in error:
        return "a quote that opens in this row is never closed; close it, or double a quote that is text"
    if "expected after" in error:
        return 'text follows a closing quote; write a quote inside quoted text twice: ""'
    if "field limit" in error:
        return "a cell is over 64 MiB, or a quote that opens in this row is never closed"
    return f"the row cannot be read: {error}"


def _fault(columns: tuple[str, ...], fields: int, text: str) -> tuple[str | None, str]:
    if damage := _damage(text):
        return None, damage
    have = f"{fields} fields where the header has {len(columns)}"
    if fields < len(columns):
        return columns[fields] or None, f"{have}; add the missing commas"
    return None, f"{have}, {fields - len(columns)} too many; put quotes around a text that holds a comma"


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


def _cells(text: str, separator: str, width: int, usable: list[int]) -> Iterator[tuple[str, ...]]:
    if not text:
        return iter(())
    import pandas  # a quarter of a second and 75 MB: only when a table has something new

    frame = pandas.read_csv(
        io.StringIO(text),
        sep=separator,
        header=None,
        names=list(range(width)),
        index_col=False,
        dtype=object,  # `str` would be kept by pyarrow where that is installed, whose memory grows
        keep_default_na=False,
        na_filter=False,
        skip_blank_lines=False,
        engine="c",
    )
    return zip(*(frame[place].tolist() for place in usable), strict=True)
