"""What comes on a connection out of turn is no answer, and what breaks before the first byte is no POST."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from batchgen.providers.contract import NotSent, Over, Taken
from batchgen.providers.runcomfy.model_api import RunComfy
from tests.providers.rawserver import RawServer, Reply, Seen, listening, reply

MODEL = "bytedance/seedream-4-0/edit-sequential"
BODY = {"text": "a dune"}

STRAY = {
    "408": reply(408, b"", Connection="close"),
    "400 in JSON": reply(400, {"message": "bad request"}),
    "422 in JSON": reply(422, {"detail": "no"}),
    "403": reply(403, b"blocked"),
    "an accepted one": reply(200, {"request_id": "id-of-nobody"}),
    "no HTTP": Reply(b"\x15\x03\x01\x00\x02\x02\x28"),
    "half a head": Reply(b"HTTP/1.1 400 Bad"),
}


@dataclass
class TalkingServer(RawServer):
    """Says *stray* on a connection after each answer, once `say` is set, and goes on listening."""

    stray: bytes = b""
    say: asyncio.Event = field(default_factory=asyncio.Event)
    said: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking = asyncio.create_task(self._talk(writer))
        try:
            await super().serve(reader, writer)
        finally:
            talking.cancel()

    async def _talk(self, writer: asyncio.StreamWriter) -> None:
        await self.say.wait()
        writer.write(self.stray)
        await writer.drain()
        self.said += 1

    async def answer_to(self, seen: Seen) -> Reply:
        if seen.method == "POST":
            return reply(200, {"request_id": f"id-{len(self.posts)}"})
        return reply(200, {"request_id": seen.target.split("/")[3], "status": "completed"})


@asynccontextmanager
async def talking(stray: Reply) -> AsyncIterator[tuple[RunComfy, TalkingServer]]:
    async with listening(TalkingServer(stray=stray.content)) as server:
        provider = RunComfy(server.base, "secret-4711")
        try:
            yield provider, server
        finally:
            await provider.close()


async def nothing() -> None:
    """Nothing has to happen before sending."""


async def until_said(server: TalkingServer) -> None:
    """The stray bytes are on the connections that are open, and no further connection gets any."""
    server.say.set()
    async with asyncio.timeout(10):
        while server.said < server.connections:  # noqa: ASYNC110 - what is waited for is seen from outside only
            await asyncio.sleep(0.005)
    server.say.clear()
    await asyncio.sleep(0.02)


@pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY)
async def test_what_comes_on_an_idle_connection_is_not_the_answer_to_the_next_post(stray: Reply) -> None:
    async with talking(stray) as (provider, server):
        assert await provider.submit(MODEL, BODY, nothing) == Taken("id-1")
        await until_said(server)
        assert await provider.submit(MODEL, BODY, nothing) == Taken("id-2")
        assert len(server.posts) == 2


@pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY)
async def test_what_comes_while_the_intent_is_written_is_not_the_answer_to_the_post(stray: Reply) -> None:
    intents = 0
    async with talking(stray) as (provider, server):

        async def write_intent() -> None:
            nonlocal intents
            intents += 1
            await until_said(server)

        assert await provider.submit(MODEL, BODY, write_intent) == Taken("id-1")
        assert (intents, len(server.posts)) == (1, 1)


@pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY)
async def test_what_comes_on_an_idle_connection_is_not_the_answer_to_the_next_question(stray: Reply) -> None:
    async with talking(stray) as (provider, server):
        assert await provider.status("id-1") == Over("completed")
        await until_said(server)
        assert await provider.status("id-2") == Over("completed")


async def test_a_connection_that_ends_while_the_intent_is_written_is_replaced_before_anything_is_sent() -> None:
    intents = 0
    async with listening(_Hasty([reply(200, {"request_id": "id-1"})])) as server:
        provider = RunComfy(server.base, "secret-4711")

        async def write_intent() -> None:
            nonlocal intents
            intents += 1
            await asyncio.wait_for(server.hung_up.wait(), 10)
            await asyncio.sleep(0.02)

        assert await provider.submit(MODEL, BODY, write_intent) == Taken("id-1")
        await provider.close()
        assert (intents, server.connections, len(server.posts)) == (1, 2, 1)


async def test_where_no_connection_lasts_until_the_first_byte_nothing_was_sent() -> None:
    hung_up = asyncio.Event()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        hung_up.set()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    provider = RunComfy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "secret-4711")

    async def write_intent() -> None:
        await asyncio.wait_for(hung_up.wait(), 10)
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.02)

    answer = await provider.submit(MODEL, BODY, write_intent)
    await provider.close()
    assert isinstance(answer, NotSent)


@dataclass
class _Hasty(RawServer):
    """Hangs up on the first connection before anything is said on it."""

    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.connections:
            return await super().serve(reader, writer)
        self.connections += 1
        writer.close()
        self.hung_up.set()
        return None
