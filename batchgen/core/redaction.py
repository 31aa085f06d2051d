"""Text that others wrote, fit to be shown and kept: no token, no signature of a URL, no inlined file.

Servers repeat in their errors what they were sent, and exceptions name the URL they were raised for.
"""

from __future__ import annotations

import re
from typing import Any

_hidden: set[str] = set()
_SHORTEST_SECRET = 6
"""What is shorter keeps no secret, and stands in many a word."""

_DATA = re.compile(r"(data:[\w.+-]+/[\w.+-]+)[;,][^\s\"'<>]*", re.IGNORECASE)
_QUERY = re.compile(r"(https?://[^\s\"'<>?]*)\?[^\s\"'<>]*", re.IGNORECASE)
_LOGIN = re.compile(r"(https?://)[^\s/@\"'<>]+@", re.IGNORECASE)
_LINE_END = re.compile(r"\n|\\n")  # written out, where an exception quotes
_READ = 65_536
"""What is looked at of a long text, in characters."""

_OBJECT = re.compile(r"\s*<(?:[^<>]* at 0x[0-9a-fA-F]+[^<>]*|(?:\w+\.)+\w+ [^<>]*)>")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_NUMBER = re.compile(r"\[(?:Errno|WinError) -?\d+\] ")
_FOLDER = (
    r"(?:/(?:home|Users|root|tmp|var|private|mnt|media|Volumes|opt|srv|usr|etc|scratch|workspace|nix)/"
    r"|~[\\/]|[A-Za-z]:[\\/]+|\\\\+)"
)
"""How a path of this machine begins. Not every / does: the provider names its own paths and places in JSON with one."""
_QUOTED_PATH = re.compile(rf"([\"'`]){_FOLDER}(?:[^\"'`\n]*[\\/])?([^\"'`\\/\n]*)[\\/]*\1")
_PATH = re.compile(rf"(?<![\w:/.~\\]){_FOLDER}(?:[^\s\"'<>:;,|]*[\\/])?([^\s\"'<>:;,|\\/]*)")
_BEARER = re.compile(r"(bearer\s+)(?!\[hidden\])[^\s\"',;}\]]+", re.IGNORECASE)


def hide(secret: str) -> None:
    """From here on *secret* is taken out of everything that is `redacted`."""
    if len(secret) >= _SHORTEST_SECRET:
        _hidden.add(secret)


def redacted(text: str) -> str:
    """*text* without the secrets that are known; URLs keep their path, and inlined files their type."""
    text = _without_known(text)
    if "://" in text:
        text = _LOGIN.sub(r"\1", _QUERY.sub(r"\1?...", text))
    lower = text.lower()
    if "data:" in lower:
        text = _DATA.sub(r"\1...", text)
    return _BEARER.sub(r"\1[hidden]", text) if "bearer" in lower else text


def without_secrets(value: Any) -> Any:
    """*value*, as JSON has it, with the secrets that are known taken out of its texts; all else stays as it is."""
    match value:
        case str():
            return _without_known(value)
        case list():
            return [without_secrets(item) for item in value]
        case dict():
            return {without_secrets(name): without_secrets(item) for name, item in value.items()}
    return value


def _without_known(text: str) -> str:
    for secret in _hidden:
        text = text.replace(secret, "[hidden]")
    return text


def shortened(text: str, most: int) -> str:
    """The first *most* characters of *text*, secrets taken out before it is cut: half a key is still a secret."""
    if len(text) > _READ:
        text = text[:_READ].rpartition(" ")[0]  # neither a key nor a URL holds a blank: none is cut in two here
    return redacted(text)[:most]


def sentence(error: BaseException) -> str:
    """What *error* says, without secrets, in one line that is not too long: some bring the bytes they stumbled over."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return error.strerror  # in full it names a path of this machine
    first_line = _LINE_END.split(shortened(str(error), _READ), maxsplit=1)[0]
    return as_reason(first_line)[:200] or type(error).__name__


def as_reason(text: str) -> str:
    """*text* without what only this program on this machine knows: its objects, their addresses, folders of the user.

    Reasons are read by others, on the card of a data set too, and the same failure is to read the same each time. Of a
    path its last name stays. A reason is one line: what follows an end of line could pass for a line of ours.
    """
    text = " ".join(text.split())
    if "<" in text or "0x" in text:
        text = _ADDRESS.sub("0x…", _OBJECT.sub("", text))
    if "[" in text:
        text = _NUMBER.sub("", text)
    if "/" in text or "\\" in text:
        text = _PATH.sub(r"…/\1", _QUOTED_PATH.sub(r"\1…/\2\1", text))
    return text
