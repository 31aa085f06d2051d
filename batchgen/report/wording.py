"""Amounts, times and sizes as the page writes them."""

from __future__ import annotations

from datetime import datetime

from batchgen.budget import usd


def dollars(amount_micro: int | None) -> str:
    """At least two decimals, more only where they say something."""
    amount_usd = usd(amount_micro)
    if amount_usd is None:
        return "unknown"
    whole, _, decimals = f"{amount_usd:.4f}".rstrip("0").partition(".")
    return f"${int(whole):,}.{decimals:0<2}"


def duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest_s:02d} s" if minutes else f"{rest_s} s"


def size(count_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count_bytes < 1000:
            return f"{count_bytes:.0f} {unit}"
        count_bytes /= 1000
    return f"{count_bytes:.1f} TB"


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def clock(at: float, with_day: bool) -> str:
    """Local time; the day too where a run went on over midnight."""
    return datetime.fromtimestamp(at).strftime("%a %d %b %H:%M" if with_day else "%H:%M")


def day_and_clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%A %d %B %Y, %H:%M")
