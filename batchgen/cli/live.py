"""What a run shows while it is on: a live view on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from dataclasses import dataclass, field

from batchgen.budget import dollars, usd
from batchgen.cli.show import duration, size
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


_SHOWN = (
    (State.COLLECTED, "collected"),
    (State.SUBMITTED, "at the provider"),
    (State.READY, "downloading"),
    (State.SUBMITTING, "being sent"),
    (State.PENDING, "pending"),
    (State.IN_DOUBT, "in doubt"),
    (State.FAILED, "failed"),
    (State.CANCELLED, "cancelled"),
)


def counted(scheduler: Scheduler) -> str:
    """Rows by state, in words."""
    counts = scheduler.state.tally.counts
    return ", ".join(f"{counts[state]:,} {name}" for state, name in _SHOWN if counts[state])


def progress(scheduler: Scheduler, pace: Pace) -> str:
    """Rate, time left, money and bytes, in words."""
    tally = scheduler.state.tally
    rate = pace.rows_per_s
    parts = []
    if rate > 0:
        parts.append(f"{rate:.2f} rows/s" if rate < 10 else f"{rate:.0f} rows/s")
    if scheduler.rows_left and (left_s := scheduler.left_s) is not None:
        parts.append(f"{duration(left_s[0])} to {duration(left_s[1])} left")
    spent = dollars(usd(tally.money.committed))
    budget_micro = scheduler.limits.budget_micro
    parts.append(spent if budget_micro is None else f"{spent} of {dollars(usd(budget_micro))}")
    parts.append(size(scheduler.received_bytes))
    return ", ".join(parts)


def line(scheduler: Scheduler, pace: Pace) -> str:
    """The run in one line."""
    parts = [counted(scheduler), progress(scheduler, pace)]
    if scheduler.waiting_for:
        parts.append(f"waiting for {scheduler.waiting_for}")
    return "; ".join(parts)


async def lines(scheduler: Scheduler, every_s: float = 10.0) -> None:
    """A line on stderr every *every_s* seconds."""
    pace = Pace()
    while True:
        pace.note(time.monotonic(), scheduler.state.tally.ended_here)
        await asyncio.sleep(every_s)
        pace.note(time.monotonic(), scheduler.state.tally.ended_here)
        print(f"{time.strftime('%H:%M:%S')} {line(scheduler, pace)}", file=sys.stderr, flush=True)


async def view(scheduler: Scheduler) -> None:
    """A few lines that are drawn anew four times a second, on a terminal."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    pace = Pace()
    console = Console(stderr=True)

    def drawn() -> Text:
        pace.note(time.monotonic(), scheduler.state.tally.ended_here)
        counts = scheduler.state.tally.counts
        total, ended = max(sum(counts.values()), 1), sum(counts[state] for state in ENDED)
        width = max(min(console.width - 30, 60), 10)
        full = round(width * ended / total)
        told = Text()
        told.append("━" * full, "green").append("━" * (width - full), "bright_black")
        told.append(f" {100 * ended / total:.0f}%", "bold").append(f"  {ended:,} of {total:,} rows\n")
        told.append(f"{counted(scheduler)}\n{progress(scheduler, pace)}")
        if scheduler.waiting_for:
            told.append(f"\nwaiting for {scheduler.waiting_for}", "yellow")
        return told

    with Live(drawn(), console=console, transient=True, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(0.25)
            live.update(drawn(), refresh=True)
