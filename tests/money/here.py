"""The real run in this process, where a process of its own would only take longer."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from batchgen.collector.collect import Collector
from batchgen.collector.download import downloads_session
from batchgen.core.job import Job
from batchgen.core.money import Price
from batchgen.providers.runcomfy.model_api import RunComfy
from batchgen.runner.commands import run
from batchgen.runner.options import Options
from batchgen.runner.outcome import Report
from batchgen.runner.session import Watch
from batchgen.scheduler import Limits, Scheduler, StopInfo
from batchgen.scheduler.pacing import ProportionalPolling
from batchgen.simulator.provider import Provider
from batchgen.simulator.server import ServeOptions, running
from batchgen.state import StateFile, open_reader, open_state
from batchgen.storage.paths import RunFolder
from tests.money.harness import sha256_of
from tests.processes import MODEL, TOKEN, write_csv


async def ran(
    folder: Path,
    base: str,
    rows: int = 1,
    watch: Watch | None = None,
    manifest: Path | None = None,
    **options: Any,
) -> Report:
    """Run a manifest in *folder* to its end; again, it resumes. Without one, it is of *rows* simple rows."""
    if manifest is None:
        manifest = folder / "dunes.csv"
        if not manifest.exists():
            write_csv(manifest, rows)
    told: dict[str, Any] = {
        "api_base": base,
        "token": TOKEN,
        "out": folder / "out",
        "min_free_bytes": 0,
        "in_flight": 1,
        "prices": {MODEL: Decimal("0.03")},
    } | options
    return await run(manifest, Options(**told), lambda plan: True, watch)


def attempts(folder: Path, row_id: str = "row-0000") -> list[Job]:
    """Every attempt at a row of the run folder that `ran` uses."""
    with closing(open_reader(RunFolder.at(folder / "out"))) as reader:
        return reader.attempts(row_id)


def opened(folder: RunFolder, base: str) -> StateFile:
    """The state of *folder*, open for writing, without a run around it."""
    return open_state(
        folder, base, rehearsal=False, on_trouble=lambda reason, jobs: None, on_move=lambda job, event: None
    )


@asynccontextmanager
async def collecting(
    folder: RunFolder, session: aiohttp.ClientSession, now: Callable[[], float]
) -> AsyncIterator[Collector]:
    """A collector for a loopback base, closed at the end."""
    collector = Collector(folder, session, True, now)
    try:
        yield collector
    finally:
        await collector.close()


async def hurried(folder: Path, base: str, rows: int, in_flight: int, times: float = 20.0) -> StopInfo:
    """The same rows through the scheduler by a clock that runs *times* as fast: pauses of minutes take seconds."""
    await ran(folder, base, rows=rows, limit=0)
    started = time.time()
    state = opened(RunFolder.at(folder / "out"), base)
    provider = RunComfy(base, TOKEN)
    try:
        async with (
            downloads_session(allow_private=True, limit=4) as session,
            collecting(state.folder, session, time.time) as collector,
        ):
            scheduler = Scheduler(
                state,
                provider,
                collector,
                Limits(in_flight=in_flight, min_free_bytes=0),
                {MODEL: Price(30_000, 30_000)},
                ProportionalPolling(),
                lambda: started + (time.time() - started) * times,
            )
            return await scheduler.run()
    finally:
        await provider.close()
        state.close()


@asynccontextmanager
async def serving_here(faults: str = "", latency: str = "fixed:50ms", **options: Any) -> AsyncIterator[EmbeddedServer]:
    """The embedded server on this event loop."""
    told = ServeOptions(token=TOKEN, faults=faults, latency=latency, draw="tiny", **options)
    async with running(told) as server:
        yield EmbeddedServer(server.url, server.provider)


@dataclass(frozen=True)
class EmbeddedServer:
    """An embedded server in this process, and what it knows."""

    url: str
    provider: Provider

    def change(self, **options: Any) -> None:
        self.provider.change(options)

    async def charged(self) -> list[dict[str, Any]]:
        """Every job it made, as its ledger tells them."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/__ledger") as answer:
            return list((await answer.json())["charged"])

    @property
    def posts(self) -> int:
        return self.provider.counters["submit"]


async def collected_whole(folder: Path, server: EmbeddedServer) -> bool:
    """Whether the files of every job that succeeded are on disk, byte for byte as the provider made them."""
    by_id = {}
    for sidecar in (folder / "out" / "rows").glob("*/row.json"):
        told = json.loads(sidecar.read_text("utf-8"))
        saved = sorted(path.name for path in sidecar.parent.iterdir() if path != sidecar)
        assert saved == sorted(file["name"] for file in told["files"]), f"strays beside {saved}"
        by_id[told["request_id"]] = sorted(sha256_of(sidecar.parent / name) for name in saved)
    succeeded = [job for job in await server.charged() if job["state"] == "succeeded"]
    made = {job["request_id"]: sorted(str(output["sha256"]) for output in job["outputs"]) for job in succeeded}
    return by_id == made
