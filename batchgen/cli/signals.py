"""Ctrl-C once: finish what is in flight. Twice: save and go. Three times: go now."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from batchgen.cli.ends import say
from batchgen.scheduler import Scheduler
from batchgen.wording import counted


class Ladder:
    """Counts SIGINT and SIGTERM, and takes the scheduler one step further down each time."""

    def __init__(self, scheduler: Scheduler, resume: str) -> None:
        self._scheduler = scheduler
        self._resume = resume
        self._presses = 0
        self._abandoning: asyncio.Task[list[str]] | None = None

    def press(self) -> None:
        self._presses += 1
        if self._presses == 1:
            self._scheduler.stop()
            say(
                f"stopping: nothing more is sent, {counted(self._scheduler.in_flight, 'job')} in flight waited for and "
                "collected. Again: save and leave now, they can be collected later"
            )
        elif self._presses == 2:
            self._scheduler.leave()
            say(f"leaving once {counted(self._scheduler.posts_on_the_wire, 'POST')} on the wire got an answer")
            say(f"to go on: {self._resume}")
        elif self._abandoning is None:
            say("leaving now: rows whose answers are not waited for are in doubt, and named below")
            self._abandoning = asyncio.create_task(self._scheduler.abandon())


@contextmanager
def ladder(scheduler: Scheduler, resume: str) -> Iterator[None]:
    """While open, SIGINT and SIGTERM step down the ladder. *resume* is the command that goes on.

    A terminal that is closed, or a connection to it that is lost, does not end the run.
    """
    loop = asyncio.get_running_loop()
    steps = Ladder(scheduler, resume)
    handled = [signal.SIGINT, signal.SIGTERM]
    before = {number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(steps.press)) for number in handled}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
