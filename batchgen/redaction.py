"""Text that others wrote, fit to be shown and kept: no token, no signature of a URL, no inlined file.

Servers repeat in their errors what they were sent, and exceptions name the URL they were raised for.
"""

from __future__ import annotations

import re

_hidden: set[str] = set()

_DATA = re.compile(r"(data:[\w.+-]+/[\w.+-]+)[;,][^\s\"'<>]*", re.IGNORECASE)
_QUERY = re.compile(r"(https?://[^\s\"'<>?]*)\?[^\s\"'<>]*", re.IGNORECASE)
_LOGIN = re.compile(r"(https?://)[^\s/@\"'<>]+@", re.IGNORECASE)
_LINE_END = re.compile(r"\n|\\n")  # written out, where an exception quotes
_BEARER = re.compile(r"(bearer\s+)[^\s\"',;}\]]+", re.IGNORECASE)


def hide(secret: str) -> None:
    """From here on *secret* is taken out of everything that is `redacted`."""
    if secret:
        _hidden.add(secret)


def redacted(text: str) -> str:
    """*text* without the secrets that are known; URLs keep their path, and inlined files their type."""
    for secret in _hidden:
        text = text.replace(secret, "[hidden]")
    if "://" in text:
        text = _LOGIN.sub(r"\1", _QUERY.sub(r"\1?...", text))
    lower = text.lower()
    if "data:" in lower:
        text = _DATA.sub(r"\1...", text)
    return _BEARER.sub(r"\1[hidden]", text) if "bearer" in lower else text


def sentence(error: BaseException) -> str:
    """What *error* says, without secrets, in one line that is not too long: some bring the bytes they stumbled over."""
    first_line = _LINE_END.split(redacted(str(error)), maxsplit=1)[0]
    return first_line[:200] or type(error).__name__
