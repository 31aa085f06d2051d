"""Other run folders that hold rows of a manifest, paid for already: a copy of a sheet has a folder of its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from batchgen.state.diff import PAID, Scope
from batchgen.state.staging import Staging, attached


def paid_elsewhere(
    state: sqlite3.Connection, scratch: Staging, scope: Scope, states: Iterable[Path], base: str
) -> dict[Path, int]:
    """How many rows that are new to *state* each of the state files *states* has as they are, accepted or perhaps so.

    A row is the same by its id and its request: each is one look into an index, in a folder however large. Folders of
    another API base, of rehearsals, and those that cannot be read count for nothing.
    """
    if scratch.unchanged or scope.partial:
        return {}
    found = {}
    with attached(state, scratch):
        for path in states:
            try:
                count = _paid_there(state, path, scope, base)
            except sqlite3.Error:  # no state of ours, or not for us to read
                continue
            if count:
                found[path] = count
    return found


def _paid_there(state: sqlite3.Connection, path: Path, scope: Scope, base: str) -> int:
    state.execute("ATTACH ? AS neighbour", (f"{path.as_uri()}?mode=ro",))
    try:
        meta = dict(state.execute("SELECT name, value FROM neighbour.meta WHERE name IN ('base', 'rehearsal')"))
        if meta != {"base": base, "rehearsal": "no"}:
            return 0
        asked = "" if scope.only is None else "AND s.row_id IN (SELECT value FROM json_each(:only))"
        counted = state.execute(
            "SELECT COUNT(DISTINCT s.position) FROM scratch.scratch AS s "
            "CROSS JOIN neighbour.rows AS theirs ON theirs.row_id = s.row_id "
            "JOIN neighbour.jobs AS jobs ON jobs.key = theirs.key AND jobs.fingerprint = s.fingerprint "
            f"WHERE {PAID} AND NOT EXISTS (SELECT 1 FROM main.rows WHERE rows.row_id = s.row_id) {asked}",
            {"only": json.dumps([*(scope.only or ())])},
        )
        return int(counted.fetchone()[0])
    finally:
        state.execute("DETACH neighbour")
