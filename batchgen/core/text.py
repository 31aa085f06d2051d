"""Amounts, times and sizes as people read them, and any text as harmless text. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_PROMPTS = ("prompt", "text", "tags", "lyrics")


def duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02d} min"
    return f"{minutes} min {rest_s:02d} s" if minutes else f"{rest_s} s"


def size(count_bytes: float) -> str:
    """In powers of 1000, as drives are sold; one decimal where it says something."""
    for unit in ("B", "kB", "MB", "GB"):
        if count_bytes < 999.5:
            return f"{count_bytes:.1f} {unit}" if unit != "B" and count_bytes < 9.95 else f"{count_bytes:.0f} {unit}"
        count_bytes /= 1000
    return f"{count_bytes:.1f} TB"


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def rate(rows_per_s: float) -> str:
    """Rows by the second, minute or hour, whichever gives a number one can picture."""
    for unit, seconds in (("s", 1.0), ("min", 60.0), ("h", 3600.0)):
        rows = rows_per_s * seconds
        if rows >= 1.95 or unit == "h":
            return f"{rows:.1f} rows/{unit}" if rows < 9.95 else f"{rows:,.0f} rows/{unit}"
    raise AssertionError("the hour takes all that is left")


def clock(at: float, now: float, seconds: bool = False) -> str:
    """The local time of *at*, with its day where that is not today's."""
    then = datetime.fromtimestamp(at)
    time_of_day = then.strftime("%H:%M:%S" if seconds else "%H:%M")
    return time_of_day if then.date() == datetime.fromtimestamp(now).date() else f"{then:%a} {time_of_day}"


def prompt_of(request: Mapping[str, Any]) -> str:
    """What a request asks for in words; empty where no field of it holds any."""
    return next((text for name in _PROMPTS if isinstance(text := request.get(name), str)), "")


def harmless(text: str) -> str:
    """*text* in one line, with everything that a terminal would act upon written out.

    That is control characters, escape sequences, line ends, marks that turn the direction of writing, lone
    surrogates and whatever else has no look of its own.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _written_out(sign) for sign in text)


def harmless_json(value: object) -> str:
    """*value* as one line of JSON, the same signs written out: as JSON has it, so that nothing is lost."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in text)


_WRITTEN = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _written_out(sign: str) -> str:
    code = ord(sign)
    return _WRITTEN.get(sign) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
