"""JSON Lines: one object a line.

Parsed line by line and not by pandas.read_json, which turns an integer into a float where another line
leaves it out, and gives no line for what it cannot read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batchgen.manifest.memory import Known, Memory
from batchgen.manifest.record import Record, Table
from batchgen.request import Problem, half_a_character
from batchgen.schema import Plain


class _Twice(Exception):
    pass


def read_jsonl(path: Path, memory: Memory) -> Table:
    """The records of a JSON Lines file; numbers stay text until the model's schema types them."""
    return Table(str(path), None, _records(path, memory))


def _records(path: Path, memory: Memory) -> Iterator[Record | Known | Problem]:
    with open(path, "rb") as file:
        for line, raw in enumerate(file, 1):
            if line == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if not raw.strip():
                continue
            digest = memory.digest(raw.strip())
            if (key := memory.key(digest)) is not None:
                yield Known(key, str(path), line)
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
        parsed = json.loads(
            text,
            parse_int=Plain,
            parse_float=Plain,
            parse_constant=Plain,
            object_pairs_hook=_without_doubles,
        )
    except UnicodeDecodeError as error:
        return f"byte 0x{raw[error.start]:02X} is not UTF-8; save the file as UTF-8"
    except json.JSONDecodeError as error:
        return f"this line is not JSON at character {error.pos + 1}: {error.msg.lower()}"
    except RecursionError:
        return "the object is nested too deeply"
    except _Twice as twice:
        return f"the key {str(twice)!r} stands twice; delete one"
    if (fault := half_a_character(text, parsed)) is not None:
        return fault
    return parsed if isinstance(parsed, dict) else 'each line is one JSON object, {"text": "..."}'


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return found
