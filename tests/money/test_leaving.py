"""Leaving while the disk is slow: what a row is called at the end is what the disk says of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from batchgen.collector.download import downloads_session
from batchgen.core.job import State
from batchgen.core.money import Price
from batchgen.providers.runcomfy.model_api import RunComfy
from batchgen.scheduler import Limits, Scheduler
from batchgen.scheduler.pacing import ProportionalPolling
from batchgen.state import StateFile
from batchgen.storage.paths import RunFolder
from tests.money.here import EmbeddedServer, attempts, collecting, opened, ran, serving_here
from tests.processes import MODEL, TOKEN


async def test_who_leaves_while_an_intent_is_written_has_sent_nothing_and_is_in_no_doubt(tmp_path: Path) -> None:
    async with serving_here() as server, _one_row(tmp_path, server) as (scheduler, state):
        disk = _busy_disk(state)
        running = asyncio.create_task(scheduler.run())
        await _until(lambda: scheduler.posts_on_the_wire == 1)
        assert await scheduler.abandon() == []
        await asyncio.gather(disk, running)
        assert server.posts == 0
    (job,) = attempts(tmp_path)
    assert (job.state, job.reason) == (State.PENDING, "the run was told to leave before it was sent")


async def test_who_leaves_while_an_id_is_written_does_not_call_its_row_doubtful(tmp_path: Path) -> None:
    async with serving_here("submit.slow=100%:300ms") as server, _one_row(tmp_path, server) as (scheduler, state):
        running = asyncio.create_task(scheduler.run())
        await _until(lambda: server.posts == 1)
        disk = _busy_disk(state)
        await _until(lambda: state._writer._queue.qsize() == 1)
        assert await scheduler.abandon() == []
        await asyncio.gather(disk, running)
        (charged,) = await server.charged()
    (job,) = attempts(tmp_path)
    assert (job.state, job.request_id) == (State.SUBMITTED, charged["request_id"])


async def test_a_row_whose_answer_is_not_waited_for_is_named_as_doubtful(tmp_path: Path) -> None:
    async with serving_here("submit.slow=100%:5s") as server, _one_row(tmp_path, server) as (scheduler, _):
        running = asyncio.create_task(scheduler.run())
        await _until(lambda: server.posts == 1)
        assert await scheduler.abandon() == ["row-0000"]
        await running
    (job,) = attempts(tmp_path)
    assert job.state is State.IN_DOUBT


@asynccontextmanager
async def _one_row(folder: Path, server: EmbeddedServer) -> AsyncIterator[tuple[Scheduler, StateFile]]:
    """A run of one row that has not begun."""
    await ran(folder, server.url, rows=1, limit=0)
    state = opened(RunFolder.at(folder / "out"), server.url)
    provider = RunComfy(server.url, TOKEN)
    try:
        async with (
            downloads_session(allow_private=True, limit=1) as session,
            collecting(state.folder, session, time.time) as collector,
        ):
            limits, prices = Limits(in_flight=1, min_free_bytes=0), {MODEL: Price(30_000, 30_000)}
            yield Scheduler(state, provider, collector, limits, prices, ProportionalPolling(), time.time), state
    finally:
        await provider.close()
        state.close()


def _busy_disk(state: StateFile) -> asyncio.Task[None]:
    """Keep the thread that writes from writing for a while, as a slow disk does."""
    return asyncio.create_task(state._writer.change(lambda connection: time.sleep(1.0)))


async def _until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 - what is waited for is seen from outside only
            await asyncio.sleep(0.005)
