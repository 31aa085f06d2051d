"""How a table is written: what separates its cells, and in which line its columns are named."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import NamedTuple

from batchgen.manifest.record import unreadable

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "|"}
_SEP_LINE = re.compile(r'"?sep=(.)"?[,;\t]*\s*', re.IGNORECASE | re.DOTALL)
"""Excel's own first line, which says what separates the cells and is no row."""


class Dialect(NamedTuple):
    """What separates the cells; the line of the header, from 1, its text, and the columns that it names."""

    separator: str
    header_line: int
    header: str
    columns: tuple[str, ...]


def dialect_of(file: str, lines: Iterable[str], usual: str) -> Dialect:
    """How the table is written whose *lines* these are; *usual* separates the cells of files of its suffix.

    Where the header has no such sign, one that it has is taken. Raises ManifestError for a file without a header, and
    for one that cannot be read.
    """
    separators = list(dict.fromkeys([usual, ",", ";", "\t"]))
    numbered = enumerate(lines, 1)
    for number, text in numbered:
        if number == 1 and (found := _SEP_LINE.fullmatch(text)):
            separators = [found[1]]
        elif text.strip():
            dialect = _of_header(file, number, text, separators)
            below = next((line for _, line in numbered if line.strip()), "")
            if _is_title(dialect, below):
                why = f"line {number} has to name the columns: delete the title that stands above them"
                raise unreadable(file, why, number)
            return dialect
    raise unreadable(file, "the file is empty; its first line names the columns")


def _is_title(dialect: Dialect, below: str) -> bool:
    """Whether the header is one cell, as spreadsheets pad a title, over a line *below* of several."""
    if len(dialect.columns) == 1 or sum(map(bool, dialect.columns)) > 1:
        return False
    cells = next(csv.reader([below], delimiter=dialect.separator, skipinitialspace=True), [])
    return sum(bool(cell.strip()) for cell in cells) > 1


def _of_header(file: str, number: int, text: str, separators: list[str]) -> Dialect:
    fault = ""
    for separator in separators:
        try:
            names = next(csv.reader([text], delimiter=separator, strict=True, skipinitialspace=True))
        except csv.Error as error:
            fault = fault or in_words(str(error))
            continue
        if len(names) > 1 or len(separators) == 1:
            return Dialect(separator, number, text, tuple(name.strip() for name in names))
    if fault:
        raise unreadable(file, fault, number)
    if "|" in text:
        raise unreadable(file, f"the columns look separated by |; save the file with {NAMES[separators[0]]}", number)
    return Dialect(separators[0], number, text, (text.strip().strip('"'),))


def in_words(error: str) -> str:
    """What the csv module says, in words of the file."""
    if "unexpected end" in error:
        return "a quote that opens in this row is never closed; close it, or double a quote that is text"
    if "expected after" in error:
        return 'text follows a closing quote; write a quote inside quoted text twice: ""'
    if "field limit" in error:
        return "a cell is over 64 MiB, or a quote that opens in this row is never closed"
    return f"the row cannot be read: {error}"
