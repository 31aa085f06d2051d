"""Ctrl-C once: finish what is in flight. Twice, or SIGTERM: save and go. Once more: go now."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from batchgen.cli.output import say
from batchgen.core.text import counted
from batchgen.scheduler import ANSWERS_AWAITED_S, Scheduler


class Ladder:
    """Takes the scheduler one step further down with each signal. SIGTERM skips the first: a kill follows it soon."""

    def __init__(self, scheduler: Scheduler, command: str, starts_over: bool) -> None:
        self._scheduler = scheduler
        self._command = command
        self._starts_over = starts_over
        self._steps = 0
        self._abandoning: asyncio.Task[None] | None = None

    def interrupted(self) -> None:
        """Ctrl-C."""
        self._steps += 1
        if self._steps == 1:
            self._stop()
        elif self._steps == 2:
            self._leave()
        else:
            self._leave_now()

    def terminated(self) -> None:
        """SIGTERM."""
        self._steps = max(self._steps, 1)
        self.interrupted()

    def _stop(self) -> None:
        self._scheduler.stop()
        again = "leave now, what is not collected is lost with the rehearsal's server"
        if not self._starts_over:
            again = "save and leave now, they can be collected later"
        say(
            f"stopping: nothing more is sent, {counted(self._scheduler.in_flight, 'job')} in flight waited for and "
            f"collected. Again: {again}"
        )

    def _leave(self) -> None:
        self._scheduler.leave()
        if posts := self._scheduler.posts_on_the_wire:
            say(
                f"leaving once {counted(posts, 'POST')} on the wire got an answer; rows without one in "
                f"{ANSWERS_AWAITED_S:.0f} s are in doubt"
            )
        say(f"to {'start over' if self._starts_over else 'go on'}: {self._command}")

    def _leave_now(self) -> None:
        if self._abandoning is None:
            say("leaving now: rows whose answers are not waited for are in doubt")
            self._abandoning = asyncio.create_task(self._abandon())

    async def _abandon(self) -> None:
        if row_ids := await self._scheduler.abandon():
            say(f"not waited for: {', '.join(row_ids)}")


@contextmanager
def ladder(scheduler: Scheduler, command: str, starts_over: bool) -> Iterator[None]:
    """While open, SIGINT and SIGTERM step down the ladder. *command* goes on, or, of a rehearsal, *starts_over*.

    A terminal that is closed, or a connection to it that is lost, does not end the run.
    """
    loop = asyncio.get_running_loop()
    steps = Ladder(scheduler, command, starts_over)
    handled = {signal.SIGINT: steps.interrupted, signal.SIGTERM: steps.terminated}
    before = {
        number: signal.signal(number, lambda *_, step=step: loop.call_soon_threadsafe(step))
        for number, step in handled.items()
    }
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
