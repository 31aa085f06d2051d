"""From a manifest's rows to the state file: gather, judge against what was paid for, enrol.

Rows are gathered in a scratch database on disk, so that a million rows need no memory and a manifest with one
bad row changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from batchgen.request import Problem, Row, folded

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
_in_json = json.JSONEncoder(ensure_ascii=False).encode  # one for all rows: making it costs more than its work
_INSERT = f"INSERT INTO scratch VALUES ({', '.join('?' * 16)})"

# A row was accepted, or may have been, if its latest attempt is one of these.
_PAID = """(jobs.state IN ('submitting', 'in_doubt', 'submitted', 'ready', 'collected')
  OR (jobs.state IN ('failed', 'cancelled') AND jobs.billed <> 'no'))"""
_BOTH = "scratch JOIN main.rows USING (row_id) JOIN main.jobs ON jobs.key = rows.key AND jobs.latest"
_NAMED = 20


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
        values = self._values(row, asked)
        try:
            self.connection.execute(_INSERT, values)
        except sqlite3.IntegrityError:
            if row.explicit_id and (other := self._holder(row.row_id)) is not None:
                return _taken(row.row_id, row.source, row.line, other)
            self._add_twin(row, asked)
        for file in row.files:
            self.connection.execute(
                "INSERT OR REPLACE INTO scratch_files VALUES (?, ?, ?, ?)",
                (file.path, file.size_bytes, file.mtime_ns, file.sha256),
            )
        return None

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
            values = self._values(row, asked, row_id=f"{row.row_id}-{number}")
            try:
                self.connection.execute(_INSERT, values)
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

    def _values(self, row: Row, asked: Asked, row_id: str | None = None) -> tuple[object, ...]:
        name = row_id or row.row_id
        return (
            self.rows,
            name,
            folded(name),
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


def _taken(row_id: str, source: str, line: int, other: tuple[str, int]) -> Problem:
    same = "is used" if other[0] == row_id else f"differs only by case or Unicode form from {other[0]!r}"
    message = f"{row_id!r} {same} on line {other[1]} already; give every row an id of its own"
    return Problem(source, line, "id", row_id, None, message)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one model, or of all, by what enrolling them would mean.

    *new* ones are not in the folder yet, *waiting* ones were never accepted, *again* ended (or are live) and are
    asked for again, *paid* were accepted. *changed* says how many of these the manifest changed, *changed_paid* how
    many of the changed were accepted. *to_send*, *outputs* and *units* are what the run may send within its limits.
    """

    new: int = 0
    waiting: int = 0
    again: int = 0
    paid: int = 0
    changed: int = 0
    changed_paid: int = 0
    left: int = 0
    in_doubt: int = 0
    to_send: int = 0
    outputs: int = 0
    units: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What enrolling a manifest would do, by model and in all. Row ids are named up to a limit, counts are whole."""

    models: Mapping[str, Rows]
    changed_paid_ids: tuple[str, ...] = ()
    left_unnamed_paid: int = 0
    renamed: int = 0
    live: int = 0

    @property
    def all(self) -> Rows:
        every = [astuple(rows) for rows in self.models.values()]
        return Rows(*map(sum, zip(*every, strict=True))) if every else Rows()

    @property
    def looks_like_an_edit(self) -> bool:
        """Accepted rows without an id left, or were renamed, and new rows came."""
        return self.all.new > 0 and (self.left_unnamed_paid > 0 or self.renamed > 0)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows a run may send: those of *only*, *limit* of them at most.

    *partial*: the manifest is a part of the folder's rows (its `failed.csv`): absent rows have not left, and
    those that failed are asked for again. *rerun_changed*: changed rows that were paid for are, too.
    """

    partial: bool = False
    rerun_changed: bool = False
    only: frozenset[str] | None = None
    limit: int | None = None


def judge(state: sqlite3.Connection, scratch: Scratch, scope: Scope) -> Judgement:
    """Compare the gathered rows with *state*; writes nothing."""
    with _attached(state, scratch):
        return _judge(state, scope)


