"""One file from its URL to memory or to a `.part` on disk: no key, bounded bytes and time, resumed where it broke
off.
"""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver

from batchgen.collector.address import NoAddress, inlined, redirected, scheme_of, web_address
from batchgen.collector.arriving import HELD_BYTES, Arriving, OtherFile
from batchgen.collector.packed import PACKINGS, Cut, TooLong, unpack
from batchgen.collector.partfile import Kept, length_of_range, version_of
from batchgen.collector.reach import PrivateAddress, PublicHosts
from batchgen.core.job import INLINED
from batchgen.core.proxies import proxy_for, proxy_hosts
from batchgen.core.redaction import sentence
from batchgen.core.version import __version__
from batchgen.storage.paths import RunFolder

MAX_BYTES = 4 * 1024**3
_DISK_IS_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_IDLE_S = 60.0
_CONNECT_S = 120.0
"""Proxies and TLS included, and the wait for one of the connections: a proxy may take it and say nothing."""
TOTAL_S = 3600.0
_MAX_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Whole:
    """Every byte the server announced is here: *content*, or the `.part` if it is None.

    *has_end* is False where it announced no length: the connection just ended, which looks the same when it is cut.
    """

    content: bytes | None = None
    has_end: bool = True


@dataclass(frozen=True, slots=True)
class Dead:
    """The server says that there is no such file (404, 410)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The link is not honoured (401, 403), or leads where we do not go."""

    reason: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Not all of it came; what came is kept for the next try."""

    reason: str


@dataclass(frozen=True, slots=True)
class Endless:
    """More bytes, or more time, than any output takes."""

    reason: str


@dataclass(frozen=True, slots=True)
class Damaged:
    """All that was announced is in the `.part`, and is provably not the whole file."""

    reason: str


@dataclass(frozen=True, slots=True)
class Nowhere:
    """No request can be made of the link."""

    reason: str


Download: TypeAlias = Whole | Dead | Refused | Broken | Endless | Damaged | Nowhere


class DiskFull(Exception):
    """There is no room for the file."""


def is_disk_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _DISK_IS_FULL


def downloads_session(
    allow_private: bool, limit: int, idle_s: float = _IDLE_S, names: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """The session for files. It never holds a key, keeps no cookies, and goes to public hosts only, unless
    *allow_private*. Names are looked up by *names*, if not by the system.

    A host that sends nothing for *idle_s* is given up for this time. Raises ProxyUnusable.
    """
    proxy_hosts()  # one that cannot be used is refused before anything is sent, not in the midst of a download
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limit) if allow_private else PublicHosts(limit, names),
        timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_connect=30.0, sock_read=idle_s),
        headers={"User-Agent": f"batchgen/{__version__}", "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


async def download(
    session: aiohttp.ClientSession,
    folder: RunFolder,
    url: str,
    part: Path,
    allow_private: bool,
    max_bytes: int = MAX_BYTES,
    total_s: float = TOTAL_S,
) -> Download:
    """Bring *url* to *part* in *folder*, going on after the bytes that it holds already if the file is still the same.

    What breaks off is kept in *part*. Raises DiskFull.
    """
    try:
        async with asyncio.timeout(total_s):
            if scheme_of(url) == "data":
                return await asyncio.to_thread(_unwrapped, folder, url, part, max_bytes)
            if url.startswith(INLINED):
                return Dead("the link held the file itself and was not kept")
            return await _follow(session, url, Kept(folder, part), allow_private, max_bytes)
    except TimeoutError as error:
        if str(error):
            return Broken(f"the file host stopped answering: {error}")
        return Endless(f"not finished after {total_s:.0f} s")
    except PrivateAddress as error:
        return Refused(str(error))
    except (aiohttp.ClientError, OSError) as error:
        if is_disk_full(error):
            raise DiskFull(f"no room for {part.name}: {error}") from None
        if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, PrivateAddress):
            return Refused(str(error.os_error))
        return Broken(_in_words(error))


def _in_words(error: Exception) -> str:
    """What broke a download off, without the library's own words: they hold its objects."""
    match error:
        case aiohttp.ClientPayloadError():
            return "the connection broke off before all of the file came"
        case aiohttp.ClientConnectorDNSError():
            return "the file host's name leads to no address"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"the proxy answers HTTP {status}"
        case aiohttp.ClientResponseError():
            return "what the file host answers is no HTTP"
        case aiohttp.ClientSSLError():
            return f"no secure connection to the file host: {sentence(error)}"
        case aiohttp.ClientOSError(errno=int(), strerror=str(why)) | OSError(errno=int(), strerror=str(why)):
            return f"the file host is out of reach: {why.lower()}"
        case aiohttp.ServerDisconnectedError():
            return "the file host closed the connection without an answer"
        case aiohttp.ClientConnectionError():
            return "the connection broke off"
    return sentence(error)


