"""The tables of `state.db`, how a job becomes a record of them, and how an older file is brought forward."""

from __future__ import annotations

import json
import sqlite3
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from batchgen.core.errors import Exit, Refusal
from batchgen.core.job import Billed, Job, Output, SavedFile, State
from batchgen.state.counters import COUNT_UP, TALLY, UNIT_PRICE_TRIGGERS

SCHEMA_VERSION = 4
TALLIED_VERSION = 3
"""From this version on the file holds the sums over its attempts."""

_INCOMPLETE = "CREATE INDEX jobs_incomplete ON jobs (key) WHERE state = 'collected' AND reason IS NOT NULL"

HAS_BLANK = """instr(saved, '"blank": true')"""
"""Of attempts with a file of one colour. The words of an index: whoever asks how a folder stands has no second for each
look at all of its attempts.
"""
_BLANK = f"CREATE INDEX jobs_blank ON jobs (key) WHERE {HAS_BLANK}"

_TABLES = f"""
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- One row of the manifest. `position` is its place there, NULL once it has left; `next_request` is a changed
-- request that waits for the live attempt to end. `digest` is what its record in the manifest is known by, NULL unless
-- the latest attempt is what that record asks for.
CREATE TABLE rows (
  key          INTEGER PRIMARY KEY,
  row_id       TEXT NOT NULL UNIQUE,
  folded       TEXT NOT NULL UNIQUE,
  explicit_id  INTEGER NOT NULL,
  position     INTEGER,
  priority     INTEGER NOT NULL DEFAULT 0,
  meta         TEXT NOT NULL,
  note         TEXT NOT NULL DEFAULT '',
  source       TEXT NOT NULL DEFAULT '',
  line         INTEGER NOT NULL DEFAULT 0,
  next_request TEXT,
  digest       BLOB,
  local_files  INTEGER NOT NULL DEFAULT 0,
  inputs_expire_at REAL
);
CREATE INDEX rows_digest ON rows (digest) WHERE digest IS NOT NULL;
CREATE INDEX rows_next_request ON rows (key) WHERE next_request IS NOT NULL;

-- One attempt at a row; never overwritten by a later one. `latest` marks the attempt whose state is the row's.
CREATE TABLE jobs (
  key            INTEGER NOT NULL,
  n              INTEGER NOT NULL,
  latest         INTEGER NOT NULL DEFAULT 1,
  state          TEXT NOT NULL,
  position       INTEGER,
  priority       INTEGER NOT NULL DEFAULT 0,
  model          TEXT NOT NULL,
  input          TEXT NOT NULL,
  files          TEXT NOT NULL,
  fingerprint    TEXT NOT NULL,
  outputs_asked  INTEGER NOT NULL,
  units          INTEGER NOT NULL,
  estimate_micro INTEGER,
  cost_micro     INTEGER,
  request_id     TEXT,
  reason         TEXT,
  billed         TEXT,
  again_at       REAL,
  intent_at      REAL,
  submitted_at   REAL,
  ended_at       REAL,
  collected_at   REAL,
  outputs        TEXT,
  saved          TEXT,
  seq            INTEGER NOT NULL DEFAULT 0,
  UNIQUE (key, n)
);
CREATE INDEX jobs_pending ON jobs (priority DESC, position) WHERE state = 'pending';
CREATE INDEX jobs_live ON jobs (state) WHERE state IN ('submitting', 'in_doubt', 'submitted', 'ready');
CREATE UNIQUE INDEX jobs_request_id ON jobs (request_id) WHERE request_id IS NOT NULL;
{_INCOMPLETE};
{_BLANK};

-- Content hashes of local input files, so that an unchanged file is not read again at every start.
CREATE TABLE input_files (
  path       TEXT PRIMARY KEY,
  size_bytes INTEGER NOT NULL,
  mtime_ns   INTEGER NOT NULL,
  sha256     TEXT NOT NULL
) WITHOUT ROWID;
{TALLY}
"""

JOB_COLUMNS = (
    "jobs.key, rows.row_id, jobs.n, jobs.state, jobs.model, jobs.input, jobs.files, jobs.fingerprint, rows.meta, "
    "jobs.outputs_asked, jobs.units, jobs.estimate_micro, jobs.cost_micro, jobs.request_id, jobs.reason, "
    "jobs.billed, jobs.again_at, jobs.intent_at, jobs.submitted_at, jobs.ended_at, jobs.collected_at, "
    "jobs.outputs, jobs.saved"
)

_NOT_OF_THE_BOOKS = {"jobs.input": "'{}'", "jobs.files": "'[]'", "rows.meta": "'{}'", "jobs.outputs": "NULL"}
BOOK_COLUMNS = ", ".join(_NOT_OF_THE_BOOKS.get(column, column) for column in JOB_COLUMNS.split(", "))
"""The same without what was asked for, which takes most of the time to read."""

_MOVED = (
    "state",
    "estimate_micro",
    "cost_micro",
    "request_id",
    "reason",
    "billed",
    "again_at",
    "intent_at",
    "submitted_at",
    "ended_at",
    "collected_at",
    "outputs",
    "saved",
    "seq",
)
_MOVES = f"""
CREATE TEMP VIEW moves AS SELECT {", ".join(_MOVED)}, key, n, state AS was FROM jobs;
CREATE TEMP TRIGGER moved INSTEAD OF INSERT ON moves WHEN NEW.key IS NOT NULL BEGIN
  UPDATE jobs SET {", ".join(f"{name} = NEW.{name}" for name in _MOVED)}
  WHERE key = NEW.key AND n = NEW.n AND state = NEW.was;
  SELECT RAISE(ABORT, 'a row was moved by something else') WHERE changes() = 0;
  UPDATE meta SET value = NEW.seq WHERE name = 'journal_seq' AND CAST(value AS INTEGER) < NEW.seq;
END;
"""
_NO_MOVE = (None,) * (len(_MOVED) + 3)
_SIZES = (1, 4, 16, 64)
MOST_MOVES = _SIZES[-1]
"""SQLite lays out all moves of a statement first, and for more than a megabyte it needs a temporary file elsewhere."""


