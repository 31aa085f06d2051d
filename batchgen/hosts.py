"""Which hosts lie on this machine or in its own network: nobody outside can fetch from them."""

from __future__ import annotations

import ipaddress
import socket


def is_private(host: str) -> bool:
    """Whether *host*, by its spelling alone, is no host of the open internet. A name is not looked up."""
    host = host.rstrip(".")
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        pass
    try:  # resolvers, and a proxy's above all, take 127.1 and 2130706433 for addresses as well
        return not ipaddress.ip_address(socket.inet_aton(host)).is_global
    except (OSError, ValueError):
        return host == "localhost" or host.endswith(".localhost")
