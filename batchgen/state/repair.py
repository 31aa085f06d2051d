"""Rebuild a lost, damaged or outdated `state.db` from the journal, the row folders and what is left of the state.

Nothing is deleted: the old state goes to `set-aside/`. Of each attempt the newest record counts, so that no second
payment follows from a file that was lost or restored.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batchgen.core.job import Billed, Job, Output, SavedFile, State
from batchgen.core.row import FINGERPRINT_VERSION, folded
from batchgen.state import generation, place, salvage
from batchgen.state.apply import MAY_HAVE_BEEN_SENT
from batchgen.state.journal import line_of_head
from batchgen.state.lock import Lock
from batchgen.state.reader import open_reader
from batchgen.state.readonly import refuse_unwritable
from batchgen.state.salvage import Found
from batchgen.state.tables import (
    JOB_COLUMNS,
    SCHEMA_VERSION,
    StateUnusable,
    create,
    job_from_record,
    make_moves,
    move_of,
    prepare_moves,
)
from batchgen.storage.paths import RunFolder, refuse_planted

_UNNAMED = re.compile(r"r-[0-9a-f]{16}(-\d+)?")
_HASHED = re.compile(r"-[0-9a-f]{8}$")
_OF_ROWS = ("schemas", "enrolment", "manifest")
"""What the meta table says of rows by their keys, which a rebuilt state gives out anew."""

_PLACE = "position, priority, note, source, line, explicit_id"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair found: attempts, rows, and everything a person should know."""

    attempts: int
    rows: int
    notes: tuple[str, ...]


def repair(folder: RunFolder, base: str) -> Repaired:
    """Rebuild the state of *folder*; *base* is the API base if no source names one.

    Raises FolderInUse, and StateUnusable for a state that a newer version wrote.
    """
    refuse_planted(folder)
    refuse_unwritable(folder)
    lock = Lock(folder)
    try:
        return _repair(folder, base)
    finally:
        lock.release()


def _repair(folder: RunFolder, base: str) -> Repaired:
    found = Found()
    has_newest = _read_sources(folder, found)
    salvage.take_traces(folder, found)
    _doubt_what_may_be_missing(folder, found, has_newest)
    found.meta.setdefault("base", base)
    found.meta.setdefault("rehearsal", "no")
    _take_over(folder, found)
    part = folder.state.with_name("state.db.part")
    folder.unlink(part)
    with closing(sqlite3.connect(part)) as connection:
        _write(connection, found)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder.make(folder.set_aside)
    for suffix in ("", "-wal", "-shm"):
        old = Path(f"{folder.state}{suffix}")
        if old.exists():
            folder.replace(old, folder.set_aside / f"state.{stamp}.db{suffix}")
    folder.replace(part, folder.state)
    folder.sync(folder.path)
    with closing(open_reader(folder)) as reader:
        generation.keep(folder, reader.generation())
    return Repaired(len(found.jobs), len({row_id for row_id, _ in found.jobs}), tuple(found.notes))


_MAYBE_PAID = (State.SUBMITTING, State.IN_DOUBT, State.SUBMITTED, State.READY, State.COLLECTED)


def _doubt_what_may_be_missing(folder: RunFolder, found: Found, has_newest: bool) -> None:
    """Where neither the state nor the journal is the folder's newest, rows that seem to wait may have been sent since:
    none of them is sent by itself, unless the folder was closed and all that had been accepted then is found again.

    *has_newest* is False where that is sure before anything else in the folder is compared with them.
    """
    beside = generation.beside(folder)
    newest_seq = beside.seq if beside is not None else 0
    is_old = not has_newest or found.salvaged > 0 or newest_seq > found.last_seq
    found.last_seq = max(newest_seq, found.last_seq)
    accepted = sum(_was_accepted(job) for _, job in found.jobs.values())
    if not is_old or (beside is not None and beside.changed_ns is not None and beside.accepted == accepted):
        return
    waiting = [job for _, job in found.jobs.values() if job.state is State.PENDING]
    for job in waiting:
        found.doubt(job, "the state and the journal are older than the folder, or lost: it may have been sent")
    found.notes.append(
        f"the state and the journal are older than {folder.path}, or lost, and requests that were accepted may be "
        f"known nowhere any more: every row of the manifest that is not known here is in doubt from the next run on, "
        f"and {len(waiting)} rows that seem to wait are now; `batchgen reconcile {folder.path}` adopts or releases them"
    )
    found.meta[MAY_HAVE_BEEN_SENT] = "yes"


