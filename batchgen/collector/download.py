"""One file from its URL to memory or to a `.part` on disk: no key, bounded bytes and time, resumed where it broke
off.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies

import aiofiles
import aiohttp
from aiofiles.threadpool.binary import AsyncBufferedIOBase
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from batchgen import __version__
from batchgen.collector.rowfolder import validator_of
from batchgen.hosts import is_private
from batchgen.proxies import proxy_for
from batchgen.redaction import sentence
from batchgen.runfolder import RunFolder

MAX_BYTES = 4 * 1024**3
HELD_BYTES = 64 * 1024
"""A file up to this size is handed on in memory: a `.part` that is written for it alone costs more than the rest."""
_CHUNK_BYTES = 1024 * 1024
_RESUMED_BYTES = 8 * _CHUNK_BYTES
"""After a kill, a file is gone on with from this size on; of a break that is noticed, whatever came is kept."""
_DISK_IS_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_IDLE_S = 60.0
TOTAL_S = 3600.0
_MAX_REDIRECTS = 5
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")


@dataclass(frozen=True, slots=True)
class Whole:
    """Every byte the server announced is here: *content*, or the `.part` if it is None."""

    content: bytes | None = None


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


Download: TypeAlias = Whole | Dead | Refused | Broken | Endless


class DiskFull(Exception):
    """There is no room for the file."""


def is_disk_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _DISK_IS_FULL


class PrivateAddress(OSError):
    """A URL leads to an address inside a private network."""


def downloads_session(allow_private: bool, limit: int, idle_s: float = _IDLE_S) -> aiohttp.ClientSession:
    """The session for files. It never holds a key, keeps no cookies, and resolves public addresses only.

    A host that sends nothing for *idle_s* is given up for this time.
    """
    resolver = None if allow_private else _PublicResolver()
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limit, resolver=resolver),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=30.0, sock_read=idle_s),
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
    """Bring *url* to *part* in *folder*, going on after the bytes that are there if the file is still the same.

    What breaks off is kept in *part*. Raises DiskFull.
    """
    try:
        async with asyncio.timeout(total_s):
            return await _follow(session, folder, url, part, allow_private, max_bytes)
    except TimeoutError as error:
        if str(error):
            return Broken(f"the file host stopped answering: {error}")
        return Endless(f"not finished after {total_s:.0f} s")
    except PrivateAddress as error:
        return Refused(str(error))
    except (aiohttp.ClientError, OSError) as error:
        if is_disk_full(error):
            raise DiskFull(f"no room for {part.name}: {error}") from None
        return Broken(sentence(error))


async def _follow(
    session: aiohttp.ClientSession, folder: RunFolder, url: str, part: Path, allow_private: bool, max_bytes: int
) -> Download:
    for _ in range(_MAX_REDIRECTS + 1):
        _check_address(url, allow_private)
        # The path may hold percent-encoded base64: byte-exact, or the signature no longer fits.
        async with session.get(
            URL(url, encoded=True), headers=_resume_headers(folder, part), allow_redirects=False, proxy=proxy_for(url)
        ) as response:
            if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                url = urljoin(url, response.headers["Location"])
                continue
            return await _save(response, folder, part, max_bytes)
    return Refused(f"more than {_MAX_REDIRECTS} redirects")


async def _save(response: aiohttp.ClientResponse, folder: RunFolder, part: Path, max_bytes: int) -> Download:
    match response.status:
        case 200 | 206:
            pass
        case 404 | 410:
            return Dead(f"HTTP {response.status}")
        case 401 | 403:
            return Refused(f"HTTP {response.status}")
        case 416:
            _forget(folder, part)
            return Broken("HTTP 416: the file is shorter than what was kept of it")
        case status:
            return Broken(f"HTTP {status}")
    resumed = response.status == 206 and _continues(response.headers, folder, part)
    if response.status == 206 and not resumed:
        _forget(folder, part)
        return Broken("the server sent another range than the one asked for")
    arriving = _Arriving(folder, part, response.headers, _have(folder, part) if resumed else None)
    try:
        async for chunk in response.content.iter_any():
            await arriving.take(chunk)
            if arriving.received_bytes > max_bytes:
                await arriving.close()
                _forget(folder, part)
                return Endless(f"more than {max_bytes} bytes")
    except BaseException:
        await arriving.keep()
        raise
    if resumed and _falls_short(response.headers, arriving.received_bytes):
        await arriving.close()
        _forget(folder, part)
        return Broken("the server sent less of a range, or more, than it said")
    return await arriving.whole()


class _Arriving:
    """The bytes of one file as they come: held up to a chunk, then written through aiofiles.

    *have_bytes* are in the `.part` already; None starts afresh.
    """

    def __init__(self, folder: RunFolder, part: Path, headers: Mapping[str, str], have_bytes: int | None) -> None:
        self.received_bytes = have_bytes or 0
        self._folder = folder
        self._part = part
        self._headers = headers
        self._resumed = have_bytes is not None
        self._is_resumable = False
        self._held = bytearray()
        self._stream: AsyncBufferedIOBase | None = None

    async def take(self, chunk: bytes) -> None:
        self.received_bytes += len(chunk)
        self._held += chunk
        if len(self._held) >= _CHUNK_BYTES:
            await self._write()
            if not self._is_resumable and self.received_bytes >= _RESUMED_BYTES:
                _remember_validator(self._headers, self._folder, self._part)
                self._is_resumable = True

    async def whole(self) -> Whole:
        """All came: a small file stays in memory, of a larger one the rest is written."""
        if self._stream is None and not self._resumed and len(self._held) <= HELD_BYTES:
            return Whole(bytes(self._held))
        await self._write()
        await self.close()
        return Whole()

    async def keep(self) -> None:
        """It broke off, or was cancelled: leave what came, and what it is of, for the next try. Does not wait."""
        if self._stream is not None:
            await self._stream.close()
        if self._held:
            if not (goes_on := self._resumed or self._stream is not None):
                self._folder.make(self._part.parent)
                self._folder.unlink(self._part)
            with self._folder.writing(self._part, "ab" if goes_on else "wb") as stream:
                stream.write(self._held)
            _remember_validator(self._headers, self._folder, self._part)

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.close()

    async def _open(self) -> None:
        self._folder.make(self._part.parent)
        if not self._resumed:
            self._folder.unlink(self._part)  # a link that was planted there goes
        flags = os.O_APPEND if self._resumed else os.O_TRUNC
        descriptor = self._folder.descriptor(self._part, os.O_WRONLY | os.O_CREAT | flags)
        self._stream = await aiofiles.open(descriptor, "ab" if self._resumed else "wb")

    async def _write(self) -> None:
        if self._stream is None:
            await self._open()
        assert self._stream is not None
        if self._held:
            held, self._held = self._held, bytearray()  # before the wait: a cancelled write may still be done
            await self._stream.write(held)


# ── going on after a break ──────────────────────────────────────────────────────────────────────────────


def _validator(folder: RunFolder, part: Path) -> str:
    """The ETag that was kept with *part*; empty if there is none."""
    try:
        return folder.read_bytes(validator_of(part)).decode("ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _resume_headers(folder: RunFolder, part: Path) -> dict[str, str]:
    if not (have := _have(folder, part)):
        return {}
    validator = _validator(folder, part)
    return {"Range": f"bytes={have}-", "If-Range": validator} if validator else {}


def _have(folder: RunFolder, part: Path) -> int:
    found = folder.stat(part) if folder.is_file(part) else None
    return 0 if found is None else found.st_size


def _continues(headers: Mapping[str, str], folder: RunFolder, part: Path) -> bool:
    """Whether a 206 goes on where *part* ends, to the end of the same file as far as its ETag tells."""
    found = _RANGE.match(headers.get("Content-Range", ""))
    same = headers.get("ETag", _validator(folder, part)) == _validator(folder, part)
    return same and found is not None and int(found[1]) == _have(folder, part) and int(found[2]) + 1 == int(found[3])


def _falls_short(headers: Mapping[str, str], received_bytes: int) -> bool:
    """Whether a range came that is not as long as it says: its Content-Length may have told another story."""
    found = _RANGE.match(headers.get("Content-Range", ""))
    return found is not None and received_bytes != int(found[3])


def _remember_validator(headers: Mapping[str, str], folder: RunFolder, part: Path) -> None:
    """Only a strong ETag says that two answers are the same bytes."""
    etag = headers.get("ETag", "")
    if etag and etag.isascii() and not etag.startswith("W/"):
        with folder.writing(validator_of(part)) as stream:
            stream.write(etag.encode("ascii"))
    else:
        folder.unlink(validator_of(part))


def _forget(folder: RunFolder, part: Path) -> None:
    folder.unlink(part)
    folder.unlink(validator_of(part))


# ── where we go ─────────────────────────────────────────────────────────────────────────────────────────


def _check_address(url: str, allow_private: bool) -> None:
    """Raises PrivateAddress for a URL that names a private address or no web address at all."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PrivateAddress(f"the link leads to a {parts.scheme or 'relative'} address, not to a web address")
    if not allow_private and is_private(parts.hostname):
        raise PrivateAddress(f"the link leads to a private address ({parts.hostname})")


class _PublicResolver(AbstractResolver):
    """Resolves names to public addresses only; the user's own proxy is excepted."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()
        self._proxies = {urlsplit(proxy).hostname for proxy in getproxies().values()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if host not in self._proxies and any(is_private(address["host"]) for address in found):
            raise PrivateAddress(f"the link leads to a private address ({host})")
        return found

    async def close(self) -> None:
        await self._resolver.close()