def expiring_inputs(state: sqlite3.Connection, scratch: Scratch, scope: Scope, now: float, each_s: float) -> list[str]:
    """Rows to send whose signed input URLs stop working before their turn, if one is started every *each_s*."""
    with _attached(state, scratch):
        if not state.execute("SELECT MAX(inputs_expire_at) FROM scratch").fetchone()[0]:
            return []
        found = state.execute(
            "SELECT row_id FROM (SELECT row_id, inputs_expire_at, "
            f"ROW_NUMBER() OVER (ORDER BY priority DESC, position) - 1 AS before_it FROM ({_rows_to_send(scope)})) "
            "WHERE inputs_expire_at <= :now + before_it * :each_s ORDER BY before_it",
            {"only": json.dumps([*(scope.only or ())]), "now": now, "each_s": each_s},
        )
        return [row_id for (row_id,) in found]


@contextmanager
def _attached(state: sqlite3.Connection, scratch: Scratch) -> Iterator[None]:
    state.execute("ATTACH ? AS scratch", (str(scratch.path),))
    try:
        yield
    finally:
        state.execute("DETACH scratch")


_CHANGED = f"{_BOTH} WHERE jobs.fingerprint <> scratch.fingerprint"
_NEW = "scratch WHERE NOT EXISTS (SELECT 1 FROM main.rows WHERE rows.row_id = scratch.row_id)"
_ABSENT = (
    "main.rows JOIN main.jobs ON jobs.key = rows.key AND jobs.latest WHERE rows.position IS NOT NULL AND "
    "NOT EXISTS (SELECT 1 FROM scratch WHERE scratch.row_id = rows.row_id)"
)


def _judge(state: sqlite3.Connection, scope: Scope) -> Judgement:
    def count(sql: str) -> int:
        return int(state.execute(f"SELECT COUNT(*) FROM {sql}").fetchone()[0])

    whole = not scope.partial
    changed_ids = state.execute(f"SELECT row_id FROM {_changed_paid(scope)} ORDER BY scratch.line LIMIT {_NAMED}")
    return Judgement(
        models=_by_model(state, scope),
        changed_paid_ids=tuple(row_id for (row_id,) in changed_ids.fetchall()),
        left_unnamed_paid=count(f"{_ABSENT} AND NOT rows.explicit_id AND {_PAID}") if whole else 0,
        renamed=_renamed(state) if whole else 0,
        live=count("main.jobs WHERE state IN ('submitted', 'ready')"),
    )


def _by_model(state: sqlite3.Connection, scope: Scope) -> dict[str, Rows]:
    doubtful = "jobs.state IN ('in_doubt', 'submitting')"
    counted = {
        "new": ("scratch.model", _NEW),
        "waiting": ("scratch.model", f"{_BOTH} WHERE jobs.state = 'pending'"),
        "again": ("scratch.model", f"{_BOTH} WHERE {_again(scope)}"),
        "paid": ("scratch.model", f"{_BOTH} WHERE {_PAID} AND NOT {doubtful}"),
        "changed": ("scratch.model", _CHANGED),
        "changed_paid": ("scratch.model", _changed_paid(scope)),
        "in_doubt": ("jobs.model", f"main.jobs WHERE jobs.latest AND {doubtful}"),
    }
    if not scope.partial:
        counted["left"] = ("jobs.model", _ABSENT)
    found: dict[str, dict[str, int]] = {}
    for name, (model_column, rows) in counted.items():
        for model, count in state.execute(f"SELECT {model_column}, COUNT(*) FROM {rows} GROUP BY 1").fetchall():
            found.setdefault(model, {})[name] = count
    for model, rows_to_send, outputs, units in _to_send(state, scope):
        found.setdefault(model, {}).update(to_send=rows_to_send, outputs=outputs, units=units)
    return {model: Rows(**counts) for model, counts in sorted(found.items())}


def _changed_paid(scope: Scope) -> str:
    """Changed rows that were paid for; those of a failed.csv were edited to be sent again."""
    edited = "AND jobs.state NOT IN ('failed', 'cancelled')" if scope.partial else ""
    return f"{_CHANGED} AND {_PAID} {edited}"


def _again(scope: Scope) -> str:
    """Rows that have ended, or are live, and are asked for again."""
    asked = ["0"]
    if scope.partial:
        asked.append("jobs.state IN ('failed', 'cancelled')")
    if scope.rerun_changed:
        asked.append(
            "jobs.fingerprint <> scratch.fingerprint AND jobs.state NOT IN ('pending', 'in_doubt', 'submitting')"
        )
    return f"({' OR '.join(asked)})"


