"""Amounts, times and sizes as people read them, and any text as harmless text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from batchgen.core.job import State

STATE_WORDS = {
    State.COLLECTED: "collected",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
    State.IN_DOUBT: "in doubt",
    State.READY: "downloading",
    State.SUBMITTING: "being sent",
    State.SUBMITTED: "at the provider",
    State.PENDING: "pending",
}
"""The states as people read them, in the order in which they are shown."""

_PROMPTS = ("prompt", "text", "tags", "lyrics")
_VARIES = re.compile(r"""https?://\S+|'[^']*'|"[^"]*"|[0-9a-f]{8,}(?:-[0-9a-f]+)*|\d+(?:\.\d+)?""", re.IGNORECASE)


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


def named(row_ids: Sequence[str], most: int) -> str:
    """The first of *row_ids*, and how many more there are."""
    rest = len(row_ids) - most
    return ", ".join(row_ids[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def prompt_field(request: Mapping[str, Any]) -> str | None:
    """The field in which a request says in words what it asks for; None if it has no such field."""
    return next((name for name in _PROMPTS if isinstance(request.get(name), str)), None)


def prompt_of(request: Mapping[str, Any]) -> str:
    """What a request asks for in words; empty where no field of it holds any."""
    name = prompt_field(request)
    return "" if name is None else str(request[name])


def put_at(request: dict[str, Any], pointer: str, value: Any) -> None:
    """Put *value* where *pointer* names the place: a field, or an item of its list (`images.0`), which is copied."""
    field, _, index = pointer.partition(".")
    if index:
        request[field] = [*request[field]]
        request[field][int(index)] = value
    else:
        request[field] = value


def cause_of(reason: str) -> str:
    """*reason* without what differs from row to row: addresses, quoted values, ids and numbers."""
    return " ".join(_VARIES.sub("…", reason).split()).lower()[:200]


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
