"""Rows in doubt, settled by a person's word: adopted, released to be sent again, or given up."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from batchgen.core.errors import Refusal
from batchgen.core.job import Adopted, GivenUp, Job, State
from batchgen.core.row import canonical
from batchgen.providers.contract import NoNews, Over, Provider, Unknown, Waiting
from batchgen.state import StateFile


class NotSettled(Refusal):
    """What was asked for a row in doubt cannot be done. Says why; nothing was changed."""


def in_doubt(state: StateFile, row_id: str) -> Job:
    """The doubtful job of *row_id*. Raises NotSettled if the row is not in doubt."""
    jobs = list(state.reader.jobs([State.IN_DOUBT], {row_id}))
    if not jobs:
        raise NotSettled(f"row {row_id} is not in doubt")
    return jobs[0]


async def adopt(state: StateFile, provider: Provider, row_id: str, request_id: str) -> Job:
    """Give a doubtful row the request_id that a person found; it is polled and collected from then on.

    Raises NotSettled if this folder knows the id already, the provider does not, or the provider says that it was
    made from another input.
    """
    job = in_doubt(state, row_id)
    if (other := state.reader.job_of(request_id)) is not None:
        raise NotSettled(f"{request_id} is the request of row {other.row_id} already")
    match await provider.status(request_id):
        case Waiting() | Over():
            pass
        case Unknown(reason):
            raise NotSettled(f"the provider does not know {request_id}: {reason}")
        case answer:
            raise NotSettled(f"{request_id} could not be checked, try again later: {answer.reason}")
    if isinstance(result := await provider.result(request_id, job.model), NoNews):
        raise NotSettled(f"{request_id} could not be checked, try again later: {result.reason}")
    echoed = await provider.echoed_input(request_id)
    if echoed is not None and (differing := _differing(job, echoed)):
        raise NotSettled(f"{request_id} was made from another input: {', '.join(differing)} differ from row {row_id}")
    return await state.record(job, Adopted(time.time(), request_id))


def _differing(job: Job, echoed: Mapping[str, Any]) -> list[str]:
    """Fields that the provider echoes otherwise than they were sent. Inlined files come back as anything."""
    inlined = {str(file["pointer"]).partition(".")[0] for file in job.files}
    return [
        name
        for name, value in job.input.items()
        if name not in inlined and (name not in echoed or canonical(echoed[name]) != canonical(value))
    ]


async def release(state: StateFile, jobs: Sequence[Job]) -> int:
    """Close doubtful attempts and start new ones: they may be paid for twice, which is what was agreed to.

    Raises StateUnusable in a copy of a folder.
    """
    state.refuse_copy()
    for job in jobs:
        await state.record(job, GivenUp(time.time(), "released to be sent again"))
    return await state.start_attempts(jobs)


async def give_up(state: StateFile, jobs: Sequence[Job]) -> None:
    """Close doubtful rows for good; what they may have cost stays counted."""
    for job in jobs:
        await state.record(job, GivenUp(time.time(), "given up while in doubt"))
