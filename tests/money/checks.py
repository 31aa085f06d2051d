"""Small, fast checks of the promise, for `test_mutants` to run against broken copies of the package.

`python -m tests.money.checks CHECK FOLDER` ends with 0 if the check holds, else with an AssertionError.
"""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from batchgen.core.job import State
from tests.money.answering import ACCEPTED, ID, AnsweringServer, answering
from tests.money.here import attempts, ran
from tests.providers.rawserver import Seen, reply


def _on_disk(folder: Path) -> tuple[str, str | None, str]:
    """State and request_id of the only row by the state file, and the whole journal."""
    with closing(sqlite3.connect(f"file:{folder}/out/state.db?mode=ro", uri=True)) as connection:
        state, request_id = connection.execute("SELECT state, request_id FROM jobs").fetchone()
    return state, request_id, (folder / "out" / "journal.jsonl").read_text("utf-8")


async def the_intent_is_on_disk_twice_when_the_post_arrives(folder: Path) -> None:
    found: list[tuple[str, str | None, str]] = []
    async with answering(ACCEPTED) as server:
        _look_when(server, "POST", lambda: found.append(_on_disk(folder)))
        await ran(folder, server.base)
    state, _, journal = found[0]
    assert state == "submitting", f"the state said {state} when the POST arrived"
    assert '"event":"Intent"' in journal, "the journal knew nothing of the POST that arrived"


async def the_id_is_on_disk_twice_at_its_first_use(folder: Path) -> None:
    found: list[tuple[str, str | None, str]] = []
    async with answering(ACCEPTED) as server:
        _look_when(server, f"GET /v1/requests/{ID}", lambda: found.append(_on_disk(folder)))
        await ran(folder, server.base)
    _, request_id, journal = found[0]
    assert request_id == ID, "the state did not know the id that was asked for"
    assert ID in journal, "the journal did not know the id that was asked for"


async def an_answer_on_its_way_is_waited_for_and_saved_although_the_run_is_cancelled(folder: Path) -> None:
    async with answering(ACCEPTED, takes_s=0.5) as server:
        running = asyncio.create_task(ran(folder, server.base))
        async with asyncio.timeout(60):
            while not server.open_posts:  # noqa: ASYNC110 - the server counts, it does not call
                await asyncio.sleep(0.01)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    (job,) = attempts(folder)
    assert (job.state, job.request_id) == (State.SUBMITTED, ID), f"the row is {job.state}, its id {job.request_id}"


async def a_doubtful_row_is_never_sent_again(folder: Path) -> None:
    async with answering(reply(502, b"upstream error"), ACCEPTED) as server:
        for _ in range(2):
            await ran(folder, server.base)
        assert len(server.posts) == 1, f"it was sent {len(server.posts)} times"


async def a_failed_job_is_never_sent_again(folder: Path) -> None:
    async with answering(ACCEPTED, reply(200, {"request_id": "another"})) as server:
        for _ in range(2):
            await ran(folder, server.base)
        assert len(server.posts) == 1, f"it was sent {len(server.posts)} times"


def _look_when(server: AnsweringServer, request: str, look: Callable[[], None]) -> None:
    """Call *look* at the moment when a request arrives that begins with *request*."""

    class Watching(list[Seen]):
        def append(self, seen: Seen) -> None:
            if f"{seen.method} {seen.target}".startswith(request):
                look()
            super().append(seen)

    server.seen = Watching()


Check = Callable[[Path], Coroutine[Any, Any, None]]

CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        the_intent_is_on_disk_twice_when_the_post_arrives,
        the_id_is_on_disk_twice_at_its_first_use,
        an_answer_on_its_way_is_waited_for_and_saved_although_the_run_is_cancelled,
        a_doubtful_row_is_never_sent_again,
        a_failed_job_is_never_sent_again,
    )
}


async def _main() -> None:
    _, name, folder = sys.argv
    for check in [CHECKS[name]] if name in CHECKS else CHECKS.values():
        place = Path(folder) / check.__name__
        place.mkdir()
        async with asyncio.timeout(30):
            await check(place)
    print(inspect.getfile(sys.modules["batchgen"]))


if __name__ == "__main__":
    asyncio.run(_main())
