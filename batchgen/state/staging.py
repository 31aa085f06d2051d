"""The rows of a manifest on their way into the state file.

They are gathered in a database of their own on disk, so that a million rows need no memory and a manifest with one
bad row changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from batchgen.core.row import Problem, Row, folded, json_encoder

_SCRATCH = """
CREATE TABLE scratch (
  position INTEGER PRIMARY KEY, row_id TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, explicit_id INTEGER NOT NULL,
  model TEXT NOT NULL, input TEXT NOT NULL, files TEXT NOT NULL, fingerprint TEXT NOT NULL, meta TEXT NOT NULL,
  priority INTEGER NOT NULL, note TEXT NOT NULL, source TEXT NOT NULL, line INTEGER NOT NULL,
  outputs_asked INTEGER NOT NULL, units INTEGER NOT NULL, inputs_expire_at REAL, digest BLOB NOT NULL,
  local_files INTEGER NOT NULL
);
CREATE TABLE seen (key INTEGER PRIMARY KEY, position INTEGER NOT NULL, source TEXT NOT NULL, line INTEGER NOT NULL);
CREATE TABLE scratch_faulty (
  folded TEXT PRIMARY KEY, row_id TEXT NOT NULL, source TEXT NOT NULL, line INTEGER NOT NULL
);
CREATE TABLE scratch_files (path TEXT PRIMARY KEY, size_bytes INTEGER, mtime_ns INTEGER, sha256 TEXT);
"""
_INSERT = f"INTO scratch VALUES ({', '.join('?' * 18)})"
_FILES = "INSERT OR REPLACE INTO scratch_files VALUES (?, ?, ?, ?)"
_in_json = json_encoder()


@dataclass(frozen=True, slots=True)
class Asked:
    """What one row asks for, as far as its price goes; and when its first signed input URL expires."""

    outputs: int
    units: int
    inputs_expire_at: float | None = None


class Staging:
    """The rows of a manifest on their way into the state file, numbered from 1 in manifest order.

    Those that the folder has exactly as the manifest gives them are only *seen*, if what they were checked by holds
    and they could be *recalled*, which tells whether the row of an id was; they are as the folder's *enrolment* of that
    number left them. *schemas* are the digests of the schemas that all rows were checked by. *manifest* is what the
    manifest is known by as a whole, None if it may not be. One that is *unchanged* since the folder's enrolment was not
    read: all rows that the folder has of it are seen.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="batchgen-")
        self.path = Path(self._folder.name) / "rows.db"
        self.connection = sqlite3.connect(self.path, check_same_thread=False)
        self.connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCRATCH}")
        self.rows = 0
        self.schemas: dict[str, str] = {}
        self.enrolment: str | None = None
        self.recalled: Callable[[str], bool] | None = None
        self.manifest: str | None = None
        self.source: str | None = None
        self.unchanged = False
        self._twins: dict[str, int] = {}
        self._any_faulty = False

    def add(self, row: Row, asked: Asked) -> Problem | None:
        """Take in *row*. Answers with a Problem if its id was used by an earlier row."""
        return self._add(self.place(), row, asked)

    def place(self) -> int:
        """The number of the next row of the manifest."""
        self.rows += 1
        return self.rows

    def _add(self, position: int, row: Row, asked: Asked) -> Problem | None:
        if self._any_faulty and row.explicit_id and (other := self._holder(row.row_id)) is not None:
            return taken(row.row_id, row.source, row.line, other)
        try:
            self.connection.execute(f"INSERT {_INSERT}", _values(position, row, asked))
        except sqlite3.IntegrityError:
            if row.explicit_id and (other := self._holder(row.row_id)) is not None:
                return taken(row.row_id, row.source, row.line, other)
            self._add_twin(position, row, asked)
        self.connection.executemany(_FILES, _files([row]))
        return None

    def add_all(self, rows: Sequence[tuple[int, Row, Asked]]) -> list[Problem]:
        """Take in *rows* by their places, which is quicker than one by one; a Problem for each id used before."""
        if not rows:
            return []
        before = self.connection.total_changes
        self.connection.executemany(f"INSERT OR IGNORE {_INSERT}", (_values(*one) for one in rows))
        if self.connection.total_changes - before < len(rows) or self._any_faulty:  # one by one tells which
            self.connection.execute("DELETE FROM scratch WHERE position >= ?", (rows[0][0],))
            return [problem for one in rows if (problem := self._add(*one)) is not None]
        self.connection.executemany(_FILES, _files(row for _, row, _ in rows))
        return []

    def see(self, found: Sequence[tuple[int, int, str, int]]) -> None:
        """Take in rows that the folder has as they are: each its key there, its place, its file and its line."""
        self.connection.executemany("INSERT INTO seen VALUES (?, ?, ?, ?)", found)

    def drop(self, table: str, column: str, value: int) -> None:
        """Take a row out again."""
        self.connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (value,))

    def models(self) -> list[str]:
        """The models of the rows that were read."""
        return [model for (model,) in self.connection.execute("SELECT DISTINCT model FROM scratch")]

    def has(self, row_id: str) -> bool:
        """Whether a row that was read is called *row_id*, a faulty one included."""
        sql = "SELECT 1 FROM scratch WHERE row_id = ?1 UNION ALL SELECT 1 FROM scratch_faulty WHERE row_id = ?1"
        return self.connection.execute(sql, (row_id,)).fetchone() is not None

    def row_ids(self) -> list[str]:
        """The ids of the rows that were read."""
        return [row_id for (row_id,) in self.connection.execute("SELECT row_id FROM scratch ORDER BY position")]

    def done(self) -> None:
        self.connection.commit()

    def close(self) -> None:
        self.connection.close()
        self._folder.cleanup()

    def _add_twin(self, position: int, row: Row, asked: Asked) -> None:
        """Two rows that ask for the same thing are two rows: `-2`, `-3`."""
        while True:
            number = self._twins[row.row_id] = self._twins.get(row.row_id, 1) + 1
            twin = row._replace(row_id=f"{row.row_id}-{number}")
            try:
                self.connection.execute(f"INSERT {_INSERT}", _values(position, twin, asked))
                return
            except sqlite3.IntegrityError:
                continue

    def rename_twin(self, position: int, row_id: str, is_seen: Callable[[str], bool]) -> None:
        """Give the row at *position* the next number of *row_id* that neither the manifest nor the folder has."""
        number = 1
        while True:
            number += 1
            name = f"{row_id}-{number}"
            if is_seen(name) or self._holder(name) is not None:
                continue
            self.connection.execute(
                "UPDATE scratch SET row_id = ?, folded = ? WHERE position = ?", (name, folded(name), position)
            )
            return

    def add_faulty(self, row_id: str, source: str, line: int) -> Problem | None:
        """Note the id of a row that cannot be taken in for another reason: it may be used twice all the same."""
        other = self._holder(row_id)
        if other is None:
            self._any_faulty = True
            values = (folded(row_id), row_id, source, line)
            self.connection.execute("INSERT INTO scratch_faulty VALUES (?, ?, ?, ?)", values)
            return None
        return None if other[1] == line else taken(row_id, source, line, other)

    def _holder(self, row_id: str) -> tuple[str, int] | None:
        """The id and line of the row that holds *row_id*, or an id that differs from it only by case or form."""
        for table in ("scratch", "scratch_faulty"):
            found = self.connection.execute(f"SELECT row_id, line FROM {table} WHERE folded = ?", (folded(row_id),))
            if (holder := found.fetchone()) is not None:
                return holder[0], holder[1]
        return None


