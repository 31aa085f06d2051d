"""The web address of an input file: whether a provider could fetch a file there, said before anything is sent."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from batchgen.core.hosts import is_private
from batchgen.core.row import without_signature
from batchgen.models.fault import shown
from batchgen.models.sharing import direct_form


class Said(NamedTuple):
    """What is to be said of an address, and whether it is refused for it."""

    message: str
    severity: Literal["error", "warning"] = "error"


_PLAIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}(?:[/?][!-~]*[!-+\--:<-~])?", re.I)
_NEXT = re.compile(r"[\s,;]+(?=https?:|data:|www\.)", re.I)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.I)
_NUMBERS = re.compile(r"(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+))*", re.I)
_OF_A_NETWORK = re.compile(r"\.(?:corp|home|internal|intranet|lan|local|private)")
"""In an address that looks like one of the web these are looked at more closely."""


def said_of(address: str, *, is_local: bool) -> Said | None:
    """What is wrong with the http or https *address* of an input file, and what to write instead; None if nothing is.

    A provider that *is_local* reaches this machine's own network, any other one does not.
    """
    is_plain = _PLAIN.fullmatch(address) is not None and "http" not in address[8:]
    if not is_plain or _OF_A_NETWORK.search(address) is not None:  # all but these goes the quick way
        for look in _LOOKS:
            if (why := look(address)) is not None:
                return Said(why)
        if not is_local and (why := _out_of_reach(urlsplit(address).hostname or "")) is not None:
            return Said(why)
        if address[-1] in ",;":
            return Said(f"the address ends in {address[-1]!r}; delete it if it is not part of it", "warning")
    if "&amp;" in address:
        return Said("&amp; is how HTML writes &; write & alone", "warning")
    if (why := direct_form(address)) is not None:
        return Said(why, "warning")
    return None


def _several(address: str) -> str | None:
    first, *rest = _NEXT.split(address)
    if not rest or ("?" in first and "http" in first.partition("?")[2]):  # a query may hold a list of addresses
        return None
    return f"{len(rest) + 1} addresses stand in one entry; write a|b, with | between them"


def _blank(address: str) -> str | None:
    if not re.search(r"[ \t\r\n]", address):
        return None
    if re.match(r"https?://[^/?#]*\s", address, re.IGNORECASE):
        return "a blank stands in the name of the host; delete it"
    right = re.sub(r"[ \t\r\n]+", "%20", without_signature(address))
    return f"a blank stands in the address; write %20 for it: {shown(right, 300)}"


def _invisible(address: str) -> str | None:
    for place, sign in enumerate(address):
        if not sign.isascii() and unicodedata.category(sign) in ("Cf", "Cc", "Zs", "Zl", "Zp", "Cs", "Co", "Cn"):
            return f"the invisible sign U+{ord(sign):04X} stands at character {place + 1}; delete it"
        if sign < " " or sign == "\x7f":
            return f"a control character stands at character {place + 1}; delete it"
    return None


def _no_address(address: str) -> str | None:
    no_address = "this is no address of the web; write https://host/path"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return no_address
    if not host:
        return "the address names no host; write https://host/path"
    if ":" in host:  # urlsplit takes an IPv6 address alone
        return None
    try:
        labels = host.removesuffix(".").encode("idna").decode("ascii").split(".")
    except UnicodeError:
        return no_address
    if not all(_LABEL.fullmatch(label) for label in labels) or len(host) > 253:
        return f"no host can be called {shown(host)}; write https://host/path"
    if _NUMBERS.fullmatch(host) and (len(labels) > 4 or any(_is_over(label) for label in labels)):
        return f"no host has the number {shown(host)}; write https://host/path"
    return None


def _is_over(label: str) -> bool:
    return label.isdecimal() and int(label) > 0xFFFFFFFF


_LOOKS: tuple[Callable[[str], str | None], ...] = (_several, _blank, _invisible, _no_address)


def _out_of_reach(host: str) -> str | None:
    if not is_private(host):
        return None
    if "." not in host and ":" not in host and host.isascii():
        return f"{shown(host)} is a host of your own network, or no whole name; write https://host.domain/path"
    return f"{shown(host)} is a host of your own network, which the provider cannot reach; put the file on the web"
