"""Rows that a folder has exactly as a manifest gives them, found by the digests of their records."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable

from batchgen.core.row import Problem
from batchgen.state.staging import Staging, attached, taken


class UnchangedRows:
    """The rows of one folder, each found once by its record's digest.

    A row is not found if one of its local input files is no longer as it was. All are as they were when the reading
    began: it is one transaction, as taking the file's lock for each row costs more than finding it. `end_reading`
    ends it.
    """

    def __init__(self, state: sqlite3.Connection, input_files: Iterable[tuple[str, int, int, str]]) -> None:
        self._state = state
        self._found = bytearray()
        self._all = False
        self._sql = "SELECT key FROM rows WHERE digest = ?"
        self._files_stand = all(_stands(*file) for file in input_files)
        if not self._files_stand:
            self._sql += " AND NOT local_files"
        state.execute("BEGIN")

    def end_reading(self) -> None:
        """Let go of the state file."""
        self._state.execute("COMMIT")

    def take(self, digest: bytes) -> int | None:
        """The key of a row that was not taken before; None if the folder has none for *digest*."""
        for (key,) in self._state.execute(self._sql, (digest,)):
            place, bit = key >> 3, 1 << (key & 7)
            if place >= len(self._found):
                self._found.extend(bytes(place + 4096 - len(self._found)))
            if not self._found[place] & bit:
                self._found[place] |= bit
                return int(key)
        return None

    def take_all(self) -> bool:
        """Take every row of the manifest that was taken in last, if each of them could be found by its digest."""
        self._all = self._files_stand
        return self._all

    def holds(self, row_id: str) -> bool:
        """Whether the row of that id was taken."""
        sql = "SELECT key, position FROM rows WHERE row_id = ?"
        found = self._state.execute(sql, (row_id,)).fetchone()
        if found is None or self._all:
            return found is not None and found[1] is not None
        place = found[0] >> 3
        return place < len(self._found) and bool(self._found[place] & 1 << (found[0] & 7))

    def part_names(self, scratch: Staging) -> list[Problem]:
        """Of rows that were read and rows that were only seen no two may have one id.

        Those without an id of their own are true duplicates and get the next number; for all others a Problem is
        told.
        """
        with attached(self._state, scratch):
            clashes = [one for table in (_READ, _FAULTY) for one in self._state.execute(_clashes(table))]
        problems = []
        for position, row_id, is_explicit, source, line, key, seen_id, seen_line in clashes:
            if not is_explicit:
                scratch.rename_twin(position, row_id, self.holds)
            elif line < seen_line:  # the later one is at fault
                scratch.drop("seen", "key", key)
                problems.append(taken(seen_id, source, seen_line, (row_id, line)))
            else:
                scratch.drop("scratch", "position", position)
                problems.append(taken(row_id, source, line, (seen_id, seen_line)))
        scratch.done()
        return problems


def _stands(path: str, size_bytes: int, mtime_ns: int, sha256: str) -> bool:
    """Whether the file at *path* still looks as it did when it was read."""
    try:
        stat = os.stat(path)
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (size_bytes, mtime_ns)


_READ = "(SELECT position, folded, row_id, explicit_id, source, line FROM scratch.scratch)"
_FAULTY = "(SELECT 0 AS position, folded, row_id, 1 AS explicit_id, source, line FROM scratch.scratch_faulty)"


def _clashes(table: str) -> str:
    return (
        "SELECT read.position, read.row_id, read.explicit_id, read.source, read.line, rows.key, rows.row_id, seen.line "
        f"FROM {table} AS read JOIN main.rows ON rows.folded = read.folded JOIN scratch.seen ON seen.key = rows.key "
        "ORDER BY read.position"
    )
