"""With a proxy as without, nothing is fetched from a host that is in a private network."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from batchgen.collector.download import Broken, Download, Refused, Whole, download, downloads_session
from batchgen.storage.paths import RunFolder
from tests.providers.rawserver import RawServer, Reply, raw_server, reply

PICTURE = b"a picture"
NAMES = {
    "files.example": ["93.184.215.14"],
    "both.example": ["93.184.215.14", "10.0.0.7"],
    "inside.example": ["10.0.0.7"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "translated.example": ["64:ff9b::7f00:1"],
}


class Names(AbstractResolver):
    """A name server of its own, with a few names."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in NAMES:
            raise OSError(f"no such name: {host}")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in NAMES[host]
        ]

    async def close(self) -> None:
        """Nothing is held."""


@asynccontextmanager
async def proxy(monkeypatch: pytest.MonkeyPatch, *replies: Reply) -> AsyncIterator[RawServer]:
    """The user's proxy, which answers for every host that it is asked for."""
    async with raw_server(*(replies or (reply(200, PICTURE),))) as server:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, server.base)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield server


async def fetched(folder: Path, url: str) -> Download:
    session = downloads_session(allow_private=False, limit=2, idle_s=5.0, names=Names())
    async with session:
        return await download(session, RunFolder.at(folder / "out"), url, folder / "out" / "parts" / "a.part", False)


@pytest.mark.parametrize("host", ["files.example", "known-to-the-proxy.example", "93.184.215.14"])
async def test_a_public_host_is_fetched_from_by_way_of_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    async with proxy(monkeypatch) as server:
        assert await fetched(tmp_path, f"http://{host}/a.png") == Whole(PICTURE)
        assert [seen.target for seen in server.seen] == [f"http://{host}/a.png"]


INSIDE = [
    "inside.example", "both.example", "mapped.example", "translated.example", "localhost", "2130706433", "0x7f.1",
    "127.0.0.1.", "[::ffff:10.0.0.1]", "metadata.google.internal", "printer",
]  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
async def test_a_host_inside_is_refused_behind_a_proxy_and_the_proxy_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    async with proxy(monkeypatch) as server:
        assert isinstance(await fetched(tmp_path, f"http://{host}/a.png"), Refused)
        assert server.connections == 0


@pytest.mark.parametrize("host", INSIDE)
async def test_a_host_inside_is_refused_without_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(await fetched(tmp_path, f"http://{host}/a.png"), Refused)


async def test_a_redirect_into_a_private_network_is_refused_behind_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy(monkeypatch, reply(302, b"", Location="http://inside.example/a.png")) as server:
        assert isinstance(await fetched(tmp_path, "http://files.example/a.png"), Refused)
        assert len(server.seen) == 1


async def test_the_proxys_own_name_is_no_way_into_its_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://inside.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert isinstance(await fetched(tmp_path, "http://inside.example/a.png"), Refused)


@pytest.mark.parametrize(
    "answer",
    [
        reply(407, b"", Proxy_Authenticate="Basic"),
        reply(502, b""),
        reply(503, b"", then="close"),
        reply(403, b"blocked"),
        Reply(b"SSH-2.0-x\r\n", "close"),
        Reply(b"\x05\xff", "close"),
        Reply(b"", "close"),
        Reply(b"", "reset"),
    ],
)
async def test_a_proxy_that_answers_oddly_is_no_answer_of_the_file_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Reply
) -> None:
    async with proxy(monkeypatch, answer):
        assert isinstance(await fetched(tmp_path, "http://files.example/a.png"), Broken | Refused)
