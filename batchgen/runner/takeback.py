"""Bytes that were set aside go into their rows by a person's word: nothing is sent, nothing is paid."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from batchgen.collector import row_folder
from batchgen.collector.collect import Collector
from batchgen.core.errors import Refusal
from batchgen.core.job import Job, State
from batchgen.state import StateFile


class NothingSetAside(Refusal):
    """A row that was named has no bytes that could be taken back. Says why; nothing was changed."""


async def take_back(state: StateFile, collector: Collector, row_ids: Sequence[str]) -> list[Job]:
    """The rows as they are with what was set aside of their latest attempts: collected, each with its whole files.

    A row is recorded once its files are in place; only then are they no longer set aside. Raises NothingSetAside,
    before the first row is changed.
    """
    taken = []
    for attempts, aside in [_found(state, row_id) for row_id in dict.fromkeys(row_ids)]:
        *earlier, job = attempts
        job = await state.record(job, await collector.take_back(job, earlier, aside))
        for path in aside.values():
            await asyncio.to_thread(state.folder.unlink, path)
        taken.append(job)
    return taken


def _found(state: StateFile, row_id: str) -> tuple[list[Job], Mapping[str, Path]]:
    """Every attempt at *row_id*, and what was set aside of the last."""
    attempts = state.reader.attempts(row_id)
    if not attempts:
        raise NothingSetAside(f"no row is called {row_id!r}; nothing was changed")
    job = attempts[-1]
    if job.state not in (State.FAILED, State.COLLECTED) or job.request_id is None:
        words = job.state.value.replace("_", " ")
        raise NothingSetAside(f"row {row_id} is {words}, so nothing of it can be taken back; nothing was changed")
    aside = row_folder.set_aside_of(state.folder, job)
    if not aside:
        raise NothingSetAside(
            f"nothing of the latest attempt at row {row_id} lies in {state.folder.set_aside}; nothing was changed"
        )
    return attempts, aside
