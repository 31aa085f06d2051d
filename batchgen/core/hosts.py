"""Which hosts lie on this machine or in its own network: nobody outside can fetch from them."""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from collections.abc import Iterator
from typing import TypeAlias
from urllib.parse import unquote

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_OWN_NETWORKS = (
    "localhost", "localhost4", "localhost6", "local", "localdomain", "internal", "intranet", "private", "corp", "home",
    "lan", "home.arpa",
)  # fmt: skip
"""Endings that no name of the open internet has."""
_TRANSLATED = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96")))
"""IPv6 networks whose last 32 bits are an IPv4 address, which a gateway on the way goes to."""


def is_private(host: str) -> bool:
    """Whether *host*, by its spelling alone, is no host of the open internet. A name is not looked up."""
    plain = _as_looked_up(host)
    address = _address(plain)
    if address is not None:
        return not _is_public(address)
    return "." not in plain or f".{plain}".endswith(tuple(f".{network}" for network in _OWN_NETWORKS))


def _as_looked_up(host: str) -> str:
    """*host* as clients, proxies and resolvers read it: wide digits, other full stops and invisible marks are no
    disguise.
    """
    visible = (mark for mark in unicodedata.normalize("NFKC", unquote(host)) if unicodedata.category(mark) != "Cf")
    return "".join(visible).replace("。", ".").strip().strip("[]").rstrip(".").lower()


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:  # resolvers, and a proxy's above all, take 127.1, 0x7f.1 and 2130706433 for addresses as well
        return ipaddress.ip_address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _is_public(address: _Address) -> bool:
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return False
    return all(_is_public(inner) for inner in _inner(address))


def _inner(address: _Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv6Address):
        yield from (inner for inner in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())) if inner)
        if any(address in network for network in _TRANSLATED):
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
