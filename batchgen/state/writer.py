"""The one thread that writes: records go to SQLite and to the journal in groups, as they come.

A group is a SQLite commit, then the journal's fsync, and only then do the waiters go on. What they wait for is
therefore on disk twice before the run acts on it.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from batchgen.core.job import Accepted, Deferred, Event, Intent, Job, Refused
from batchgen.state.journal import Journal, line_of
from batchgen.state.tables import MOST_MOVES, StateUnusable, make_moves, move_of

_AGAIN_S = 1.0
_LEFT = "the run was told to leave before the disk took its last records"


@dataclass(slots=True)
class Record:
    """The move of one job, made whether or not anybody waits for it."""

    before: Job
    after: Job
    event: Event
    told: bool = False
    _settled: bool = False
    _error: Exception | None = None
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    async def durable(self) -> Job:
        """The job after the move, once that is on disk; may be waited for again. Raises StateUnusable.

        Each call has a future of its own: a shield around a shared one would take another turn of the event loop.
        """
        if not self._settled:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        if self._error is not None:
            raise self._error
        return self.after

    def settle(self, error: Exception | None = None) -> None:
        """It is on disk, or *error* kept it from there."""
        self._settled, self._error = True, error
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    @property
    def may_fail(self) -> bool:
        """The answer to a POST must be written: it comes once. An intent that is not written is simply not sent, a
        lost answer is found in doubt at the next start, and what became of a job can be asked again.
        """
        return not isinstance(self.event, Accepted | Deferred | Refused)


@dataclass(slots=True)
class Change:
    """Work on the tables that is a transaction of its own, such as enrolling a manifest.

    *line_of* makes the journal line of it, from the number of the last move; None where the journal need not know.
    """

    work: Callable[[sqlite3.Connection], Any]
    done: asyncio.Future[Any]
    line_of: Callable[[int], str] | None = None


OnTrouble: TypeAlias = Callable[[str, list[Job]], None]
"""Called in the event loop when a group cannot be written: the reason, the jobs that wait for it, once each."""

OnDurable: TypeAlias = Callable[[Job, Job, Event], None]
"""Called in the event loop once a move is durable, whoever still waits for it: the job before, after, and why."""


class Writer:
    """Owns the only writing connection. Everything but `close` is called from the event loop."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        journal: Journal,
        seq: int,
        reserve: Path,
        lost: Callable[[], str | None],
        on_trouble: OnTrouble,
        on_durable: OnDurable,
    ) -> None:
        self._connection = connection
        self._journal = journal
        self._seq = seq
        self._reserve = reserve
        self._lost = lost
        self._on_trouble = on_trouble
        self._on_durable = on_durable
        self._queue: queue.SimpleQueue[list[Record] | Change | None] = queue.SimpleQueue()
        self._gathered: list[Record] = []
        self._to_take_back: list[Record] = []
        self._owed_lines: list[str] = []
        self._leaving = threading.Event()
        self._impatient = threading.Event()
        self._loop: asyncio.AbstractEventLoop  # known once a move is recorded: the writer may be made before it runs
        self._thread = threading.Thread(target=self._write_until_closed, name="batchgen-state")
        self._thread.start()

    def record(self, before: Job, after: Job, event: Event) -> Record:
        """The move, on its way to the disk."""
        record = Record(before, after, event)
        if self._leaving.is_set():
            record.settle(StateUnusable(_LEFT))
            return record
        self._loop = asyncio.get_running_loop()
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(record)
        if isinstance(event, Intent):  # a slot stands empty until it is on disk
            self._hand_over()
        return record

    async def change(
        self, work: Callable[[sqlite3.Connection], Any], line_of: Callable[[int], str] | None = None
    ) -> Any:
        """Run *work* in the writer's thread as one transaction, and return what it returned.

        Raises StateUnusable if the disk does not take it, or its journal line.
        """
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._hand_over()
        self._queue.put(Change(work, done, line_of))
        return await done

    def stop_waiting(self) -> None:
        """From here on nothing waits for a disk that takes nothing: what it refuses fails at once."""
        self._impatient.set()

    def close(self) -> None:
        """Write what waits, then end the thread. Gives up on what the disk refuses."""
        self._impatient.set()
        self._leaving.set()
        self._hand_over()
        self._queue.put(None)
        self._thread.join()

    def _hand_over(self) -> None:
        """What one turn of the event loop recorded goes to the thread at once: waking it costs more than a record."""
        if self._gathered:
            gathered, self._gathered = self._gathered, []
            self._queue.put(gathered)

    # ── in the thread ───────────────────────────────────────────────────────────────────────────────────

    def _write_until_closed(self) -> None:
        kept: list[Record] = []
        while True:
            group, change = self._next_group(kept)
            kept = []
            for first in range(0, len(group), MOST_MOVES):
                kept += self._write(group[first : first + MOST_MOVES])
            if kept and self._impatient.is_set():
                self._fail(kept, _LEFT)
                kept = []
            if change is not None:
                self._apply(change)
            if self._leaving.is_set() and self._queue.empty():
                self._settle_debts()
                return

    def _next_group(self, kept: list[Record]) -> tuple[list[Record], Change | None]:
        """*kept* and all that came meanwhile, up to the next change; kept records come up again by time."""
        group = list(kept)
        try:
            item = self._queue.get(timeout=_AGAIN_S if kept else None)
            while item is not None:
                if isinstance(item, Change):
                    return group, item
                group += item
                if len(group) >= MOST_MOVES:  # before the next is taken: what is taken must be written
                    break
                item = self._queue.get_nowait()
        except queue.Empty:
            pass
        return group, None

    def _write(self, group: list[Record]) -> list[Record]:
        """Make *group* durable and wake its waiters. Returns what must be tried again.

        No intent is written in a folder that was moved away or may be another run's: no POST follows it.
        """
        self._take_back()
        if any(isinstance(record.event, Intent) for record in group) and (why := self._lost()) is not None:
            self._fail([record for record in group if isinstance(record.event, Intent)], why)
            group = [record for record in group if not isinstance(record.event, Intent)]
        try:
            lines = self._commit(group)
        except sqlite3.OperationalError as error:
            return self._refused(group, f"the state file cannot be written: {error}")
        except Exception as error:  # noqa: BLE001 - one record that cannot be written must not take others with it
            return self._one_by_one(group, error)
        try:
            self._journal.append([*self._owed_lines, *lines])
        except OSError as error:
            self._half_written(group, lines, f"the journal cannot be written: {error}")
        else:
            self._owed_lines.clear()
            self._wake(group)
        return []

    def _one_by_one(self, group: list[Record], error: Exception) -> list[Record]:
        if len(group) == 1:
            self._keep_in_journal(group[0])
            self._fail(group, f"a record of row {group[0].after.row_id} cannot be written: {error}")
            return []
        return [kept for record in group for kept in self._write([record])]

    def _keep_in_journal(self, record: Record) -> None:
        """An answered id that the state does not take, since its row was moved by something else, is kept for a repair:
        under the number of the last move, so that the journal is not ahead of the state.
        """
        if isinstance(record.event, Accepted):
            with suppress(OSError):
                line = line_of(self._seq, record.before, record.after, record.event)
                self._journal.append([*self._owed_lines, line])
                self._owed_lines.clear()

    def _commit(self, group: list[Record]) -> list[str]:
        numbered = list(enumerate(group, self._seq + 1))
        lines = [line_of(seq, record.before, record.after, record.event) for seq, record in numbered]
        make_moves(self._connection, [move_of(record.before, record.after, seq) for seq, record in numbered])
        self._seq += len(group)
        return lines

    def _refused(self, group: list[Record], reason: str) -> list[Record]:
        """Nothing of *group* was written: what may fail is told so, all else is kept for the next try."""
        self._fail([record for record in group if record.may_fail], reason)
        kept = [record for record in group if not record.may_fail]
        self._tell(reason, kept)
        return kept

    def _half_written(self, group: list[Record], lines: list[str], reason: str) -> None:
        """*group* is in SQLite but not in the journal: take back what may fail, write the rest until it is in.

        An intent that is not in both places must not be followed by its POST, and a row without a POST must
        not look as if it were in doubt.
        """
        left_out = [record for record in group if record.may_fail]
        self._to_take_back += left_out
        self._take_back()
        self._fail(left_out, reason)
        waiting = [record for record in group if not record.may_fail]
        self._owed_lines += [line for record, line in zip(group, lines, strict=True) if not record.may_fail]
        self._tell(reason, waiting)
        while waiting and not self._impatient.wait(_AGAIN_S):
            try:
                self._pay_lines()
            except OSError:
                continue
            self._wake(waiting)
            return
        self._fail(waiting, reason)

    def _take_back(self) -> None:
        """Return rows to where they were before a move that only SQLite took; tried again until there is room.

        The reserve is given up for it. A row that cannot be taken back at all is found in doubt at the next start,
        or further than the run believes: both are safe.
        """
        if self._to_take_back and not self._took_back():
            self._reserve.unlink(missing_ok=True)
            self._took_back()

    def _took_back(self) -> bool:
        while self._to_take_back:
            record = self._to_take_back[0]
            try:
                make_moves(self._connection, [move_of(record.after, record.before, self._seq)])
            except sqlite3.IntegrityError:  # it is not where it was left: nothing is to be taken back
                pass
            except sqlite3.Error:
                return False
            del self._to_take_back[0]
        return True

    def _pay_lines(self) -> None:
        """Write the journal lines of answers that SQLite holds already. Raises OSError."""
        if self._owed_lines:
            self._journal.append(self._owed_lines)
            self._owed_lines.clear()

    def _settle_debts(self) -> None:
        """The last try, once everything else that took room has been given up."""
        self._take_back()
        with suppress(OSError):  # the next start completes the journal from the state
            self._pay_lines()

    def _apply(self, change: Change) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            result = change.work(self._connection)
            self._connection.execute("COMMIT")
            if change.line_of is not None:
                self._journal.append([*self._owed_lines, change.line_of(self._seq)])
                self._owed_lines.clear()
        except OSError as error:
            _settle(change.done, error=StateUnusable(f"the journal cannot be written: {error}"))
        except sqlite3.OperationalError as error:
            _roll_back(self._connection)
            _settle(change.done, error=StateUnusable(f"the state file cannot be written: {error}"))
        except BaseException as error:  # noqa: BLE001 - whatever went wrong belongs to the waiter
            _roll_back(self._connection)
            _settle(change.done, error=error)
        else:
            _settle(change.done, result=result)

    def _wake(self, group: list[Record]) -> None:
        """One call into the event loop for all of *group*."""
        if group:
            self._loop.call_soon_threadsafe(self._are_durable, group)

    def _are_durable(self, group: list[Record]) -> None:
        for record in group:
            try:
                self._on_durable(record.before, record.after, record.event)
            except Exception as error:  # noqa: BLE001 - a fault of whoever listens is for this record's waiter alone
                record.settle(error)
            else:
                record.settle()

    def _fail(self, group: list[Record], reason: str) -> None:
        """What is not written is told to whoever waits; an id that was answered is said aloud as well."""
        answered = [record for record in group if isinstance(record.event, Accepted)]
        self._say(answered, f"{reason}; keep what follows: it was paid for")
        for record in group:
            self._loop.call_soon_threadsafe(record.settle, StateUnusable(reason))

    def _tell(self, reason: str, waiting: list[Record]) -> None:
        """An id that was paid for waits: give up the reserve, so that the next try finds room, and say it aloud."""
        if waiting:
            self._reserve.unlink(missing_ok=True)
        self._say(waiting, f"{reason}; trying again until it is written (Ctrl-C twice gives up)")

    def _say(self, waiting: list[Record], reason: str) -> None:
        new = [record for record in waiting if not record.told]
        for record in new:
            record.told = True
        if new:
            jobs = [record.after for record in new]
            self._loop.call_soon_threadsafe(self._on_trouble, reason, jobs)


def _settle(done: asyncio.Future[Any], result: Any = None, error: BaseException | None = None) -> None:
    def settle() -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)

    done.get_loop().call_soon_threadsafe(settle)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
