"""What the durable state costs by itself: four events a row, 64 rows at once, as a run records them.

    python -m tests.bench.events [--rows 2000] [--times 3] [--folder DIR ...] [--json]

Each event is in SQLite and in the journal, and synced in both, before the next of its row is told. Not a test.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from batchgen.core.job import Accepted, Collected, Intent, Job, Output, SavedFile, State, Succeeded
from batchgen.state import StateFile, open_state
from batchgen.storage.paths import RunFolder
from tests.bench.figures import Figure, default_folders, parsed, scratch, show
from tests.processes import MODEL

_AT_ONCE = 64
_EVENTS = 4


def opened(folder: RunFolder) -> StateFile:
    return open_state(folder, "http://127.0.0.1:1", False, lambda reason, jobs: None)


def enrolled(place: Path, rows: int) -> RunFolder:
    """A run folder whose rows all wait to be sent."""
    folder = RunFolder.at(place / "out")
    opened(folder).close()
    with closing(sqlite3.connect(folder.state)) as state:
        for key in range(1, rows + 1):
            request = json.dumps({"text": f"a dune, {key}", "images": ["https://example.com/a.png"], "seed": key})
            state.execute(
                "INSERT INTO rows (key, row_id, folded, explicit_id, position, meta) VALUES (?, ?, ?, 1, ?, '{}')",
                (key, f"row-{key:07d}", f"row-{key:07d}", key),
            )
            state.execute(
                "INSERT INTO jobs (key, n, state, position, model, input, files, fingerprint, outputs_asked, units) "
                "VALUES (?, 1, 'pending', ?, ?, ?, '[]', ?, 1, 1)",
                (key, key, MODEL, request, f"{key:064x}"),
            )
        state.commit()
    return folder


async def _carry(state: StateFile, jobs: Iterator[Job]) -> None:
    for job in jobs:
        request_id = f"3f2b7c1e-0000-4000-8000-{job.key:012d}"
        output = Output("images", f"http://127.0.0.1:1/{request_id}/output/image_output.png")
        saved = SavedFile("images-00.png", 1000, f"{job.key:064x}", "image/png", 16, 16)
        sent = await state.record(job, Intent(1.0, 30_000))
        taken = await state.record(sent, Accepted(2.0, request_id))
        ready = await state.record(taken, Succeeded(3.0, (output,), 30_000))
        await state.record(ready, Collected(4.0, (saved,)))


async def _all(state: StateFile) -> None:
    jobs = iter(list(state.reader.jobs([State.PENDING])))
    await asyncio.gather(*(_carry(state, jobs) for _ in range(_AT_ONCE)))


def measured(place: Path, rows: int) -> tuple[float, float]:
    """CPU milliseconds a row, and events a second."""
    with scratch("events-", place) as folder:
        state = opened(enrolled(folder, rows))
        began, used = time.perf_counter(), time.process_time()
        try:
            asyncio.run(_all(state))
        finally:
            cpu_s, wall_s = time.process_time() - used, time.perf_counter() - began
            state.close()
    return 1000 * cpu_s / rows, _EVENTS * rows / wall_s


def figures(arguments: argparse.Namespace) -> Iterator[Figure]:
    for place in arguments.folder or default_folders():
        taken = [measured(place, arguments.rows) for _ in range(arguments.times)]
        yield Figure(f"{place}: state, {_EVENTS} events", tuple(cpu_ms for cpu_ms, _ in taken), "ms a row")
        yield Figure(f"{place}: state", tuple(per_s for _, per_s in taken), "events/s")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--folder", type=Path, action="append")


def main() -> None:
    arguments, _ = parsed(__doc__, add_flags)
    show(figures(arguments), arguments.json)


if __name__ == "__main__":
    main()
