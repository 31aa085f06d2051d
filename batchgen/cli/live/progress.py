"""What a command that carries jobs tells while it is at work: a view or lines for people, events as data."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import TYPE_CHECKING

from batchgen.cli.output import emit, say
from batchgen.core.job import ENDED, CostKnown, Event, Job
from batchgen.core.money import usd
from batchgen.results.status import FinishedRow
from batchgen.runner.activity import ActivityReporter
from batchgen.runner.descriptors import raise_limit

if TYPE_CHECKING:
    from batchgen.scheduler import Scheduler
    from batchgen.scheduler.pacing import BreakerState

_LAST = 100


class Progress:
    """Told of everything that a run does. *events* are printed as data; *quiet* shows nothing to people."""

    def __init__(self, events: bool, quiet: bool) -> None:
        self._events = events
        self._show = None if quiet else _way_to_show()
        self._last: deque[FinishedRow] = deque(maxlen=_LAST)

    async def watch(self, scheduler: Scheduler) -> None:
        """Show the run until cancelled, with the Ctrl-C ladder in place."""
        from batchgen.cli.signals import ladder

        if (too_few := raise_limit()) is not None:
            say(f"note: {too_few}")
        is_rehearsal = scheduler.state.reader.meta("rehearsal") == "yes"
        with ladder(scheduler, _same_command(), starts_over=is_rehearsal):
            try:
                if self._show is not None:
                    await self._show(ActivityReporter(scheduler, self._last))
            except Exception as error:  # noqa: BLE001 - a fault in what is shown must not take the ladder away
                say(f"progress is no longer shown: {error!r}; the run goes on")
            await asyncio.Event().wait()

    def moved(self, job: Job, event: Event) -> None:
        if job.state in ENDED and not isinstance(event, CostKnown):
            self._last.appendleft(FinishedRow.of(job))
        if self._events:
            line = {"at": event.at, "row": job.row_id, "n": job.n, "event": type(event).__name__, "state": job.state}
            emit(line | {"request_id": job.request_id, "reason": job.reason, "cost_usd": usd(job.cost_micro)})

    def breaker(self, breaker: BreakerState) -> None:
        """Something keeps rows from being sent, or no longer does."""
        if self._events:
            emit({"at": time.time(), "event": "breaker"} | breaker.as_json())

    def trouble(self, reason: str, jobs: list[Job]) -> None:
        """An id that the disk does not take is paid for: it goes to the screen until it is written."""
        say(f"batchgen: {reason}")
        for job in jobs:
            if job.request_id is not None:
                say(f"{job.row_id} {job.request_id}")


def _way_to_show() -> Callable[[ActivityReporter], Coroutine[None, None, None]]:
    """A view or lines, loaded before the first row is sent: while that takes its time, every slot would wait."""
    from batchgen.cli.live import frame, lines

    return lines.view if frame.can_draw(sys.stderr) else lines.lines


def _same_command() -> str:
    """The command line again, but for a URL that may be a secret."""
    kept, url_given = [], False
    for before, argument in pairwise(sys.argv):
        if argument.startswith("--notify-url"):
            url_given = True
        elif before != "--notify-url":
            kept.append(argument)
    return "batchgen " + shlex.join(kept) + (" (and the --notify-url it was given)" if url_given else "")
