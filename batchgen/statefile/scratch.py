"""The rows of a manifest on their way into the state file.

They are gathered in a database of their own on disk, so that a million rows need no memory and a manifest with one
bad row changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from batchgen.request import Problem, Row, folded, json_encoder

_SCRATCH = """
CREATE TABLE scratch (
  position INTEGER PRIMARY KEY, row_id TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, explicit_id INTEGER NOT NULL,
  model TEXT NOT NULL, input TEXT NOT NULL, files TEXT NOT NULL, fingerprint TEXT NOT NULL, meta TEXT NOT NULL,
  priority INTEGER NOT NULL, note TEXT NOT NULL, source TEXT NOT NULL, line INTEGER NOT NULL,
  outputs_asked INTEGER NOT NULL, units INTEGER NOT NULL, inputs_expire_at REAL
);
CREATE TABLE scratch_faulty (folded TEXT PRIMARY KEY, row_id TEXT NOT NULL, line INTEGER NOT NULL);
CREATE TABLE scratch_files (path TEXT PRIMARY KEY, size_bytes INTEGER, mtime_ns INTEGER, sha256 TEXT);
"""
_INSERT = f"INTO scratch VALUES ({', '.join('?' * 16)})"
_FILES = "INSERT OR REPLACE INTO scratch_files VALUES (?, ?, ?, ?)"
_in_json = json_encoder()


@dataclass(frozen=True, slots=True)
class Asked:
    """What one row asks for, as far as its price goes; and when its first signed input URL expires."""

    outputs: int
    units: int
    inputs_expire_at: float | None = None


class Scratch:
    """The rows of a manifest on their way into the state file, numbered from 1 in manifest order."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="batchgen-")
        self.path = Path(self._folder.name) / "rows.db"
        self.connection = sqlite3.connect(self.path, check_same_thread=False)
        self.connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCRATCH}")
        self.rows = 0
        self._twins: dict[str, int] = {}
        self._any_faulty = False

    def add(self, row: Row, asked: Asked) -> Problem | None:
        """Take in *row*. Answers with a Problem if its id was used by an earlier row."""
        self.rows += 1
        if self._any_faulty and row.explicit_id and (other := self._holder(row.row_id)) is not None:
            return _taken(row.row_id, row.source, row.line, other)
        try:
            self.connection.execute(f"INSERT {_INSERT}", _values(self.rows, row, asked))
        except sqlite3.IntegrityError:
            if row.explicit_id and (other := self._holder(row.row_id)) is not None:
                return _taken(row.row_id, row.source, row.line, other)
            self._add_twin(row, asked)
        self.connection.executemany(_FILES, _files([row]))
        return None

    def add_all(self, rows: Sequence[tuple[Row, Asked]]) -> list[Problem]:
        """Take in *rows*, which is quicker than one by one. Answers with a Problem for each id used before."""
        taken = self.connection.total_changes
        numbered = (_values(position, *one) for position, one in enumerate(rows, self.rows + 1))
        self.connection.executemany(f"INSERT OR IGNORE {_INSERT}", numbered)
        if self.connection.total_changes - taken < len(rows) or self._any_faulty:  # one by one tells which
            self.connection.execute("DELETE FROM scratch WHERE position > ?", (self.rows,))
            return [problem for one in rows if (problem := self.add(*one)) is not None]
        self.rows += len(rows)
        self.connection.executemany(_FILES, _files(row for row, _ in rows))
        return []

    def local_files(self) -> int:
        """How many local input files the rows name."""
        return int(self.connection.execute("SELECT COUNT(*) FROM scratch_files").fetchone()[0])

    def not_among(self, row_ids: Iterable[str]) -> list[str]:
        """Those of *row_ids* that no row of the manifest has, faulty rows included."""
        sql = "SELECT 1 FROM scratch WHERE row_id = ?1 UNION ALL SELECT 1 FROM scratch_faulty WHERE row_id = ?1"
        return [row_id for row_id in row_ids if self.connection.execute(sql, (row_id,)).fetchone() is None]

    def row_ids(self) -> list[str]:
        return [row_id for (row_id,) in self.connection.execute("SELECT row_id FROM scratch ORDER BY position")]

    def done(self) -> None:
        self.connection.commit()

    def close(self) -> None:
        self.connection.close()
        self._folder.cleanup()

    def _add_twin(self, row: Row, asked: Asked) -> None:
        """Two rows that ask for the same thing are two rows: `-2`, `-3`."""
        while True:
            number = self._twins[row.row_id] = self._twins.get(row.row_id, 1) + 1
            twin = row._replace(row_id=f"{row.row_id}-{number}")
            try:
                self.connection.execute(f"INSERT {_INSERT}", _values(self.rows, twin, asked))
                return
            except sqlite3.IntegrityError:
                continue

    def add_faulty(self, row_id: str, source: str, line: int) -> Problem | None:
        """Note the id of a row that cannot be taken in for another reason: it may be used twice all the same."""
        other = self._holder(row_id)
        if other is None:
            self._any_faulty = True
            self.connection.execute("INSERT INTO scratch_faulty VALUES (?, ?, ?)", (folded(row_id), row_id, line))
            return None
        return None if other[1] == line else _taken(row_id, source, line, other)

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
    )


def _files(rows: Iterable[Row]) -> Iterable[tuple[object, ...]]:
    return ((file.path, file.size_bytes, file.mtime_ns, file.sha256) for row in rows for file in row.files)


def _taken(row_id: str, source: str, line: int, other: tuple[str, int]) -> Problem:
    same = "is used" if other[0] == row_id else f"differs only by case or Unicode form from {other[0]!r}"
    message = f"{row_id!r} {same} on line {other[1]} already; give every row an id of its own"
    return Problem(source, line, "id", row_id, None, message)
