"""What a run shows while it is on: a live view on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from batchgen.cli.output import say
from batchgen.core.money import dollars, usd
from batchgen.core.text import STATE_WORDS, clock, rate, size
from batchgen.results.status import RunStatus
from batchgen.runner.activity import ActivityReporter

if TYPE_CHECKING:
    from batchgen.cli.live.frame import Frame

_LINE_S = 10.0
_DRAW_S = 1.0


def line(standing: RunStatus) -> str:
    """A run in one line."""
    rows, now = standing.rows, standing.activity
    counts = ", ".join(f"{rows[state]:,} {words}" for state, words in STATE_WORDS.items() if rows[state])
    parts = []
    if now is not None and now.rows_per_s:
        parts.append(rate(now.rows_per_s))
    if now is not None and now.left_s is not None:
        first, last = (clock(now.at + left_s, standing.at) for left_s in now.left_s)
        parts.append(f"done {first} to {last}" if first != last else f"done {last}")
    spent = dollars(usd(standing.money.committed))
    parts.append(spent if standing.budget_micro is None else f"{spent} of {dollars(usd(standing.budget_micro))}")
    if now is not None:
        parts.append(size(now.received_bytes))
    troubles = [] if now is None else now.troubles
    return "; ".join([counts, ", ".join(parts), *troubles])


async def lines(watched: ActivityReporter) -> None:
    """A line on stderr every ten seconds."""
    while True:
        await asyncio.sleep(_LINE_S)
        say(f"{time.strftime('%H:%M:%S')} {line(watched.standing())}")


async def view(watched: ActivityReporter) -> None:
    """How the run stands, drawn anew every second, on a terminal."""
    from batchgen.cli.live.frame import Frame

    frame = Frame(sys.stderr)
    with frame.open():
        while True:
            draw(frame, watched.standing())
            await asyncio.sleep(_DRAW_S)


def draw(frame: Frame, standing: RunStatus) -> None:
    from batchgen.cli.live.view import view as drawn

    frame.draw(drawn(standing, frame.width, frame.height))
