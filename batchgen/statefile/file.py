"""The open state file of a run: the only way in for every event of every job."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from batchgen.budget import Money, money
from batchgen.exits import Refusal
from batchgen.job import ENDED, Event, Job, State, advance
from batchgen.request import FINGERPRINT_VERSION
from batchgen.runfolder import RunFolder, refuse_links, refuse_network_file_system, sync_folder
from batchgen.statefile import enrolment
from batchgen.statefile.journal import Journal, line_of_budget, line_of_head, line_of_whole
from batchgen.statefile.lock import Lock
from batchgen.statefile.reader import Reader, read_only
from batchgen.statefile.scratch import Scratch
from batchgen.statefile.tables import JOB_COLUMNS, StateUnusable, bring_forward, create, job_from_record, prepare_moves
from batchgen.statefile.writer import OnTrouble, Record, Writer


class OtherBase(Refusal):
    """The folder belongs to another API base, or one is a rehearsal and the other is not."""


OnMove: TypeAlias = Callable[[Job, Event], None]
"""Told of every move once it is durable: the job as it now is, and the event."""


@dataclass
class Tally:
    """Rows by state and the folder's money, kept up to date with every record."""

    counts: dict[State, int]
    money: Money
    ended_here: int = 0

    def move(self, before: Job, after: Job) -> None:
        self.money = self.money - money(before) + money(after)
        if before.state is not after.state:
            self.counts[before.state] -= 1
            self.counts[after.state] += 1
            self.ended_here += after.state in ENDED


@dataclass
class StateFile:
    """One writer: construct it with `open_state`, which takes the folder's lock."""

    folder: RunFolder
    reader: Reader
    tally: Tally
    _writer: Writer
    _journal: Journal
    _connection: sqlite3.Connection
    _lock: Lock
    _queued: set[int] = field(default_factory=set)
    _had_reserve: bool = False

    def __post_init__(self) -> None:
        self._had_reserve = self.folder.reserve.exists()

    async def record(self, job: Job, event: Event) -> Job:
        """*job* after *event*, once that is on disk in the state file and in the journal.

        Raises IllegalMove, with nothing changed, for an event the state does not allow, and StateUnusable, with
        nothing changed, if the disk does not take it. Only the answer to a POST waits until the disk does.
        """
        after = await self.recording(job, event).durable()
        if after.state in ENDED and job.state not in ENDED and job.key in self._queued:
            await self._start_queued(after)
        return after

    def recording(self, job: Job, event: Event) -> Record:
        """The same for a move that ends no job, to be waited for more than once. Raises IllegalMove."""
        return self._writer.record(job, advance(job, event), event)

    async def enrol(
        self, scratch: Scratch, *, partial: bool = False, rerun_changed: bool = False, keep_changed: bool = False
    ) -> None:
        """Take a judged manifest into the state."""

        def work(connection: sqlite3.Connection) -> None:
            enrolment.enrol(
                connection, scratch, partial=partial, rerun_changed=rerun_changed, keep_changed=keep_changed
            )

        await self._attached(scratch.path, work)
        self._recount()

    async def start_attempts(self, jobs: Iterable[Job], seeds: Mapping[int, Any] | None = None) -> int:
        """A new `pending` attempt for each of *jobs*, which have ended or were given up; *seeds* are by job key."""
        keys = [job.key for job in jobs]
        started = await self._writer.change(lambda connection: enrolment.start_attempts(connection, keys, seeds))
        self._recount()
        return int(started)

    async def set_meta(self, **values: str) -> None:
        await self._writer.change(
            lambda connection: connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())
        )

    async def set_budget(self, budget_micro: int) -> None:
        """The folder's budget from here on. Raises StateUnusable if it cannot be kept: then nothing may be sent."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('budget_micro', ?)", (str(budget_micro),))

        await self._writer.change(work, lambda seq: line_of_budget(seq, budget_micro))

    @property
    def reserve_is_used(self) -> bool:
        """Whether the disk was so full that an answered id needed the room that was kept for it."""
        return self._had_reserve and not self.folder.reserve.exists()

    @property
    def attempts_to_come(self) -> bool:
        """Whether rows get a new attempt by themselves once the one that is live has ended."""
        return bool(self._queued)

    def beat(self) -> None:
        self._lock.beat()

    def stop_waiting(self) -> None:
        """Told to leave: an answer that the disk does not take is given up; its row is found in doubt."""
        self._writer.stop_waiting()

    def close(self) -> None:
        """Write what waits and free the folder."""
        self._writer.close()
        self.reader.close()
        self._connection.close()
        self._journal.close()
        self._lock.release()

    async def _attached(self, scratch: Path, work: Callable[[sqlite3.Connection], Any]) -> None:
        def attached(connection: sqlite3.Connection) -> None:
            connection.execute("COMMIT")  # ATTACH is not allowed inside a transaction
            connection.execute("ATTACH ? AS scratch", (str(scratch),))
            try:
                connection.execute("BEGIN IMMEDIATE")
                work(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            finally:
                connection.execute("DETACH scratch")
                connection.execute("BEGIN")

        await self._writer.change(attached)

    async def _start_queued(self, ended: Job) -> None:
        """The row's next attempt. Counted here: a recount would see moves that others have yet to tell."""
        self._queued.discard(ended.key)
        await self._writer.change(lambda connection: enrolment.start_queued(connection, ended.key))
        self.tally.counts[ended.state] -= 1
        self.tally.counts[State.PENDING] += 1

    def _recount(self) -> None:
        self.tally.counts = self.reader.counts()
        self.tally.money = self.reader.money()
        self._queued = {
            key
            for (key,) in self.reader.connection.execute(
                "SELECT key FROM rows WHERE next_request IS NOT NULL AND json_extract(next_request, '$.start')"
            )
        }


