"""A file host that behaves as badly as it is told to, on loopback."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True)
class Asked:
    """One GET as it arrived."""

    target: str
    headers: Mapping[str, str]


Way: TypeAlias = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]
"""How a file is answered for. The connection is closed after it."""


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Told", "Connection: close", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def sends(content: bytes, status: int = 200, length: int | None = None, **headers: str) -> Way:
    """The bytes as they are; *length* is what Content-Length says, if it lies."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given["Content-Length"] = str(len(content) if length is None else length)

    async def way(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, given) + content)

    return way


async def cut(writer: asyncio.StreamWriter, head: bytes, content: bytes, after: int) -> None:
    """The first *after* bytes of *content*, and then the connection is reset, unless that was all."""
    writer.write(head + content[:after])
    await writer.drain()
    if after < len(content):
        await asyncio.sleep(0.05)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()


def breaks_off(content: bytes, after: int, etag: str = '"v1"') -> Way:
    """The first *after* bytes of *content*, and then the connection is reset."""

    async def way(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await cut(writer, head(200, {"Content-Length": str(len(content)), "ETag": etag}), content, after)

    return way


def resumes(content: bytes, etag: str = '"v1"') -> Way:
    """The rest of *content* where Range and If-Range ask for it, and all of it otherwise."""

    async def way(asked: Asked, writer: asyncio.StreamWriter) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        if wanted is None or asked.headers.get("if-range") != etag:
            writer.write(head(200, {"Content-Length": str(len(content)), "ETag": etag}) + content)
            return
        start = int(wanted[1])
        told = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}", "ETag": etag}
        writer.write(head(206, told | {"Content-Length": str(len(content) - start)}) + content[start:])

    return way


def stalls(content: bytes, after: int, etag: str = '"v1"') -> Way:
    """The first *after* bytes, and then nothing, without an end."""

    async def way(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, {"Content-Length": str(len(content)), "ETag": etag}) + content[:after])
        await writer.drain()
        await asyncio.sleep(30.0)

    return way


def drips(content: bytes, every_s: float = 0.05) -> Way:
    """A byte at a time: never silent for long, and never done in time."""

    async def way(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, {"Content-Length": str(len(content))}))
        for byte in content:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(every_s)

    return way


def says(content: bytes) -> Way:
    """Exactly these bytes, whether they are HTTP or not, and then the end of the connection."""

    async def way(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(content)

    return way


async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Bytes without an end and without a length."""
    writer.write(head(200, {"Content-Type": "image/png"}))
    while True:
        writer.write(bytes(65_536))
        await writer.drain()


def redirects(to: str, status: int = 302) -> Way:
    return sends(b"", status, Location=to)


@dataclass
class FileHost:
    """Answers each path in the ways it was given, in turn; the last one stands for all that follow.

    *otherwise* answers every other path.
    """

    url: str = ""
    otherwise: Way = field(default_factory=lambda: sends(b"", 404))
    ways: dict[str, list[Way]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    def puts(self, path: str, *ways: Way) -> str:
        """Answer *path* in these ways; its URL."""
        self.ways[path] = list(ways)
        return self.url + path

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            text = (await reader.readuntil(b"\r\n\r\n")).decode()
            request_line, *lines = text.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            asked = Asked(request_line.split(" ")[1], headers)
            self.asked.append(asked)
            ways = self.ways.get(asked.target) or [self.otherwise]
            way = ways.pop(0) if len(ways) > 1 else ways[0]
            await way(asked, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def end(self) -> None:
        for task in list(self._open):
            task.cancel()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def file_host() -> AsyncIterator[FileHost]:
    host = FileHost()
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
    host.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield host
    finally:
        server.close()
        await host.end()
        await server.wait_closed()