def _values(position: int, row: Row, asked: Asked) -> tuple[object, ...]:
    return (
        position,
        row.row_id,
        folded(row.row_id),
        row.explicit_id,
        row.model,
        _in_json(row.input),
        json.dumps([asdict(file) for file in row.files]) if row.files else "[]",
        row.fingerprint,
        _in_json(row.meta) if row.meta else "{}",
        row.priority,
        row.note,
        row.source,
        row.line,
        asked.outputs,
        asked.units,
        asked.inputs_expire_at,
        row.digest,
        len(row.files),
    )


def _files(rows: Iterable[Row]) -> Iterable[tuple[object, ...]]:
    return ((file.path, file.size_bytes, file.mtime_ns, file.sha256) for row in rows for file in row.files)


def taken(row_id: str, source: str, line: int, other: tuple[str, int]) -> Problem:
    same = "is used" if other[0] == row_id else f"differs only by case or Unicode form from {other[0]!r}"
    message = f"{row_id!r} {same} on line {other[1]} already; give every row an id of its own"
    return Problem(source, line, "id", row_id, None, message)


@contextmanager
def attached(state: sqlite3.Connection, scratch: Staging) -> Iterator[None]:
    """The tables of *scratch* beside those of *state*, which is not in a transaction."""
    state.execute("ATTACH ? AS scratch", (str(scratch.path),))
    try:
        yield
    finally:
        state.execute("DETACH scratch")
