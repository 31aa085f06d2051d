"""JSON: one object a line, or one array of objects.

Parsed object by object and not by pandas.read_json, which turns an integer into a float where another line
leaves it out, and gives no line for what it cannot read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from batchgen.core.row import Problem, half_a_character
from batchgen.manifest.record import Record, Table, unreadable
from batchgen.manifest.unchanged import RecordDigests, UnchangedRow
from batchgen.models import Plain

_BLANK = " \t\r\n"
_BLANKS = re.compile(f"[{_BLANK}]*")
_READ_CHARACTERS = 1 << 20
_LONGEST_ENTRY = 64 << 20  # as a cell of a table


class _Odd(Exception):
    """JSON that no row can be made of; says why."""


def read_jsonl(path: Path, memory: RecordDigests) -> Table:
    """The records of JSON Lines, or of an array of objects; numbers stay text until the model's schema types them.

    NaN, by which pandas and others write that there is nothing, is no value.
    """
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        is_array = _first_sign(file) == "["
    return Table(str(path), None, _of_array(path, memory) if is_array else _of_lines(path, memory))


def _first_sign(file: TextIO) -> str:
    while piece := file.read(4096):
        if sign := piece.lstrip(_BLANK)[:1]:
            return sign
    return ""


def _of_lines(path: Path, memory: RecordDigests) -> Iterator[Record | UnchangedRow | Problem]:
    with open(path, "rb") as file:
        for line, raw in enumerate(file, 1):
            if line == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if not raw.strip():
                continue
            digest = memory.digest(raw.strip())
            if (key := memory.key(digest)) is not None:
                yield UnchangedRow(key, str(path), line)
                continue
            parsed = _parsed(raw)
            if isinstance(parsed, str):
                yield Problem(str(path), line, None, None, None, parsed)
            else:
                yield Record(line, parsed, None, digest)


def _parsed(raw: bytes) -> dict[str, Any] | str:
    """The object of one line, or what is wrong with it."""
    try:
        text = raw.decode("utf-8")
        parsed = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        return f"byte 0x{raw[error.start]:02X} is not UTF-8; save the file as UTF-8"
    except json.JSONDecodeError as error:
        if raw.strip() == b"{":
            return "each line is one whole JSON object; several lines an object are read in an array, [{...}, {...}]"
        return f"this line is not JSON at character {error.pos + 1}: {error.msg.lower()}"
    except RecursionError:
        return "the object is nested too deeply"
    except _Odd as odd:
        return str(odd)
    return _object(text, parsed)


def _object(text: str, parsed: Any) -> dict[str, Any] | str:
    if (fault := half_a_character(text, parsed)) is not None:
        return fault
    return parsed if isinstance(parsed, dict) else 'each row is one JSON object, {"text": "..."}'


def _of_array(path: Path, memory: RecordDigests) -> Iterator[Record | UnchangedRow | Problem]:
    with open(path, encoding="utf-8-sig") as file:
        for line, text, value in _entries(str(path), file):
            digest = memory.digest(text.encode())
            if (key := memory.key(digest)) is not None:
                yield UnchangedRow(key, str(path), line)
                continue
            parsed = _object(text, value)
            if isinstance(parsed, str):
                yield Problem(str(path), line, None, None, None, parsed)
            else:
                yield Record(line, parsed, None, digest)


def _entries(name: str, file: TextIO) -> Iterator[tuple[int, str, Any]]:
    """The entries of the array in *file*, each the line it begins in, its text and its value, one at a time.

    Raises ManifestError where it is no JSON: what follows cannot be told apart.
    """
    text = _Text(name, file)
    text.skip("[", "an array")
    while text.next_sign() != "]":
        yield text.entry()
        if text.next_sign() == "]":
            break
        text.skip(",", "a comma or the end of the array")
    text.skip("]", "the end of the array")
    if text.next_sign():
        raise unreadable(name, "something follows the end of the array; delete it", text.line)


class _Text:
    """The text of an array from a place on, of which no more is in memory than its next entry."""

    def __init__(self, name: str, file: TextIO) -> None:
        self.line = 1
        self._name = name
        self._file = file
        self._ahead = ""
        self._place = 0

    def next_sign(self) -> str:
        """The next sign that is not blank, "" at the end."""
        while True:
            blank = _BLANKS.match(self._ahead, self._place)
            assert blank is not None, "it matches nothing, too"
            self._pass(blank.end())
            if self._place < len(self._ahead) or not self._read():
                return self._ahead[self._place : self._place + 1]

    def skip(self, sign: str, what: str) -> None:
        if self.next_sign() != sign:
            raise unreadable(self._name, f"this is not JSON: {what} is expected here", self.line)
        self._pass(self._place + 1)

    def entry(self) -> tuple[int, str, Any]:
        while True:
            try:
                value, end = _DECODER.raw_decode(self._ahead, self._place)
                break
            except json.JSONDecodeError as error:
                if len(self._ahead) > _LONGEST_ENTRY or not self._read():
                    line = self.line + self._ahead.count("\n", self._place, error.pos)
                    raise unreadable(self._name, f"this is not JSON: {error.msg.lower()}", line) from None
            except (_Odd, RecursionError) as odd:
                why = str(odd) if isinstance(odd, _Odd) else "the object is nested too deeply"
                raise unreadable(self._name, why, self.line) from None
        found = self.line, self._ahead[self._place : end], value
        self._pass(end)
        return found

    def _read(self) -> bool:
        """Read on, twice as far each time that it was not enough. Returns whether there was more."""
        self._ahead = self._ahead[self._place :]
        self._place = 0
        try:
            more = self._file.read(max(_READ_CHARACTERS, len(self._ahead)))
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise unreadable(self._name, f"byte 0x{byte:02X} is not UTF-8; save the file as UTF-8", self.line) from None
        self._ahead += more
        return bool(more)

    def _pass(self, place: int) -> None:
        self.line += self._ahead.count("\n", self._place, place)
        self._place = place


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Odd(f"the key {twice!r} stands twice; delete one")
    return found


def _constant(name: str) -> None:
    if name != "NaN":
        raise _Odd(f"{name} is no number that can be sent; write one, or leave it out")


_DECODER = json.JSONDecoder(
    parse_int=Plain, parse_float=Plain, parse_constant=_constant, object_pairs_hook=_without_doubles
)
