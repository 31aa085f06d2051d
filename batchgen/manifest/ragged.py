"""Records that are not written quite as they should be: mended where they can mean one thing alone, else told."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from functools import cache

from batchgen.manifest.dialect import NAMES, Dialect

Fault = tuple[str | None, str]
"""The column that a fault is in, if it is in one, and what is wrong."""

_OPENING, _CLOSING = "“„«", "”“»"


def is_odd(text: str, separator: str) -> bool:
    """Whether some record of *text* may need a second look although it has as many cells as there are columns."""
    return any(quote in text for quote in _OPENING) or _blanks_before_quote(separator).search(text) is not None


def mended(text: str, cells: Sequence[str], dialect: Dialect) -> str | Fault:
    """The record *text*, of which csv reads *cells*, as one of as many cells as there are columns; or what is wrong.

    Blanks before a quote, and empty cells beyond the columns, mean nothing.
    """
    separator, columns = dialect.separator, dialect.columns
    plain = text
    if _blanks_before_quote(separator).search(text):
        plain = _without_blanks_before_quotes(text, separator)
    if plain != text:
        try:
            (cells,) = csv.reader(plain.splitlines(keepends=True), delimiter=separator, strict=True)
        except (csv.Error, ValueError):
            return None, "blanks stand before a quote, which is then text; delete them"
    if any(quote in text for quote in _OPENING) and _is_split_by_other_quotes(cells):
        return None, 'the signs “ ” are not the quotes of a CSV; write " around a text that holds a separator'
    surplus = [cell for cell in cells[len(columns) :] if cell.strip()]
    missing = columns[len(cells) :]
    if surplus or any(missing):
        return _fault(cells, dialect)
    if plain == text and len(cells) == len(columns):
        return text
    whole = [*cells[: len(columns)], *missing]
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(whole)
    return written.getvalue()


@cache
def _blanks_before_quote(separator: str) -> re.Pattern[str]:
    return re.compile(rf'(?:^|{re.escape(separator)}) +"', re.MULTILINE)


@cache
def _field(separator: str) -> re.Pattern[str]:
    sign = re.escape(separator)
    return re.compile(rf' *("(?:[^"]|"")*") *(?={sign}|\r?\n?\Z)|[^{sign}]*')


def _without_blanks_before_quotes(text: str, separator: str) -> str:
    field = _field(separator)
    pieces = []
    place = 0
    while found := field.match(text, place):
        pieces.append(found[1] or found[0])
        place = found.end()
        if text[place : place + 1] != separator:
            break
        place += 1
    return separator.join(pieces) + text[place:]


def _is_split_by_other_quotes(cells: Sequence[str]) -> bool:
    """Whether a text in quotes of another kind was taken apart: they open in one cell and close in a later one."""
    is_open = False
    for cell in cells:
        bare = cell.strip()
        if is_open and bare[-1:] and bare[-1] in _CLOSING:
            return True
        if bare[:1] and bare[0] in _OPENING and not any(quote in bare[1:] for quote in _CLOSING):
            is_open = True
    return False


def _fault(cells: Sequence[str], dialect: Dialect) -> Fault:
    columns, name = dialect.columns, NAMES.get(dialect.separator, dialect.separator).removesuffix("s")
    have = f"{len(cells)} fields where the header has {len(columns)}"
    if len(columns) == 1:
        return None, f"{have}; line {dialect.header_line} has to name the columns: delete a title that stands above it"
    if len(cells) < len(columns):
        why = f"add the missing {name}s, as some spreadsheets leave out empty cells at the end of a row"
        return columns[len(cells)] or None, f"{have}; {why}"
    return None, f"{have}, {len(cells) - len(columns)} too many; put quotes around a text that holds a {name}"
