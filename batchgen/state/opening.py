"""Opening a run folder for writing: nothing may be sent from a state that does not know all that was paid for."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from itertools import chain
from typing import NoReturn

from batchgen.core.job import Event, Job
from batchgen.core.row import FINGERPRINT_VERSION
from batchgen.state import generation, place
from batchgen.state.file import OnMove, OtherBase, StateFile, Tally
from batchgen.state.journal import Journal, line_of_budget, line_of_head, line_of_whole
from batchgen.state.lock import Lock
from batchgen.state.reader import open_reader
from batchgen.state.readonly import refuse_unwritable
from batchgen.state.tables import JOB_COLUMNS, StateUnusable, bring_forward, create, job_from_record, prepare_moves
from batchgen.state.traces import in_attempts, in_parts, in_rows, in_set_aside, unknown
from batchgen.state.writer import OnTrouble, Writer
from batchgen.storage.paths import RunFolder, refuse_network_file_system, refuse_planted, sync_folder


def open_state(
    folder: RunFolder,
    base: str,
    rehearsal: bool,
    on_trouble: OnTrouble,
    on_move: OnMove = lambda job, event: None,
) -> StateFile:
    """Open, or make, the state of *folder* and take its lock.

    Raises FolderInUse, NetworkFileSystem, OtherBase (the folder belongs to another API base or kind of run) and
    StateUnusable (missing beside what was paid for, damaged, of a newer version, or older than the journal or than
    anything else in the folder). Nothing is overwritten.
    """
    refuse_network_file_system(folder.path)
    folder.path.mkdir(parents=True, exist_ok=True)
    refuse_planted(folder)
    refuse_unwritable(folder)
    folder.make(folder.rows)
    lock = Lock(folder)
    try:
        _refuse_lost_state(folder)
        connection = _connect(folder, base, rehearsal)
        try:
            journal, seq = _open_journal(folder, connection)
            try:
                copy_of = None if rehearsal else _copy_of(folder, connection)
                _refuse_older_state(folder, connection)
                _begin(folder, connection, is_copy=copy_of is not None)
            except BaseException:
                journal.close()
                raise
        except BaseException:
            connection.close()
            raise
    except BaseException:
        lock.release()
        raise
    reader = open_reader(folder)
    tally = Tally(reader.counts(), reader.money())
    _lay_up(folder)

    def moved(before: Job, after: Job, event: Event) -> None:
        tally.move(before, after)
        with suppress(OSError):  # whoever listens may be gone; the move is done all the same
            on_move(after, event)

    writer = Writer(connection, journal, seq, folder.reserve, lock.lost, on_trouble, moved)
    opened = StateFile(folder, reader, tally, copy_of, writer, journal, connection, lock)
    opened._recount()
    return opened


_RESERVE_BYTES = 256 * 1024


def _lay_up(folder: RunFolder) -> None:
    """Fill the reserve if there is room; a disk that is full already has none to keep."""
    if folder.is_file(folder.reserve):
        return
    try:
        with folder.writing(folder.reserve) as stream:
            stream.write(bytes(_RESERVE_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        folder.unlink(folder.reserve)


def _refuse_lost_state(folder: RunFolder) -> None:
    """Raise StateUnusable if the folder has no state, and anything else in it says that it had one."""
    if folder.state.exists():
        return
    lost = next((path for path in (folder.journal, folder.generation) if path.exists() and path.stat().st_size), None)
    if lost is None:
        traces = chain(in_rows(folder), in_parts(folder), in_attempts(folder), in_set_aside(folder))
        lost = next((trace.place for trace in traces if not trace.is_empty), None)
    if lost is not None:
        raise StateUnusable(
            f"{lost} is there but {folder.state} is not: without it paid rows would be sent again. "
            f"Nothing was sent; `batchgen repair {folder.path}` rebuilds it"
        )


def _refuse_older_state(folder: RunFolder, connection: sqlite3.Connection) -> None:
    """Raise StateUnusable if anything in the folder is newer than its state: the state was put back from a copy.

    Costs nothing in a folder that was closed and has not been touched since; else the names in it are looked at, and
    every row.json only where nothing says that the folder is the one it was.
    """
    state, beside, was = generation.of_state(connection), generation.beside(folder), place.of_state(connection)
    if beside is not None:
        if beside.folder != state.folder or beside.number > state.number or beside.seq > state.seq:
            _refuse(folder, f"by {folder.generation}, {folder.state} is an older copy, or that of another folder")
        if beside.is_of(folder):
            return
    is_the_same = beside is not None and was is not None and was.inode == place.here(folder).inode
    found = unknown(folder, connection, every_sidecar=not is_the_same)
    if found is not None:
        _refuse(
            folder, f"{found.place} was paid for and {folder.state} does not know of it: the state is an older copy"
        )


def _refuse(folder: RunFolder, why: str) -> NoReturn:
    raise StateUnusable(
        f"{why}. Paid rows would be sent again. Nothing was sent; `batchgen repair {folder.path}` brings together what "
        "the folder holds"
    )


def _copy_of(folder: RunFolder, connection: sqlite3.Connection) -> str | None:
    """What *folder* is a copy of, if that may still be in use."""
    was = place.of_state(connection)
    name = generation.of_state(connection).folder
    return None if was is None else place.original(name, was, place.here(folder))


def _begin(folder: RunFolder, connection: sqlite3.Connection, is_copy: bool) -> None:
    """A new generation of the folder, and where it lies; a copy stays what it is."""
    if is_copy:
        return
    connection.execute("BEGIN IMMEDIATE")
    place.keep(connection, place.here(folder))
    begun = generation.begin(connection)
    connection.execute("COMMIT")
    generation.keep(folder, begun)


def _connect(folder: RunFolder, base: str, rehearsal: bool) -> sqlite3.Connection:
    try:
        if not folder.state.exists():
            _make(folder, base, rehearsal)
        connection = sqlite3.connect(
            f"{folder.state.absolute().as_uri()}?mode=rw", uri=True, check_same_thread=False, isolation_level=None
        )
        bring_forward(connection, folder.state)
        connection.execute("PRAGMA synchronous = FULL")
        prepare_moves(connection)
    except sqlite3.Error as error:
        raise StateUnusable(
            f"{folder.state} cannot be used ({error}). Nothing was sent; `batchgen repair {folder.path}` sets it "
            "aside and rebuilds it"
        ) from None
    _refuse_other_base(connection, folder, base, rehearsal)
    return connection


def _make(folder: RunFolder, base: str, rehearsal: bool) -> None:
    """Put a whole and empty state in place, bound to its API base: a start that is killed leaves it or nothing."""
    part = folder.state.with_name("state.db.part")
    folder.unlink(part)
    with closing(sqlite3.connect(part)) as connection:
        create(connection)
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [
                ("base", base),
                ("rehearsal", "yes" if rehearsal else "no"),
                ("journal_seq", "0"),
                ("fingerprint_version", str(FINGERPRINT_VERSION)),
                ("created_at", str(time.time())),
            ],
        )
        connection.commit()
    folder.replace(part, folder.state)
    sync_folder(folder.path)


def _refuse_other_base(connection: sqlite3.Connection, folder: RunFolder, base: str, rehearsal: bool) -> None:
    known = dict(connection.execute("SELECT name, value FROM meta WHERE name IN ('base', 'rehearsal')").fetchall())
    if known["rehearsal"] == "yes" and not rehearsal:
        connection.close()
        raise OtherBase(
            f"{folder.path} is the folder of a rehearsal, and its server ended with it: nothing can go on there; "
            "`batchgen rehearse MANIFEST` starts over, and `batchgen run MANIFEST` has a folder of its own"
        )
    if known["rehearsal"] == "no" and (rehearsal or known["base"] != base):
        connection.close()
        raise OtherBase(
            f"{folder.path} belongs to {known['base']}, not to {base}; choose another folder with --out, or the API "
            "base it was made with"
        )


def _head_lines(connection: sqlite3.Connection) -> list[str]:
    """How a journal begins: with what the state knows of the whole folder."""
    meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    head = [line_of_head(meta["base"], meta["rehearsal"] == "yes", meta.get("fingerprint_version", "1"))]
    return [*head, line_of_budget(0, int(meta["budget_micro"]))] if "budget_micro" in meta else head


def _open_journal(folder: RunFolder, connection: sqlite3.Connection) -> tuple[Journal, int]:
    """The journal, level with the state: a torn line is dropped, missing lines are added.

    Raises StateUnusable if the journal knows more than the state, which an old copy of the state would.
    """
    seq = int(connection.execute("SELECT value FROM meta WHERE name = 'journal_seq'").fetchone()[0])
    fresh = not folder.journal.exists()
    journal = Journal(folder.journal)
    try:
        journal.drop_torn_line()
        if journal.is_empty:
            journal.append(_head_lines(connection))
        last = journal.last_seq()
        if last > seq:
            raise StateUnusable(
                f"{folder.journal} is ahead of {folder.state} ({last} against {seq}): the state is an older copy. "
                f"Nothing was sent; `batchgen repair {folder.path}` rebuilds it"
            )
        if last < seq:
            behind = connection.execute(
                f"SELECT jobs.seq, {JOB_COLUMNS} FROM jobs JOIN rows USING (key) WHERE seq > ? ORDER BY seq",
                (last,),
            )
            journal.append(line_of_whole(record[0], job_from_record(record[1:])) for record in behind)
    except (ValueError, KeyError, TypeError) as error:
        journal.close()
        raise StateUnusable(
            f"{folder.journal} is damaged at its end ({error}). Nothing was sent; `batchgen repair {folder.path}` "
            "sets it aside and rebuilds it"
        ) from None
    except BaseException:
        journal.close()
        raise
    if fresh:
        sync_folder(folder.path)
    return journal, seq
