"""Waiting that can be cut short, and turns that go to whoever is most pressed."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import itemgetter


class WakeableSleep:
    """Sleeps that `ring` ends all at once. One timer each, no task."""

    def __init__(self) -> None:
        self._sleepers: set[asyncio.Future[None]] = set()

    async def sleep(self, seconds: float) -> None:
        """Return after *seconds*, or when the alarm rings."""
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _wake, sleeper)
        self._sleepers.add(sleeper)
        try:
            await sleeper
        finally:
            timer.cancel()
            self._sleepers.discard(sleeper)

    def ring(self) -> None:
        for sleeper in self._sleepers:
            _wake(sleeper)


class BoundedWakeups:
    """Sleeps that end at most *few* in one turn of the event loop, the longest due first.

    What comes due while a turn lasts would all begin in the next one, which lasts the longer for it: a busy loop ends
    in turns so long that everything waits for everything else.
    """

    def __init__(self, few: int) -> None:
        self._few = few
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    async def sleep(self, seconds: float) -> None:
        """Return after *seconds*, or once `ring` was called, when it is our turn."""
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (loop.time() + seconds, self._count, sleeper))
        self._set_timer(loop)
        await sleeper

    def ring(self) -> None:
        """All who sleep are due now."""
        self._sleepers = [(0.0, count, sleeper) for _, count, sleeper in sorted(self._sleepers, key=itemgetter(1))]
        if self._sleepers:
            self._set_timer(self._sleepers[0][2].get_loop())

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        due_at = self._sleepers[0][0]
        if self._timer is not None:
            if self._timer.when() <= due_at:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due_at, self._wake_few, loop)

    def _wake_few(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._timer is not None
        now, woken = max(loop.time(), self._timer.when()), 0  # a coarse clock rings early
        self._timer = None
        while self._sleepers and woken < self._few and self._sleepers[0][0] <= now:
            sleeper = heapq.heappop(self._sleepers)[2]
            woken += not sleeper.done()
            _wake(sleeper)
        if self._sleepers:
            self._set_timer(loop)


class DeadlineSemaphore:
    """*places* at once; the next free place goes to the waiter with the earliest deadline."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    @asynccontextmanager
    async def at(self, deadline: float) -> AsyncIterator[None]:
        await self._enter(deadline)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, deadline: float) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiting, (deadline, self._count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
