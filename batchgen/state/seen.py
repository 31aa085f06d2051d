"""Numbers by number, as in a dict, for a memory that does not grow with them."""

from __future__ import annotations

import sqlite3

from batchgen.state.tables import StateUnusable


class Memo:
    """A number by each key of 64 bits, kept in a nameless file of the temporary folder, gone when it is closed.

    Raises StateUnusable once the temporary folder takes no more.
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE memo (key INTEGER PRIMARY KEY, number INTEGER NOT NULL); BEGIN;"
        )
        self._is_empty = True

    def get(self, key: int) -> int | None:
        if self._is_empty:
            return None
        found = self._connection.execute("SELECT number FROM memo WHERE key = ?", (key,)).fetchone()
        return None if found is None else int(found[0])

    def put(self, key: int, number: int) -> None:
        self._is_empty = False
        try:
            self._connection.execute("INSERT OR REPLACE INTO memo VALUES (?, ?)", (key, number))
        except sqlite3.Error as error:
            raise StateUnusable(
                f"the temporary folder cannot be used ({error}); make room there, or name another in TMPDIR"
            ) from None

    def close(self) -> None:
        self._connection.close()