def _was_accepted(job: Job) -> bool:
    """Whether *job* was accepted, or may have been: a row in doubt leaves no file by which it could be found again."""
    ended_and_billed = job.state in (State.FAILED, State.CANCELLED) and job.billed is not Billed.NO
    return ended_and_billed or job.state in _MAYBE_PAID


def _take_over(folder: RunFolder, found: Found) -> None:
    """Whatever the folder was a copy of, it is from here on a folder of its own, further than any state before it."""
    beside, now = generation.beside(folder), place.here(folder)
    if (was := found.meta.get("place")) is not None:
        known = place.Place(**json.loads(was))
        if (other := place.original(found.meta.get("folder", ""), known, now)) is not None:
            found.notes.append(
                f"this is the folder that goes on now; {other} would pay for the same rows: do not use it"
            )
    numbers = [int(found.meta.get("generation", 0)), beside.number if beside is not None else 0]
    found.meta.setdefault("folder", beside.folder if beside is not None else generation.new_name())
    found.meta |= {"generation": str(max(numbers) + 1), "place": json.dumps(asdict(now))}


# ── the three sources ───────────────────────────────────────────────────────────────────────────────────


def _read_sources(folder: RunFolder, found: Found) -> bool:
    """Read the state and the journal; say whether one of them is whole and may be the newest that the folder had.

    The generation counts the openings, and the moves of a run only now and then: of a run that was killed soon after
    its opening it knows the opening alone.
    """
    beside = generation.beside(folder)
    has_state = _read_state(folder, found)
    state_seq = found.last_seq
    has_journal = _read_journal(folder, found)
    if not has_state:
        return has_journal
    is_of_last_opening = beside is None or int(found.meta.get("generation", 0)) >= beside.number
    return is_of_last_opening or (has_journal and found.last_seq > state_seq)


