"""Cancel what the provider has not started yet. Only its own word about the job makes a row cancelled."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from batchgen.core.job import Job, JobCancelled, State
from batchgen.providers.contract import Cancelled, CancelOutcome, Provider
from batchgen.state import StateFile

_AT_ONCE = 16
_ASKS = 3


@dataclass(slots=True)
class Cancelling:
    """What cancelling came to, in row ids. What could not be cancelled goes on, and will be billed."""

    cancelled: list[str]
    too_late: list[str]
    unanswered: list[str]


async def cancel_queued(state: StateFile, provider: Provider, only: frozenset[str] | None) -> Cancelling:
    """Ask the provider to cancel every submitted job of *state*, and record those it says are cancelled."""
    told = Cancelling([], [], [])
    places = asyncio.Semaphore(_AT_ONCE)

    async def cancel(job: Job) -> None:
        async with places:
            match await provider.cancel(str(job.request_id)):
                case CancelOutcome.CANCELLED if await _is_cancelled(state, provider, job):
                    told.cancelled.append(job.row_id)
                case CancelOutcome.NOT_CANCELLABLE:
                    told.too_late.append(job.row_id)
                case _:
                    told.unanswered.append(job.row_id)

    jobs = [job for job in state.reader.jobs([State.SUBMITTED], only) if job.ended_at is None]
    await asyncio.gather(*(cancel(job) for job in jobs))
    return told


async def _is_cancelled(state: StateFile, provider: Provider, job: Job) -> bool:
    for asked in range(_ASKS):
        result = await provider.result(str(job.request_id), job.model)
        if isinstance(result, Cancelled):
            await state.record(job, JobCancelled(time.time(), "cancelled as asked", result.cost_micro))
            return True
        await asyncio.sleep(0.2 * (asked + 1))
    return False
