"""A proxy that does not let us through costs nothing and leaves no doubt: nothing was handed to the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from batchgen.providers.contract import NoNews, NotSent
from batchgen.providers.runcomfy.model_api import RunComfy

MODEL = "bytedance/seedream-4-0/edit-sequential"
OPEN = b"HTTP/1.1 200 OK\r\n\r\n"

# What the proxy says to a CONNECT, and what to the beginning of TLS; then it hangs up.
ODD = {
    "407": (
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nProxy-Authenticate: Basic\r\n\r\n",
        b"",
    ),
    "403 with a page": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nblock", b""),
    "502": (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", b""),
    "503 that says when": (b"HTTP/1.1 503 x\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", b""),
    "a redirect": (b"HTTP/1.1 302 x\r\nLocation: https://login.example/\r\nContent-Length: 0\r\n\r\n", b""),
    "an answer of the API": (b'HTTP/1.1 202 x\r\nContent-Length: 21\r\n\r\n{"request_id":"id-1"}', b""),
    "no HTTP": (b"SSH-2.0-x\r\n", b""),
    "SOCKS": (b"\x05\xff", b""),
    "nothing": (b"", b""),
    "half a head": (b"HTTP/1.1 200", b""),
    "a tunnel that ends": (OPEN, b""),
    "a tunnel without TLS": (OPEN, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "a tunnel of garbage": (OPEN, b"\x16\x03\x01\x00\x05hello"),
}


@asynccontextmanager
async def proxy(says: bytes, to_tls: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(says)
            await writer.drain()
            if says == OPEN:
                await reader.read(1)
                writer.write(to_tls)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)  # let the connections end


@pytest.mark.parametrize(("says", "to_tls"), ODD.values(), ids=ODD)
async def test_what_an_odd_proxy_says_is_not_the_apis_word_and_no_intent_is_made(
    monkeypatch: pytest.MonkeyPatch, says: bytes, to_tls: bytes
) -> None:
    intents = 0

    async def write_intent() -> None:
        nonlocal intents
        intents += 1

    async with proxy(says, to_tls) as url:
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        provider = RunComfy("https://api.example", "secret-4711")
        try:
            sent = await provider.submit(MODEL, {"text": "a"}, write_intent)
            asked = await provider.status("id-1")
        finally:
            await provider.close()
        assert isinstance(sent, NotSent)
        assert not sent.reason.rstrip().endswith(":")
        assert not [part for part in ("_ssl.c", "ssl:", "Cannot connect", "[", "_") if part in sent.reason]
        assert "does not speak TLS" in sent.reason or not to_tls.startswith(b"HTTP/")
        assert isinstance(asked, NoNews)
        assert (intents, asked.contact) == (0, False)
        assert "secret-4711" not in repr((sent, asked))
