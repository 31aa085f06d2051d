"""A server that gives exactly the bytes it is told to, and remembers what it was sent and when."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

REASONS = {200: "OK", 202: "Accepted", 302: "Found", 404: "Not Found", 500: "Internal Server Error"}


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """Bytes to send, and what happens to the connection after them: `keep`, `close` or `reset`."""

    content: bytes
    then: str = "keep"


def reply(status: int, body: object = b"", then: str = "keep", length: int | None = None, **headers: str) -> Reply:
    """An HTTP answer; *body* is bytes as they are, or anything else as JSON. *length* overrules Content-Length."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given["Content-Length"] = str(len(content) if length is None else length)
    head = f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return Reply(head.encode() + b"\r\n" + content, then)


CLOSED_WITHOUT_AN_ANSWER = Reply(b"", "close")
RESET_WITHOUT_AN_ANSWER = Reply(b"", "reset")


@dataclass
class RawServer:
    """Answers requests with `replies` in turn; the last one stands for all that follow."""

    replies: list[Reply] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    bytes_in: int = 0
    base: str = ""

    @property
    def posts(self) -> list[Seen]:
        return [one for one in self.seen if one.method == "POST"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (seen := await self._read(reader)) is not None:
                self.seen.append(seen)
                answer = await self.answer_to(seen)
                writer.write(answer.content)
                await writer.drain()
                if answer.then == "reset":
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.transport.abort()
                if answer.then != "keep":
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer_to(self, seen: Seen) -> Reply:
        return self.next_reply()

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    async def _read(self, reader: asyncio.StreamReader) -> Seen | None:
        first = await reader.read(1)
        if not first:
            return None
        self.bytes_in += 1
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        self.bytes_in += len(head) - 1
        request_line, *lines = head.strip().split("\r\n")
        method, target, _ = request_line.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.bytes_in += len(body)
        return Seen(method, target, headers, body)


R = TypeVar("R", bound=RawServer)


@asynccontextmanager
async def listening(raw: R) -> AsyncIterator[R]:
    """*raw* on a free port of loopback."""
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield raw
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)  # let the connections end


def raw_server(*replies: Reply) -> AbstractAsyncContextManager[RawServer]:
    """A raw server that answers with *replies* in turn."""
    return listening(RawServer(list(replies)))


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
