"""The open state file of a run: the only way in for every event of every job."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from batchgen.core.errors import Refusal
from batchgen.core.job import ENDED, Event, Job, State, advance
from batchgen.core.money import Money, money
from batchgen.state import apply, generation
from batchgen.state.journal import Journal, line_of_budget
from batchgen.state.lock import Lock
from batchgen.state.reader import Reader
from batchgen.state.renewal import renew
from batchgen.state.staging import Staging
from batchgen.state.tables import StateUnusable
from batchgen.state.writer import Record, Writer
from batchgen.storage.paths import RunFolder


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
    """One writer: construct it with `open_state`, which takes the folder's lock.

    *copy_of* is what the folder is a copy of, if that may still be in use: nothing may be sent from it then.
    """

    folder: RunFolder
    reader: Reader
    tally: Tally
    copy_of: str | None
    _writer: Writer
    _journal: Journal
    _connection: sqlite3.Connection
    _lock: Lock
    _queued: set[int] = field(default_factory=set)
    _had_reserve: bool = False
    _kept_progress: generation.Generation | None = None

    def __post_init__(self) -> None:
        self._had_reserve = self.folder.reserve.exists()

    def refuse_copy(self) -> None:
        """Raise StateUnusable if this is a copy of a folder that may still be in use: each would pay for its rows."""
        if self.copy_of is not None:
            raise StateUnusable(
                f"{self.folder.path} is a copy of {self.copy_of}, and each of them would pay for the same rows. "
                "Nothing was sent; go on there (`collect` works here, too). If that one is never used again, "
                f"`batchgen repair {self.folder.path}` makes this the folder that goes on"
            )

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
        self,
        scratch: Staging,
        *,
        partial: bool = False,
        rerun_changed: bool = False,
        keep_changed: bool = False,
        only: Collection[str] | None = None,
    ) -> None:
        """Take a judged manifest into the state; see `apply.enrol`. Raises StateUnusable in a copy of a folder."""
        self.refuse_copy()

        def work(connection: sqlite3.Connection) -> None:
            apply.enrol(
                connection,
                scratch,
                partial=partial,
                rerun_changed=rerun_changed,
                keep_changed=keep_changed,
                only=only,
            )

        await self._attached(scratch.path, work)
        self._recount()

    async def renew(self, scratch: Staging) -> None:
        """Word what asks for the same as before as *scratch* has it; nothing else of the manifest is taken in."""
        await self._attached(scratch.path, lambda connection: renew(connection, scratch))

    async def start_attempts(self, jobs: Iterable[Job], seeds: Mapping[int, Any] | None = None) -> int:
        """A new `pending` attempt for each of *jobs*, which have ended or were given up; *seeds* are by job key.

        Raises StateUnusable in a copy of a folder.
        """
        self.refuse_copy()
        keys = [job.key for job in jobs]
        started = await self._writer.change(lambda connection: apply.start_attempts(connection, keys, seeds))
        self._recount()
        return int(started)

    async def set_units(self, units: Mapping[int, int]) -> None:
        """What the prices of attempts that were not sent are multiplied by, by job key."""
        if units:
            sql = "UPDATE jobs SET units = ? WHERE key = ? AND latest AND state = 'pending'"
            values = [(count, key) for key, count in units.items()]
            await self._writer.change(lambda connection: connection.executemany(sql, values))

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

    def lost(self) -> str | None:
        """Why the folder at this path is no longer the one that was opened; None as long as it is."""
        return self._lock.lost()

    @property
    def is_deleted(self) -> bool:
        """Whether the folder was deleted while it was open, and its state with it."""
        return self._lock.is_deleted

    def beat(self) -> None:
        """Say that the run is alive."""
        if self.lost() is None:
            self._lock.beat()

    def keep_progress(self) -> None:
        """Say beside the state how far the folder has come, if it has come any further: a backup of the state and its
        journal that is put back later is then known to be older, even if no file of its newer rows is there.
        """
        come = self.reader.generation()
        if come != self._kept_progress and self.lost() is None:
            generation.keep_soon(self.folder, come)
            self._kept_progress = come

    def stop_waiting(self) -> None:
        """Told to leave: an answer that the disk does not take is given up; its row is found in doubt."""
        self._writer.stop_waiting()

    def close(self) -> None:
        """Write what waits and free the folder."""
        self._writer.close()
        if self.lost() is None:
            with suppress(OSError, sqlite3.Error):  # what it says is then older than the state, which is no harm
                come = generation.of_state(self._connection)
                generation.keep(self.folder, replace(come, changed_ns=generation.changed_ns(self.folder)))
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
        await self._writer.change(lambda connection: apply.start_queued(connection, ended.key))
        self.tally.counts[ended.state] -= 1
        self.tally.counts[State.PENDING] += 1

    def _recount(self) -> None:
        self.tally.counts = self.reader.counts()
        self.tally.money = self.reader.money()
        self._queued = self.reader.queued()
