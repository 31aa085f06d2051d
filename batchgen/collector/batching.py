"""Arrivals wait for each other, and go to a process that makes their row folders: a group costs less than its rows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from batchgen.collector.workers.writer import ShelverDied, WriterProcess
from batchgen.collector.write_rows import RowFiles, Shelved
from batchgen.storage.paths import RunFolder

_GROUP_ROWS = 64
_GROUPS_AT_ONCE = 2
_GATHER_S = 0.05
_MOST_GATHERINGS = 4
_DEATHS_BELIEVED = 3


class RowBatcher:
    """Puts arrivals into their row folders. Call everything from the event loop.

    A thread hands a group to a process and waits for it; *idle* are processes that have none.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._waiting: list[tuple[RowFiles, asyncio.Future[Shelved]]] = []
        self._under_way = 0
        self._gathering: asyncio.TimerHandle | None = None
        self._threads = ThreadPoolExecutor(_GROUPS_AT_ONCE, thread_name_prefix="batchgen-shelf")
        self._deaths = 0
        self.idle: list[WriterProcess] = []

    async def put(self, arrival: RowFiles) -> Shelved:
        """Return once the files of *arrival*, and the row folder if there is one, are on disk.

        Raises OSError, and ShelverDied if it is to be tried again from what is there.
        """
        done: asyncio.Future[Shelved] = asyncio.get_running_loop().create_future()
        self._waiting.append((arrival, done))
        self._start_groups()
        return await done

    def close(self) -> None:
        """Return when nothing is being written any more. What waits for a group has nobody left who waits for it."""
        self._waiting.clear()
        self._threads.shutdown(wait=True)
        while self.idle:
            self.idle.pop().end()

    def _start_groups(self) -> None:
        """Full groups begin at once, side by side; what waits for company begins once no more comes, or has for long.

        A group has its hand-overs and its fsyncs, which take more of the event loop's time than the rows in it.
        """
        while self._under_way < _GROUPS_AT_ONCE and len(self._waiting) >= _GROUP_ROWS:
            self._start_group()
        if self._waiting and self._gathering is None:
            self._gather(1)

    def _gather(self, times: int) -> None:
        later = asyncio.get_running_loop().call_later
        self._gathering = later(_GATHER_S, self._gathered, len(self._waiting), times)

    def _gathered(self, rows_before: int, times: int) -> None:
        if len(self._waiting) > rows_before and times < _MOST_GATHERINGS:
            self._gather(times + 1)
            return
        self._gathering = None
        if self._waiting and not self._under_way:
            self._start_group()
        self._start_groups()

    def _start_group(self) -> None:
        group, self._waiting = self._waiting[:_GROUP_ROWS], self._waiting[_GROUP_ROWS:]
        arrivals, waiters = [arrival for arrival, _ in group], [done for _, done in group]
        try:
            working = asyncio.get_running_loop().run_in_executor(self._threads, self._shelve, arrivals)
        except RuntimeError as error:  # the system gives no more threads
            for done in waiters:
                if not done.done():
                    done.set_exception(OSError(f"no thread to write files in: {error}"))
            return
        self._under_way += 1
        working.add_done_callback(partial(self._settle, waiters))

    def _settle(
        self, waiters: list[asyncio.Future[Shelved]], working: asyncio.Future[list[Shelved | Exception]]
    ) -> None:
        self._under_way -= 1
        error = working.exception()
        outcomes = working.result() if error is None else [error] * len(waiters)
        for done, outcome in zip(waiters, outcomes, strict=True):
            if done.done():  # told to leave: its row folder is found by the next run
                continue
            if isinstance(outcome, BaseException):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)
        self._start_groups()

    # ── in a thread ─────────────────────────────────────────────────────────────────────────────────────

    def _shelve(self, arrivals: Sequence[RowFiles]) -> list[Shelved | Exception]:
        shelver = self.idle.pop() if self.idle else WriterProcess()
        try:
            outcomes = shelver.shelve(self._folder, arrivals)
        except ShelverDied as died:
            self._deaths += 1
            if self._deaths < _DEATHS_BELIEVED:
                raise
            raise OSError(f"{died}, {self._deaths} times in a row") from died
        self._deaths = 0
        self.idle.append(shelver)
        return outcomes
