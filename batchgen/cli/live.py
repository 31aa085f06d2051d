"""What a run shows while it is on: a live view on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from dataclasses import dataclass, field

from batchgen.budget import usd
from batchgen.cli.show import dollars, duration
from batchgen.job import ENDED, State
from batchgen.scheduler import Scheduler

_WINDOW_S = 120.0


@dataclass(slots=True)
class Pace:
    """Rows that end per second over the last two minutes, and what that means for the rest."""

    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, now: float, ended: int) -> None:
        self._seen.append((now, ended))
        while self._seen[0][0] < now - _WINDOW_S:
            self._seen.popleft()

    @property
    def rows_per_s(self) -> float:
        (first_at, first), (last_at, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0


def line(scheduler: Scheduler, pace: Pace) -> str:
    """The run in one line."""
    tally = scheduler.state.tally
    counts = tally.counts
    done = sum(counts[state] for state in ENDED)
    total = sum(counts.values())
    parts = [f"{counts[State.COLLECTED]:,}/{total:,} collected"]
    parts += [
        f"{counts[state]:,} {name}"
        for state, name in (
            (State.PENDING, "pending"),
            (State.SUBMITTED, "at the provider"),
            (State.READY, "downloading"),
            (State.IN_DOUBT, "in doubt"),
            (State.FAILED, "failed"),
            (State.CANCELLED, "cancelled"),
        )
        if counts[state]
    ]
    rate = pace.rows_per_s
    left = total - done - counts[State.IN_DOUBT]
    if rate > 0:
        parts.append(f"{rate:.2f} rows/s" if rate < 10 else f"{rate:.0f} rows/s")
        if left:
            parts.append(f"about {duration(left / rate)} left")
    parts.append(f"{dollars(usd(tally.money.charged + tally.money.reserved))}")
    parts.append(f"{scheduler.received_bytes / 1e6:.1f} MB")
    if scheduler.waiting_for:
        parts.append(f"waiting for {scheduler.waiting_for}")
    return ", ".join(parts)


async def lines(scheduler: Scheduler, every_s: float = 10.0) -> None:
    """A line on stderr every *every_s* seconds."""
    pace = Pace()
    while True:
        pace.note(time.monotonic(), scheduler.state.tally.ended_here)
        await asyncio.sleep(every_s)
        pace.note(time.monotonic(), scheduler.state.tally.ended_here)
        print(f"{time.strftime('%H:%M:%S')} {line(scheduler, pace)}", file=sys.stderr, flush=True)


async def bars(scheduler: Scheduler) -> None:
    """A view that is drawn anew four times a second, on a terminal."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    pace = Pace()

    def view() -> Group:
        pace.note(time.monotonic(), scheduler.state.tally.ended_here)
        counts = scheduler.state.tally.counts
        total = max(sum(counts.values()), 1)
        bar = ProgressBar(total=total, completed=sum(counts[state] for state in ENDED))
        return Group(bar, Text(line(scheduler, pace)))

    with Live(view(), console=Console(stderr=True), transient=True, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(0.25)
            live.update(view(), refresh=True)
