"""What paid attempts leave on disk beside the state: in rows/, parts/, attempts/ and set-aside/.

A state that was put back from a copy does not know of them, and would have them paid for again.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from batchgen.core.row import folded
from batchgen.storage.inside import LinkInside
from batchgen.storage.paths import RunFolder

SIDECAR = "row.json"
_SET_ASIDE = re.compile(r"(?P<row_id>.+)\.(?P<n>\d+)\.(?:[\w-]+\.bytes|\d{16,})")
_BATCH = 1000


class Trace(NamedTuple):
    """Files of a row that came from the provider, at *name* in *folder*. *n* is the attempt, None where only row.json
    says.
    """

    folder: RunFolder
    row_id: str
    n: int | None
    name: str

    @property
    def place(self) -> Path:
        return self.folder.path / self.name

    @property
    def sidecar(self) -> dict[str, Any] | None:
        """What row.json says here; None if there is none that can be read."""
        try:
            told = json.loads(self.folder.read_bytes(self.place / SIDECAR))
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) else None

    @property
    def is_empty(self) -> bool:
        """Whether it is a folder without anything in it."""
        return self.folder.is_dir(self.place) and not self.folder.names(self.place)


def in_rows(folder: RunFolder) -> Iterator[Trace]:
    return (Trace(folder, name, None, f"rows/{name}") for name in _names(folder, folder.rows))


def in_parts(folder: RunFolder) -> Iterator[Trace]:
    for name in _names(folder, folder.all_parts):
        row_id, _, n = name.rpartition(".")
        if row_id and n.isdecimal():
            yield Trace(folder, row_id, int(n), f"parts/{name}")


def in_attempts(folder: RunFolder) -> Iterator[Trace]:
    for row_id in _names(folder, folder.attempts):
        for n in _names(folder, folder.attempts / row_id):
            if n.isdecimal():
                yield Trace(folder, row_id, int(n), f"attempts/{row_id}/{n}")


def in_set_aside(folder: RunFolder) -> Iterator[Trace]:
    for name in _names(folder, folder.set_aside):
        if (found := _SET_ASIDE.fullmatch(name)) is not None:
            yield Trace(folder, found["row_id"], int(found["n"]), f"set-aside/{name}")


def unknown(folder: RunFolder, state: sqlite3.Connection, every_sidecar: bool) -> Trace | None:
    """A trace of an attempt that *state* does not know as paid for; None if there is none.

    By the names of the folders alone: a row that the state has files of is believed. Only where the names say more
    than the state is row.json read. With *every_sidecar* all are.
    """
    for traces, are_known in (
        (in_rows(folder), _HAVE_FILES),
        (in_parts(folder), _WERE_PAID),
        (in_set_aside(folder), _WERE_PAID),
        (in_attempts(folder), _HAVE_LATER_FILES),
    ):
        while batch := list(islice(traces, _BATCH)):
            suspects = batch if every_sidecar else _not_among(state, batch, are_known)
            if (found := _first_unknown(folder, state, suspects)) is not None:
                return found
    return None


# What the state has to hold for a trace to be believed by its name: `named` is its row and its attempt. A row in doubt
# may have been paid for, and is not sent again by itself.
_OF_ROW = (
    "SELECT 1 FROM rows CROSS JOIN jobs ON jobs.key = rows.key WHERE rows.folded = json_extract(named.value, '$[0]')"
)
_HAVE_FILES = f"{_OF_ROW} AND jobs.state IN ('collected', 'ready')"
_IS_PAID = "jobs.state <> 'pending' AND jobs.billed IS NOT 'no'"
_WERE_PAID = f"{_OF_ROW} AND jobs.n = json_extract(named.value, '$[1]') AND {_IS_PAID}"
_HAVE_LATER_FILES = f"{_OF_ROW} AND jobs.n > json_extract(named.value, '$[1]') AND jobs.state IN ('collected', 'ready')"


def _not_among(state: sqlite3.Connection, traces: Sequence[Trace], are_known: str) -> list[Trace]:
    named = json.dumps([[folded(trace.row_id), trace.n] for trace in traces])
    sql = f"SELECT named.key FROM json_each(?) AS named WHERE NOT EXISTS ({are_known})"
    return [traces[index] for (index,) in state.execute(sql, (named,))]


def _first_unknown(folder: RunFolder, state: sqlite3.Connection, suspects: Iterable[Trace]) -> Trace | None:
    for trace in suspects:
        here = trace._replace(name=f"rows/{trace.row_id}")  # a later attempt may stand there
        for one in {trace, here}:
            told = one.sidecar
            if told is not None and any(not _is_known(state, request_id) for request_id in request_ids(told)):
                return one
        if trace.n is not None and trace.sidecar is None and not trace.is_empty and not _was_paid(state, trace):
            return trace
    return None


def request_ids(told: dict[str, Any]) -> set[str]:
    """Every request_id that a row.json names, its own and those of earlier attempts."""
    attempts = told.get("attempts")
    every = [told, *(attempts if isinstance(attempts, list) else [])]
    ids = (one.get("request_id") for one in every if isinstance(one, dict))
    return {request_id for request_id in ids if isinstance(request_id, str) and request_id}


def _is_known(state: sqlite3.Connection, request_id: str) -> bool:
    return state.execute("SELECT 1 FROM jobs WHERE request_id = ?", (request_id,)).fetchone() is not None


def _was_paid(state: sqlite3.Connection, trace: Trace) -> bool:
    return not _not_among(state, [trace], _WERE_PAID)


def _names(folder: RunFolder, place: Path) -> Iterator[str]:
    """The names in *place*, none if it is no folder, or a link to one."""
    with suppress(NotADirectoryError, LinkInside):
        yield from folder.each_name(place)
