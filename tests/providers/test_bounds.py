"""What a provider that has gone wrong can cost: bytes by the kind of answer, and memory in proportion to them."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from batchgen.core.job import Output
from batchgen.providers.contract import CancelOutcome, Lost, NoNews, Success, Taken
from batchgen.providers.http import AnswerLost
from batchgen.providers.httpanswer import json_of
from batchgen.providers.runcomfy.model_api import RunComfy
from tests.providers.rawserver import RawServer, Reply, Seen, listening, raw_server, reply

MODEL = "bytedance/seedream-4-0/edit-sequential"
MIB = 2**20
LONG_BYTES = 60 * MIB
HELD_BYTES = 300 * MIB
"""A tenth of what the answer took when it was read whole."""


@dataclass
class EndlessServer(RawServer):
    """Answers everything with as much JSON of *piece* as is read."""

    piece: bytes = b"[],"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._read(reader) is not None:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n[" % (LONG_BYTES + 1))
                chunk = (self.piece * (MIB // len(self.piece))).ljust(MIB)
                for _ in range(LONG_BYTES // MIB):
                    writer.write(chunk)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def endless(piece: bytes) -> AsyncIterator[RunComfy]:
    async with listening(EndlessServer(piece=piece)) as server:
        provider = RunComfy(server.base, "secret-4711")
        try:
            yield provider
        finally:
            await provider.close()


@pytest.fixture
def held_bytes() -> Iterator[Callable[[], int]]:
    """The most memory that was held at once since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


async def nothing() -> None:
    """Nothing has to happen before sending."""


async def catalogue_of(provider: RunComfy) -> object:
    try:
        return await provider.catalogue_entry(MODEL)
    except AnswerLost as lost:
        return lost


CALLS: dict[str, tuple[Callable[[RunComfy], Awaitable[object]], object]] = {
    "submit": (lambda provider: provider.submit(MODEL, {"text": "a"}, nothing), Lost),
    "status": (lambda provider: provider.status("id-1"), NoNews),
    "result": (lambda provider: provider.result("id-1", MODEL), NoNews),
    "cancel": (lambda provider: provider.cancel("id-1"), CancelOutcome.UNKNOWN),
    "catalogue": (catalogue_of, AnswerLost),
    "search": (lambda provider: provider.search("a"), None),
}


@pytest.mark.parametrize("piece", [b"[],", b'{"":1},', b"0.5,"], ids=["lists", "objects", "numbers"])
@pytest.mark.parametrize(("call", "means"), CALLS.values(), ids=CALLS)
async def test_sixty_megabytes_of_json_hold_a_fraction_of_their_memory_and_are_no_answer(
    call: Callable[[RunComfy], Awaitable[object]], means: object, piece: bytes, held_bytes: Callable[[], int]
) -> None:
    async with endless(piece) as provider:
        got = await call(provider)
        assert isinstance(got, means) if isinstance(means, type) else got is means
        assert held_bytes() < HELD_BYTES


async def test_answers_that_are_long_are_held_one_after_the_other(held_bytes: Callable[[], int]) -> None:
    async with endless(b"[],") as provider:
        answers = await asyncio.gather(*(provider.result(f"id-{number}", MODEL) for number in range(4)))
        assert {type(answer) for answer in answers} == {NoNews}
        assert held_bytes() < HELD_BYTES


# ── what is long and right ──────────────────────────────────────────────────────────────────────────────


async def test_an_answer_may_repeat_files_that_were_inlined(held_bytes: Callable[[], int]) -> None:
    echoed = {"text": "a", "image": "data:image/png;base64," + "A" * (5 * MIB)}
    done = {"status": "succeeded", "input": echoed, "output": {"image": "https://files.example/a.png"}}
    async with raw_server(reply(200, {"request_id": "id-1", "input": echoed}), reply(200, done)) as server:
        provider = RunComfy(server.base, "secret-4711")
        assert await provider.submit(MODEL, echoed, nothing) == Taken("id-1")
        outputs = (Output("image", "https://files.example/a.png"),)
        assert await provider.result("id-1", MODEL) == Success(outputs, None)
        assert await provider.echoed_input("id-1") == echoed
        await provider.close()


@pytest.mark.parametrize("more_bytes", [0, 1])
async def test_an_answer_of_just_the_most_bytes_is_read_and_one_byte_more_is_not(more_bytes: int) -> None:
    text = json.dumps({"status": "in_queue", "note": ""})
    body = text.replace('""', f'"{"x" * (MIB - len(text) + more_bytes)}"').encode()
    async with raw_server(reply(200, body)) as server:
        provider = RunComfy(server.base, "secret-4711")
        answer = await provider.status("id-1")
        await provider.close()
    assert isinstance(answer, NoNews) == bool(more_bytes)


async def test_an_answer_without_a_length_that_never_ends_is_given_up() -> None:
    class Dripping(RawServer):
        async def answer_to(self, seen: Seen) -> Reply:
            return Reply(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[" + b" " * (2 * MIB))

    async with listening(Dripping()) as server:
        provider = RunComfy(server.base, "secret-4711")
        assert isinstance(await provider.status("id-1"), NoNews)
        await provider.close()


# ── nesting ─────────────────────────────────────────────────────────────────────────────────────────────


def nested(depth: int, opening: str, closing: str) -> str:
    return opening * depth + "1" + closing * depth


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_as_deep_as_any_answer_is_read_and_deeper_is_not(opening: str, closing: str) -> None:
    assert json_of(nested(64, opening, closing)) is not None
    assert json_of(nested(65, opening, closing)) is None
    assert json_of(nested(5_000, opening, closing)) is None


def test_brackets_in_a_text_are_no_nesting() -> None:
    assert json_of(json.dumps({"text": "[" * 1_000})) == {"text": "[" * 1_000}


def test_many_values_side_by_side_are_read_up_to_their_limit() -> None:
    assert len(json_of(json.dumps([[number] for number in range(90_000)]))) == 90_000
    assert json_of(json.dumps([[number] for number in range(110_000)])) is None
