"""Where downloads go: to hosts of the open internet alone, with a proxy as without."""

from __future__ import annotations

import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from batchgen.core.hosts import is_private
from batchgen.core.proxies import proxy_hosts


class PrivateAddress(OSError):
    """A URL leads to an address inside a private network."""


class PublicHosts(aiohttp.TCPConnector):
    """Connects to hosts of the open internet, and to the user's own proxy. Names are looked up by *names*."""

    def __init__(self, limit: int, names: AbstractResolver | None = None) -> None:
        self._public_names = _PublicNames(names or aiohttp.ThreadedResolver())
        super().__init__(limit=limit, resolver=self._public_names)

    async def check(self, address: URL, proxied: bool) -> None:
        """Raises PrivateAddress if *address* leads into a private network, whoever is to look its name up.

        A name that only the proxy can look up passes: where nobody but the proxy has a name server, all do so.
        """
        host = address.host or ""
        if is_private(host) or is_private(address.raw_host or ""):
            raise PrivateAddress(f"the link leads to a private address ({host})")
        if proxied or self._public_names.is_a_proxy(host):
            await self._public_names.check(host)


class _PublicNames(AbstractResolver):
    """Looks up names that have public addresses only; the user's own proxy is excepted."""

    def __init__(self, names: AbstractResolver) -> None:
        self._names = names
        self._proxies = proxy_hosts()

    def is_a_proxy(self, host: str) -> bool:
        return host in self._proxies

    async def check(self, host: str) -> None:
        try:
            found = await self._names.resolve(host, 0, socket.AF_UNSPEC)
        except OSError:
            return
        self._refuse_private(host, found)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._names.resolve(host, port, family)
        if not self.is_a_proxy(host):
            self._refuse_private(host, found)
        return found

    def _refuse_private(self, host: str, found: list[ResolveResult]) -> None:
        if any(is_private(address["host"]) for address in found):
            raise PrivateAddress(f"the link leads to a private address ({host})")

    async def close(self) -> None:
        await self._names.close()
