"""Measuring input files: local ones by their header, hosted ones by as few bytes as will do."""

from __future__ import annotations

import base64
import binascii
import io
import os
from dataclasses import dataclass, field

import aiohttp
import imagesize  # type: ignore[import-untyped]

from batchgen.models.media_rules import MediaFacts
from batchgen.models.sniff import HEAD_BYTES, WORDS, Kind, kinds_of, other_than

_STEPS_BYTES = (64 << 10, 1 << 20, 32 << 20)
"""A header lies in the first 64 kB; after a large EXIF block in the first MB; some WebP and AVIF need it all."""

_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=15, sock_read=20)


@dataclass(frozen=True, slots=True)
class Measured:
    """The facts of a file, or *fault* where there is no such file or it is no media; a fault that may pass is no
    *certain* one. *doubt* is what speaks against the file and proves nothing.
    """

    facts: MediaFacts = field(default_factory=MediaFacts)
    fault: str | None = None
    is_certain: bool = True
    doubt: str | None = None


def measure_file(path: str, kind: Kind) -> Measured:
    """The local file at *path*, which is to be of a *kind*."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            return _measured(file, size, kind)
    except OSError as error:
        return Measured(fault=f"the file cannot be read: {error.strerror}")


def measure_inlined(address: str, kind: Kind) -> Measured:
    """A `data:` address."""
    head, comma, body = address.partition(",")
    if not comma or not head.endswith(";base64"):
        return Measured(fault="write a data: address as data:image/png;base64,...")
    try:
        content = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return Measured(fault="the text after the comma is not base64")
    return _measured(io.BytesIO(content), len(content), kind)


def _measured(file: io.BufferedReader | io.BytesIO, size_bytes: int | None, kind: Kind) -> Measured:
    head = file.read(HEAD_BYTES)
    if (other := other_than(kind, head)) is not None:
        return Measured(fault=other)
    file.seek(0)
    width, height = _picture_size(file) if kind == "image" else (None, None)
    doubt = None if width or kind in kinds_of(head) else f"its beginning is that of {WORDS[kind]} of no known kind"
    return Measured(MediaFacts(size_bytes, width, height), doubt=doubt)


def _picture_size(file: io.BufferedReader | io.BytesIO) -> tuple[int | None, int | None]:
    try:
        width, height = imagesize.get(file)
    except Exception:  # noqa: BLE001 - a foreign or cut file may fail in any way inside the parser: not measured
        return None, None
    return (int(width), int(height)) if width > 0 and height > 0 else (None, None)


async def measure_url(session: aiohttp.ClientSession, url: str, kind: Kind) -> Measured:
    """The file at *url*, asked for by range: its first 64 kB, then more only if a picture's size is not in it.

    A plain GET as the provider's own, since an address signed for GET refuses HEAD.
    """
    try:
        for most in _STEPS_BYTES:
            measured = await _first_bytes(session, url, most, kind)
            if measured.fault or measured.facts.width or kind != "image" or _is_whole(measured, most):
                break
        return measured
    except (TimeoutError, aiohttp.ClientError, ValueError) as error:
        return Measured(fault=f"the address could not be reached{_why(error)}", is_certain=False)


def _is_whole(measured: Measured, asked_bytes: int) -> bool:
    return measured.facts.size_bytes is not None and measured.facts.size_bytes <= asked_bytes


async def _first_bytes(session: aiohttp.ClientSession, url: str, most: int, kind: Kind) -> Measured:
    headers = {"Range": f"bytes=0-{most - 1}", "Accept-Encoding": "identity"}
    async with session.get(url, headers=headers, timeout=_TIMEOUT, max_redirects=5) as response:
        if fault := _refusal(response.status):
            return fault
        if "text/html" in response.headers.get("Content-Type", ""):
            return Measured(fault="the address answers with a web page; give the address of the file itself")
        content = await _read(response, most)
        total = _total_bytes(response)
        if total is None and len(content) < most:
            total = len(content)
        return _measured(io.BytesIO(content), total, kind)


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Up to *most* bytes: a server that ignores the range would send everything."""
    content = bytearray()
    async for chunk in response.content.iter_chunked(64 << 10):
        content += chunk
        if len(content) >= most:
            break
    return bytes(content[:most])


def _total_bytes(response: aiohttp.ClientResponse) -> int | None:
    if response.status == 206:
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
        return int(total) if total.isdecimal() else None
    return response.content_length


def _refusal(status: int) -> Measured | None:
    if status in (200, 206):
        return None
    if status == 416:
        return Measured(fault="the file is empty")
    may_pass = status >= 500 or status in (408, 425, 429)
    return Measured(fault=f"the address answers {status}, and would to the provider", is_certain=not may_pass)


def _why(error: Exception) -> str:
    """In the system's own words, where it has some."""
    number = getattr(error, "errno", None)
    if isinstance(error, TimeoutError):
        return ": no answer in time"
    return f": {os.strerror(number).lower()}" if isinstance(number, int) and number > 0 else ""
