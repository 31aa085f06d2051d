"""Amounts, times and sizes as the page writes them."""

from __future__ import annotations

from datetime import datetime

from batchgen.core.money import usd
from batchgen.core.text import counted, duration, size

__all__ = ["clock", "counted", "day_and_clock", "dollars", "duration", "size"]


def dollars(amount_micro: int | None) -> str:
    """At least two decimals, more only where they say something."""
    amount_usd = usd(amount_micro)
    if amount_usd is None:
        return "unknown"
    whole, _, decimals = f"{amount_usd:.4f}".rstrip("0").partition(".")
    return f"${int(whole):,}.{decimals:0<2}"


def clock(at: float, with_day: bool) -> str:
    """Local time; the day too where a run went on over midnight."""
    return datetime.fromtimestamp(at).strftime("%a %d %b %H:%M" if with_day else "%H:%M")


def day_and_clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%A %d %B %Y, %H:%M")
