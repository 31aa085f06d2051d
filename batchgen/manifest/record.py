"""What a reader hands on: one record a row, as written, with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from batchgen.core.errors import Refusal
from batchgen.core.row import Problem
from batchgen.manifest.unchanged import UnchangedRow


class Record(NamedTuple):
    """One row as it stands in its file: cells by column or key, and where each began if lines differ.

    *digest* is what `Memory` knows it by.
    """

    line: int
    cells: dict[str, Any]
    lines: Mapping[str, int] | None = None
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Table:
    """A file of records. *columns* is its header, or None where each record names its own keys."""

    file: str
    columns: tuple[str, ...] | None
    records: Iterator[Record | UnchangedRow | Problem]
    header_line: int = 1


class ManifestError(Refusal):
    """The manifest cannot be read as a whole; *problems* say why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


def unreadable(file: str, message: str, line: int | None = None, column: str | None = None) -> ManifestError:
    """The ManifestError of one problem."""
    return ManifestError([Problem(file, line, column, None, None, message)])