def _unwrapped(folder: RunFolder, url: str, part: Path, max_bytes: int) -> Download:
    """The file that stands in its link itself."""
    try:
        content = inlined(url)
    except NoAddress as fault:
        return Nowhere(f"the link is no address: {fault}")
    if len(content) > max_bytes:
        return Endless(f"more than {max_bytes} bytes")
    if len(content) <= HELD_BYTES:
        return Whole(content)
    folder.make(part.parent)
    folder.unlink(part)
    with folder.writing(part) as stream:
        stream.write(content)
    return Whole()


async def _follow(
    session: aiohttp.ClientSession, url: str, kept: Kept, allow_private: bool, max_bytes: int
) -> Download:
    try:
        address = web_address(url)
    except NoAddress as fault:
        return Nowhere(f"the link is no address: {fault}")
    for _ in range(_MAX_REDIRECTS + 1):
        proxy = proxy_for(str(address))
        if not allow_private:
            assert isinstance(session.connector, PublicHosts), "a session that goes anywhere"
            await session.connector.check(address, proxied=proxy is not None)
        async with session.get(address, headers=kept.request_headers, allow_redirects=False, proxy=proxy) as response:
            if response.status not in (301, 302, 303, 307, 308) or "Location" not in response.headers:
                return await _save(response, kept, max_bytes)
            try:
                address = web_address(redirected(address, response.headers["Location"]))
            except NoAddress as fault:
                return Dead(f"the link redirects to no address: {fault}")
    return Refused(f"more than {_MAX_REDIRECTS} redirects")


async def _save(response: aiohttp.ClientResponse, kept: Kept, max_bytes: int) -> Download:
    match response.status:
        case 200 | 206:
            pass
        case 404 | 410:
            return Dead(f"HTTP {response.status}")
        case 401 | 403:
            return Refused(f"HTTP {response.status}")
        case 416:
            kept.forget()
            return Broken("HTTP 416: the file is shorter than what was kept of it")
        case status:
            return Broken(f"HTTP {status}")
    resumed = response.status == 206 and kept.continued_by(response.headers)
    if response.status == 206 and not resumed:
        kept.forget()
        return Broken("the server sent another range than the one asked for")
    arriving = Arriving(kept, None if resumed else version_of(response.headers))
    ending = _Ending(response)
    try:
        async for chunk in response.content.iter_any():
            await arriving.take(chunk)
            if arriving.received_bytes > max_bytes:
                await arriving.close()
                kept.forget()
                return Endless(f"more than {max_bytes} bytes")
        ending.check()
    except OtherFile:
        kept.forget()
        return Broken("the file is another than the one that was begun")
    except BaseException:
        await arriving.keep()
        raise
    if resumed and arriving.received_bytes != length_of_range(response.headers):
        await arriving.close()
        kept.forget()
        return Broken("the server sent less of a range, or more, than it said")
    return await _whole(arriving, resumed or ending.is_announced, max_bytes)


async def _whole(arriving: Arriving, has_end: bool, max_bytes: int) -> Download:
    """What came, on disk where more is to be done with it."""
    packing = arriving.version.packing
    if packing not in PACKINGS:
        content = await arriving.whole(in_memory=has_end)
        return Whole(content, has_end)
    await arriving.whole(in_memory=False)
    try:
        unpacked = await asyncio.to_thread(unpack, arriving.kept.folder, arriving.kept.part, packing, max_bytes)
    except Cut as fault:
        return Damaged(str(fault))
    except TooLong as fault:
        arriving.kept.forget()
        return Endless(str(fault))
    return Whole(has_end=has_end or unpacked)  # what is packed says itself where it ends


class _Ending:
    """How a body ends. Where no length is announced, aiohttp takes a reset for an end like any other."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        coding = response.headers.get("Transfer-Encoding", "").lower()
        self.is_announced = "Content-Length" in response.headers or "chunked" in coding
        protocol = None if self.is_announced or response.connection is None else response.connection.protocol
        self._closed = None if protocol is None else protocol.closed

    def check(self) -> None:
        """Raises ClientConnectionError if the connection was reset."""
        if self._closed is not None and self._closed.done() and (error := self._closed.exception()) is not None:
            raise error