class StateUnusable(Refusal):
    """The state file cannot be trusted or written; nothing may be sent. Says why and what to do."""

    exit = Exit.STATE


def create(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty database, in WAL mode: changing the mode of a file in use leaves a journal
    that a reader cannot roll back.
    """
    connection.executescript(f"PRAGMA journal_mode = WAL; {_TABLES}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.commit()


def bring_forward(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that the file has this version's tables. Raises StateUnusable for a newer or an emptied file."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        raise StateUnusable(
            f"{path} holds no tables: it was emptied or cut short. Nothing was sent; `batchgen repair {path.parent}` "
            "sets it aside and rebuilds it"
        )
    if version > SCHEMA_VERSION:
        raise StateUnusable(
            f"{path} was written by a newer batchgen (state version {version}, this one knows "
            f"{SCHEMA_VERSION}); install the newer batchgen, nothing was changed"
        )
    _migrate(connection, path, version)


MIGRATIONS: dict[int, str] = {
    1: """
    ALTER TABLE rows ADD COLUMN digest BLOB;
    ALTER TABLE rows ADD COLUMN local_files INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rows ADD COLUMN inputs_expire_at REAL;
    CREATE INDEX rows_digest ON rows (digest) WHERE digest IS NOT NULL;
    CREATE INDEX rows_next_request ON rows (key) WHERE next_request IS NOT NULL
    """,
    2: f"{TALLY} {COUNT_UP}",
    3: f"""
    {_INCOMPLETE};
    {_BLANK};
    DROP TRIGGER jobs_unit_price_first;
    DROP TRIGGER jobs_unit_price;
    {UNIT_PRICE_TRIGGERS}
    """,
}
"""SQL that brings a file from the version of its key to the next one."""


def _migrate(connection: sqlite3.Connection, path: Path, version: int) -> None:
    if version == SCHEMA_VERSION:
        return
    backup = path.with_name(f"state.v{version}.backup.db")
    with sqlite3.connect(backup) as copy:
        connection.backup(copy)
    copy.close()
    while version < SCHEMA_VERSION:
        connection.executescript(f"BEGIN; {MIGRATIONS[version]}; PRAGMA user_version = {version + 1}; COMMIT;")
        version += 1


def job_from_record(record: tuple[Any, ...]) -> Job:
    """The job of a record selected with JOB_COLUMNS."""
    (key, row_id, n, state, model, job_input, files, fingerprint, meta, *rest) = record
    (asked, units, estimate, cost, request_id, reason, billed, *times, outputs, saved) = rest
    again_at, intent_at, submitted_at, ended_at, collected_at = times
    return Job(
        key=key,
        row_id=row_id,
        n=n,
        state=State(state),
        model=model,
        input=json.loads(job_input),
        files=() if files == "[]" else tuple(json.loads(files)),
        fingerprint=fingerprint,
        meta={} if meta == "{}" else json.loads(meta),
        outputs_asked=asked,
        units=units,
        estimate_micro=estimate,
        cost_micro=cost,
        request_id=request_id,
        reason=reason,
        billed=Billed(billed) if billed else None,
        again_at=again_at,
        intent_at=intent_at,
        submitted_at=submitted_at,
        ended_at=ended_at,
        collected_at=collected_at,
        outputs=tuple(Output(*output) for output in json.loads(outputs)) if outputs else (),
        saved=tuple(SavedFile(**file) for file in json.loads(saved)) if saved else (),
    )


def prepare_moves(connection: sqlite3.Connection) -> None:
    """Once for each connection that is to `make_moves`."""
    connection.executescript(_MOVES)


def make_moves(connection: sqlite3.Connection, moves: list[tuple[Any, ...]]) -> None:
    """Write up to `MOST_MOVES` moves, made by `move_of`, all or none. Raises IntegrityError if a job is not in the
    state that it is to be moved from.

    One statement is the whole transaction: after each one, SQLite's thread has to get the interpreter back from the
    event loop, which takes longer than the writing.
    """
    size = next(size for size in _SIZES if size >= len(moves))
    values = [*chain.from_iterable(moves), *_NO_MOVE * (size - len(moves))]
    connection.execute(_insert_moves(size), values).close()


@cache
def _insert_moves(size: int) -> str:
    one = f"({', '.join('?' * len(_NO_MOVE))})"
    return f"INSERT INTO moves VALUES {', '.join([one] * size)}"


def move_of(before: Job, after: Job, seq: int) -> tuple[Any, ...]:
    """What `make_moves` takes for the move from *before* to *after*."""
    return (
        after.state,
        after.estimate_micro,
        after.cost_micro,
        after.request_id,
        after.reason,
        after.billed,
        after.again_at,
        after.intent_at,
        after.submitted_at,
        after.ended_at,
        after.collected_at,
        json.dumps([output.as_kept for output in after.outputs]) if after.outputs else None,
        json.dumps([file._asdict() for file in after.saved]) if after.saved else None,
        seq,
        before.key,
        before.n,
        before.state,
    )