def _to_send(state: sqlite3.Connection, scope: Scope) -> tuple[tuple[str, int, int, int], ...]:
    """(model, rows, outputs, units) of what the run may send."""
    found = state.execute(
        f"SELECT model, COUNT(*), SUM(outputs_asked), SUM(units) FROM ({_rows_to_send(scope)}) "
        "GROUP BY model ORDER BY model",
        {"only": json.dumps([*(scope.only or ())])},
    )
    return tuple(found.fetchall())


def _rows_to_send(scope: Scope) -> str:
    """The rows that the run may send within its limits, the ids of *scope* being the parameter `:only`."""
    columns = ("position", "priority", "row_id", "model", "outputs_asked", "units", "inputs_expire_at")
    asked = ", ".join(f"scratch.{column}" for column in columns)
    rows = (
        f"SELECT {asked} FROM {_NEW} UNION ALL "
        f"SELECT {asked} FROM {_BOTH} WHERE jobs.state = 'pending' OR {_again(scope)}"
    )
    if scope.only is not None:
        rows = f"SELECT * FROM ({rows}) WHERE row_id IN (SELECT value FROM json_each(:only))"
    if scope.limit is not None:
        rows = f"SELECT * FROM ({rows}) ORDER BY priority DESC, position LIMIT {int(scope.limit)}"
    return rows


def _renamed(state: sqlite3.Connection) -> int:
    """Rows that were paid for under an id that left, and ask for the same under a new one."""
    found = state.execute(
        f"SELECT COUNT(*) FROM {_NEW} AND fingerprint IN (SELECT jobs.fingerprint FROM {_ABSENT} AND {_PAID})"
    )
    return int(found.fetchone()[0])


def enrol(state: sqlite3.Connection, partial: bool, rerun_changed: bool, keep_changed: bool) -> None:
    """Take the rows of the attached scratch database into *state*, inside the caller's transaction.

    Never-accepted rows are updated in place. With *rerun_changed*, a changed row that was accepted gets a new
    attempt, once its live one has ended; a doubtful one never. With *keep_changed* it stays as it was paid for.
    The rows of a *partial* manifest that failed keep their edits for the attempt that follows.
    """
    if not partial:
        _note_who_left(state)
    _update_known(state)
    if not keep_changed:
        _update_unsent(state)
        _queue(state, "jobs.state IN ('failed', 'cancelled')" if partial else "jobs.billed = 'no'")
    if rerun_changed:
        _queue_changed(state)
    _insert_new(state)
    state.execute(
        "INSERT OR REPLACE INTO input_files SELECT path, size_bytes, mtime_ns, sha256 FROM scratch.scratch_files"
    )
    start_queued(state)


def _note_who_left(state: sqlite3.Connection) -> None:
    gone = "row_id NOT IN (SELECT row_id FROM scratch.scratch)"
    state.execute(f"UPDATE rows SET position = NULL WHERE position IS NOT NULL AND {gone}")
    state.execute(
        "UPDATE jobs SET position = NULL WHERE state = 'pending' AND key IN "
        "(SELECT key FROM rows WHERE position IS NULL)"
    )


def _update_known(state: sqlite3.Connection) -> None:
    """Place, priority and notes follow the manifest; they are not part of the request."""
    state.execute(
        "UPDATE rows SET position = s.position, priority = s.priority, meta = s.meta, note = s.note, "
        "source = s.source, line = s.line, explicit_id = s.explicit_id FROM scratch.scratch AS s "
        "WHERE rows.row_id = s.row_id AND (rows.position, rows.priority, rows.meta, rows.note, rows.source, "
        "rows.line) IS NOT (s.position, s.priority, s.meta, s.note, s.source, s.line)"
    )
    state.execute(  # a change that was taken back is no change
        "UPDATE rows SET next_request = NULL FROM scratch.scratch AS s, jobs WHERE rows.next_request IS NOT NULL "
        "AND rows.row_id = s.row_id AND jobs.key = rows.key AND jobs.latest AND jobs.fingerprint = s.fingerprint"
    )
    state.execute(
        "UPDATE jobs SET position = rows.position, priority = rows.priority FROM rows "
        "WHERE jobs.key = rows.key AND jobs.state = 'pending'"
    )


_REQUEST_COLUMNS = "model, input, files, fingerprint, outputs_asked, units"
_REQUEST_JSON = (
    "json_object('model', s.model, 'input', s.input, 'files', s.files, 'fingerprint', s.fingerprint, "
    "'outputs_asked', s.outputs_asked, 'units', s.units)"
)


