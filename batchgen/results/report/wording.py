"""Amounts, times and sizes as the page writes them."""

from __future__ import annotations

from datetime import datetime

from batchgen.core import money
from batchgen.core.text import counted, duration, size

__all__ = ["clock", "counted", "day_and_clock", "dollars", "duration", "size"]


def dollars(amount_micro: int | None) -> str:
    return money.dollars(money.usd(amount_micro))


def clock(at: float, with_day: bool) -> str:
    """Local time; the day too where a run went on over midnight."""
    return datetime.fromtimestamp(at).strftime("%a %d %b %H:%M" if with_day else "%H:%M")


def day_and_clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%A %d %B %Y, %H:%M")