def _read_state(folder: RunFolder, found: Found) -> bool:
    """What the old state still tells, up to the first page that cannot be read; whether it was read to its end."""
    if not folder.state.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{folder.state.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StateUnusable(f"{folder.state} was written by a newer batchgen; install that one to repair it")
            found.meta |= dict(connection.execute("SELECT name, value FROM meta").fetchall())
            for name in _OF_ROWS:
                found.meta.pop(name, None)
            for row_id, *place in connection.execute(f"SELECT row_id, {_PLACE} FROM rows"):
                found.places[row_id] = tuple(place)
            for seq, *record in connection.execute(f"SELECT jobs.seq, {JOB_COLUMNS} FROM jobs JOIN rows USING (key)"):
                found.take(seq, job_from_record(tuple(record)))
    except sqlite3.Error as error:
        found.notes.append(f"the old state could not be read to its end ({error})")
        return False
    return True


def _read_journal(folder: RunFolder, found: Found) -> bool:
    """What the journal tells; whether it has its head and every line after it."""
    if not folder.journal.exists():
        found.notes.append("there is no journal: requests whose files are not here cannot be known any more")
        return False
    attempts: dict[tuple[str, int], dict[str, Any]] = {}
    bad, has_head = 0, False
    for line in _lines(folder):
        if line is None:
            bad += 1
        elif line.get("event") == "Opened":
            has_head = True
            found.meta.setdefault("base", line["base"])
            found.meta.setdefault("rehearsal", "yes" if line["rehearsal"] else "no")
            found.meta.setdefault("fingerprint_version", line.get("fingerprint_version", "1"))
        elif line.get("event") == "Budget":
            found.meta["budget_micro"] = str(line["budget_micro"])
        else:
            attempts.setdefault((line["row"], line["n"]), {}).update(line)
    for told in attempts.values():
        found.take(told["seq"], _job_of(told))
    if bad:
        found.notes.append(f"{bad} journal lines could not be read; the whole journal is kept in set-aside/")
        _rewrite_journal(folder, found)
    return has_head and not bad


def _lines(folder: RunFolder) -> Iterator[dict[str, Any] | None]:
    """The lines of a journal; None for one that cannot be read. A torn last line is no loss."""
    with folder.reading(folder.journal) as stream:
        for raw in stream:
            if not raw.endswith(b"\n"):
                return
            try:
                line = json.loads(raw)
                yield line if isinstance(line, dict) and "seq" in line else None
            except ValueError:
                yield None


def _rewrite_journal(folder: RunFolder, found: Found) -> None:
    """Keep the damaged journal aside, and leave one that holds its readable lines."""
    good = b"".join(raw for raw in folder.read_bytes(folder.journal).splitlines(keepends=True) if _readable(raw))
    folder.make(folder.set_aside)
    folder.replace(folder.journal, folder.set_aside / f"journal.{time.time_ns()}.jsonl")
    folder.write_whole(folder.journal, good or (_head_of(found) + "\n").encode())


def _head_of(found: Found) -> str:
    return line_of_head(found.meta.get("base", ""), False, found.meta.get("fingerprint_version", "1"))


def _readable(raw: bytes) -> bool:
    try:
        return raw.endswith(b"\n") and "seq" in json.loads(raw)
    except (ValueError, TypeError):
        return False


def _job_of(told: dict[str, Any]) -> Job:
    """The attempt that merged journal lines describe."""
    return Job(
        key=0,
        row_id=told["row"],
        n=told["n"],
        state=State(told["state"]),
        model=told.get("model", ""),
        input=told.get("input", {}),
        files=tuple(told.get("files", ())),
        fingerprint=told.get("fingerprint", ""),
        meta=told.get("meta", {}),
        outputs_asked=told.get("outputs_asked", 1),
        units=told.get("units", 1),
        billed=Billed(told["billed"]) if told.get("billed") else None,
        outputs=tuple(Output(**output) for output in told.get("outputs") or ()),
        saved=tuple(SavedFile(**file) for file in told.get("saved") or ()),
        **{name: told.get(name) for name in _SCALARS},
    )


_SCALARS = (
    "estimate_micro",
    "cost_micro",
    "request_id",
    "reason",
    "again_at",
    "intent_at",
    "submitted_at",
    "ended_at",
    "collected_at",
)


def _likely_version(row_ids: Iterable[str]) -> str:
    """By which rules rows were named, where nothing but row folders tells: the first ones wrote hashes into names."""
    return "1" if any(_HASHED.search(row_id) for row_id in row_ids) else str(FINGERPRINT_VERSION)


# ── the new state ───────────────────────────────────────────────────────────────────────────────────────


def _write(connection: sqlite3.Connection, found: Found) -> None:
    create(connection)
    prepare_moves(connection)
    meta = found.meta | {"journal_seq": str(found.last_seq), "repaired_at": str(time.time())}
    meta.setdefault("fingerprint_version", _likely_version(row_id for row_id, _ in found.jobs))
    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    latest = dict(sorted(found.jobs))  # the highest attempt of each row comes last
    for row_id in latest:
        place = found.places.get(row_id, (None, 0, "", "", 0, not _UNNAMED.fullmatch(row_id)))
        job = found.jobs[row_id, latest[row_id]][1]
        connection.execute(
            f"INSERT INTO rows (row_id, folded, meta, {_PLACE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (row_id, folded(row_id), json.dumps(job.meta, ensure_ascii=False), *place),
        )
    keys = dict(connection.execute("SELECT row_id, key FROM rows").fetchall())
    for (row_id, n), (seq, job) in sorted(found.jobs.items()):
        _insert(connection, job._replace(key=keys[row_id]), seq, n == latest[row_id])
    connection.execute(
        "UPDATE jobs SET (position, priority) = (SELECT position, priority FROM rows WHERE key = jobs.key)"
    )
    connection.commit()


def _insert(connection: sqlite3.Connection, job: Job, seq: int, latest: bool) -> None:
    connection.execute(
        "INSERT INTO jobs (key, n, latest, state, model, input, files, fingerprint, outputs_asked, units) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job.key,
            job.n,
            latest,
            job.state,
            job.model,
            json.dumps(job.input, ensure_ascii=False),
            json.dumps([dict(file) for file in job.files]),
            job.fingerprint,
            job.outputs_asked,
            job.units,
        ),
    )
    make_moves(connection, [move_of(job, job, seq)])