def _update_unsent(state: sqlite3.Connection) -> None:
    state.execute(
        f"UPDATE jobs SET ({_REQUEST_COLUMNS}) = (s.model, s.input, s.files, s.fingerprint, s.outputs_asked, s.units) "
        "FROM scratch.scratch AS s JOIN rows USING (row_id) "
        "WHERE jobs.key = rows.key AND jobs.latest AND jobs.state = 'pending' AND jobs.fingerprint <> s.fingerprint"
    )


def _queue_changed(state: sqlite3.Connection) -> None:
    _queue(state, "jobs.state NOT IN ('pending', 'in_doubt', 'submitting')")
    state.execute("UPDATE rows SET next_request = json_set(next_request, '$.start', 1) WHERE next_request IS NOT NULL")


def _queue(state: sqlite3.Connection, where: str) -> None:
    """Keep the changed request of rows whose latest attempt is *where*, for their next attempt."""
    state.execute(
        f"UPDATE rows SET next_request = {_REQUEST_JSON} FROM scratch.scratch AS s, jobs "
        f"WHERE rows.row_id = s.row_id AND jobs.key = rows.key AND jobs.latest "
        f"AND jobs.fingerprint <> s.fingerprint AND {where}"
    )


def _insert_new(state: sqlite3.Connection) -> None:
    state.execute(
        "INSERT INTO rows (row_id, folded, explicit_id, position, priority, meta, note, source, line) "
        "SELECT row_id, folded, explicit_id, position, priority, meta, note, source, line FROM scratch.scratch AS s "
        "WHERE NOT EXISTS (SELECT 1 FROM rows WHERE rows.row_id = s.row_id) ORDER BY position"
    )
    state.execute(
        f"INSERT INTO jobs (key, n, state, position, priority, {_REQUEST_COLUMNS}) "
        "SELECT rows.key, 1, 'pending', s.position, s.priority, s.model, s.input, s.files, s.fingerprint, "
        "s.outputs_asked, s.units FROM scratch.scratch AS s JOIN rows USING (row_id) "
        "WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.key = rows.key) ORDER BY s.position"
    )


_ENDED = "('collected', 'failed', 'cancelled')"


def start_queued(state: sqlite3.Connection, key: int | None = None) -> int:
    """Start a new attempt for every row (or the one with *key*) whose changed request was waiting for its end."""
    here = "" if key is None else f"AND rows.key = {int(key)}"
    keys = [
        found
        for (found,) in state.execute(
            f"SELECT rows.key FROM rows JOIN jobs ON jobs.key = rows.key AND jobs.latest "
            f"WHERE json_extract(rows.next_request, '$.start') AND jobs.state IN {_ENDED} {here}"
        )
    ]
    return start_attempts(state, keys)


def start_attempts(state: sqlite3.Connection, keys: Iterable[int], seeds: Mapping[int, Any] | None = None) -> int:
    """A new `pending` attempt for each of *keys*, with the changed request where one was kept.

    Without one it repeats the latest attempt, with the seed that *seeds* has for the key. The fingerprint stays that
    of the manifest's request, so that another seed is no change of the row.
    """
    started = 0
    for key in keys:
        request = state.execute("SELECT next_request FROM rows WHERE key = ?", (key,)).fetchone()[0]
        old = state.execute(f"SELECT n, {_REQUEST_COLUMNS} FROM jobs WHERE key = ? AND latest", (key,)).fetchone()
        values = (
            tuple(json.loads(request)[name.strip()] for name in _REQUEST_COLUMNS.split(",")) if request else old[1:]
        )
        if seeds is not None and key in seeds and not request:
            model, old_input, *rest = values
            values = (model, _in_json(json.loads(old_input) | {"seed": seeds[key]}), *rest)
        state.execute("UPDATE jobs SET latest = 0 WHERE key = ? AND latest", (key,))
        state.execute(
            f"INSERT INTO jobs (key, n, state, position, priority, {_REQUEST_COLUMNS}) "
            "SELECT key, ?, 'pending', COALESCE(position, 1), priority, ?, ?, ?, ?, ?, ? FROM rows WHERE key = ?",
            (old[0] + 1, *values, key),
        )
        state.execute("UPDATE rows SET next_request = NULL WHERE key = ?", (key,))
        started += 1
    return started