def open_state(
    folder: RunFolder,
    base: str,
    rehearsal: bool,
    on_trouble: OnTrouble,
    on_move: OnMove = lambda job, event: None,
) -> StateFile:
    """Open, or make, the state of *folder* and take its lock.

    Raises FolderInUse, NetworkFileSystem, OtherBase (the folder belongs to another API base or kind of run) and
    StateUnusable (missing beside a journal, damaged, newer, or older than the journal). Nothing is overwritten.
    """
    refuse_network_file_system(folder.path)
    folder.path.mkdir(parents=True, exist_ok=True)
    refuse_links(folder)
    folder.make(folder.rows)
    lock = Lock(folder)
    try:
        _refuse_lost_state(folder)
        connection = _connect(folder, base, rehearsal)
        try:
            journal, seq = _open_journal(folder, connection)
        except BaseException:
            connection.close()
            raise
    except BaseException:
        lock.release()
        raise
    reader = Reader(read_only(folder.state))
    tally = Tally(reader.counts(), reader.money())
    _lay_up(folder)

    def moved(before: Job, after: Job, event: Event) -> None:
        tally.move(before, after)
        with suppress(OSError):  # whoever listens may be gone; the move is done all the same
            on_move(after, event)

    writer = Writer(connection, journal, seq, folder.reserve, on_trouble, moved)
    opened = StateFile(folder, reader, tally, writer, journal, connection, lock)
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
    if folder.state.exists():
        return
    lost = None
    if folder.journal.exists() and folder.journal.stat().st_size:
        lost = folder.journal
    else:
        sidecars = (folder.row(row_id) / "row.json" for row_id in folder.names(folder.rows))
        lost = next(filter(folder.is_file, sidecars), None)
    if lost is not None:
        raise StateUnusable(
            f"{lost} is there but {folder.state} is not: without it paid rows would be sent again. "
            f"Nothing was sent; `batchgen repair {folder.path}` rebuilds it"
        )


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
