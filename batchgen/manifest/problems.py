"""All problems of a manifest, however many there are; and the same in few lines, for people."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import IO, Any

from batchgen.core.row import Problem
from batchgen.core.text import counted

MOST_LINES = 38
"""Of a report for people, which with its head and its count is then no longer than a screen of 40 lines."""

_IN_MEMORY = 1_000
_MOST_KINDS = 1_000
_LINES_NAMED = 8
_VARIES = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+(?:\.\d+)?")
"""What a message says of one row: the texts it quotes, and its numbers."""


class Problems(Collection[Problem]):
    """Problems in the order they were added. The first thousand are in memory, the rest in a file without a name."""

    def __init__(self, found: Iterable[Problem] = ()) -> None:
        self._first: list[Problem] = []
        self._rest: IO[bytes] | None = None
        self._count = 0
        self.errors = 0
        self.add(found)

    def add(self, found: Iterable[Problem]) -> None:
        for problem in found:
            self._count += 1
            self.errors += problem.severity == "error"
            if self._count <= _IN_MEMORY:
                self._first.append(problem)
                continue
            if self._rest is None:
                self._rest = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed in `__del__`
            self._rest.seek(0, os.SEEK_END)
            self._rest.write(json.dumps(astuple(problem)).encode() + b"\n")

    def __iter__(self) -> Iterator[Problem]:
        yield from self._first
        if self._rest is None:
            return
        place = 0
        while True:
            self._rest.seek(place)  # two may read at once
            if not (line := self._rest.readline()):
                return
            place += len(line)
            yield Problem(*json.loads(line))

    def __len__(self) -> int:
        return self._count

    def __del__(self) -> None:
        if self._rest is not None:
            self._rest.close()

    def __contains__(self, problem: object) -> bool:
        return any(one == problem for one in self)


@dataclass(slots=True)
class _Kind:
    """The same problem of many rows: the first of them, how many, and the lines of some."""

    first: Problem
    rows: int
    lines: list[int]
    last: tuple[int | None, str | None]

    def take(self, problem: Problem) -> None:
        place = problem.line, problem.row
        if place == self.last:  # two entries of one row
            return
        self.rows += 1
        self.last = place
        if problem.line is not None and len(self.lines) < _LINES_NAMED and problem.line not in self.lines:
            self.lines.append(problem.line)

    def __str__(self) -> str:
        severity = "warning: " if self.first.severity == "warning" else ""
        if self.rows == 1:
            return f"{severity}{self.first}"
        lines = ", ".join(f"{line:,}" for line in self.lines)
        more = ", ..." if self.rows > len(self.lines) else ""
        return f"{severity}{self.first} ({counted(self.rows, 'row')}: line{'s' * (self.rows > 1)} {lines}{more})"


def in_short(found: Iterable[Problem], most_lines: int = MOST_LINES) -> list[str]:
    """The problems *found*, the same one of many rows in one line with their count, errors before warnings."""
    kinds: dict[tuple[Any, ...], _Kind] = {}
    others = 0
    for problem in found:
        key = problem.file, problem.column, problem.severity, _VARIES.sub("…", problem.message)
        if (kind := kinds.get(key)) is not None:
            kind.take(problem)
        elif len(kinds) < _MOST_KINDS:
            lines = [] if problem.line is None else [problem.line]
            kinds[key] = _Kind(problem, 1, lines, (problem.line, problem.row))
        else:
            others += 1
    every = sorted(kinds.values(), key=lambda kind: kind.first.severity)
    if len(every) <= most_lines:
        return [str(kind) for kind in every]
    left = sum(kind.rows for kind in every[most_lines - 1 :]) + others
    return [*map(str, every[: most_lines - 1]), f"... and {left:,} more; --json lists them"]
