"""The step that brings files home, soonest-to-expire first, and asks once more for a cost that is still missing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from batchgen.collector.collect import Collection, Collector, TryLater
from batchgen.core.job import Collected, CostKnown, Job, JobFailed, LinksExpired
from batchgen.providers.contract import Provider, Success
from batchgen.scheduler.control import RunControl
from batchgen.scheduler.pacing import Measure
from batchgen.scheduler.reservations import Reservations
from batchgen.scheduler.timers import DeadlineSemaphore
from batchgen.state import StateFile

_LONG_WAIT_S = 60.0
"""A file host that is given this much time until the next try has been tried and has refused for a while."""
_TOLD_WAIT_S = 15.0
"""Shorter waits are over before anybody has read of them."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A row whose file host gave nothing, and when its links are asked for anew: *until* in Unix seconds."""

    row_id: str
    reason: str
    until: float


class Collecting:
    """Downloads of ready jobs, within a limit of their own.

    *waits* are the rows that give their file host time, by the keys of their jobs; *waiting* are the keys of jobs that
    are not home yet; *took* are the seconds after which others were, and *held* those for which each kept one of the
    *places*.
    """

    def __init__(
        self,
        state: StateFile,
        provider: Provider,
        collector: Collector,
        course: RunControl,
        purse: Reservations,
        downloads: int,
        job_timeout_s: float,
    ) -> None:
        self.waiting: set[int] = set()
        self.waits: dict[int, Wait] = {}
        self.took = Measure()
        self.held = Measure()
        self.places = downloads
        self._state = state
        self._provider = provider
        self._collector = collector
        self._course = course
        self._purse = purse
        self._job_timeout_s = job_timeout_s
        self._places = DeadlineSemaphore(downloads)

    async def fetch(self, job: Job) -> Job:
        """*job* with its files in its row folder, or failed, or submitted again for fresh links."""
        self.waiting.add(job.key)
        began = self._course.now()
        earlier = self._earlier(job)
        while True:
            outcome = await self._course.unless_told_to_leave(self._collect(job, earlier))
            match outcome:
                case None:
                    return job
                case Collected():
                    self.took.add(max(self._course.now() - began, 0.0))
                    return await self._late_cost(await self._state.record(job, outcome), earlier)
                case JobFailed():
                    return await self._state.record(job, outcome)
                case TryLater(reason, after_s, expired):
                    if after_s >= _TOLD_WAIT_S:
                        self.waits[job.key] = Wait(job.row_id, reason, self._course.now() + after_s)
                    try:
                        if not await self._wait(job, after_s):
                            return job
                    finally:
                        self.waits.pop(job.key, None)
                    if expired:
                        self.waiting.discard(job.key)
                        return await self._state.record(job, LinksExpired(self._course.now()))

    async def _wait(self, job: Job, after_s: float) -> bool:
        """Until the next try. A job that grows overdue meanwhile is marked at that moment, and not after it."""
        now = self._course.now()
        until_overdue_s = min(job.submitted_at or 0.0, now) + self._job_timeout_s - now
        if after_s < _LONG_WAIT_S or until_overdue_s > after_s:
            return await self._course.sleep(after_s)
        if until_overdue_s > 0.0 and not await self._course.sleep(until_overdue_s):
            return False
        self._course.mark_overdue(job)
        return await self._course.sleep(after_s - max(until_overdue_s, 0.0))

    async def _collect(self, job: Job, earlier: list[Job]) -> Collection | None:
        """One try; None if the run leaves. The place is free again once all is here, before it is on disk."""
        async with self._places.at(self._collector.expires_at(job)):
            if self._course.leaving:
                return None
            began = self._course.now()
            arrived = await self._collector.download(job)
            self.held.add(max(self._course.now() - began, 0.0))
        return await self._collector.shelve(job, earlier, arrived)

    def _earlier(self, job: Job) -> list[Job]:
        if job.n == 1:
            return []
        return [attempt for attempt in self._state.reader.attempts(job.row_id) if attempt.n < job.n]

    async def _late_cost(self, job: Job, earlier: list[Job]) -> Job:
        """The cost may come after the result: ask once more when the files are safe."""
        self.waiting.discard(job.key)
        if job.cost_micro is not None or job.request_id is None:
            return job
        asking = self._provider.result(job.request_id, job.model)
        result = await self._course.unless_told_to_leave(asking)
        if not isinstance(result, Success) or result.cost_micro is None:
            return job
        self._purse.seen(job, result.cost_micro)
        job = await self._state.record(job, CostKnown(self._course.now(), result.cost_micro))
        await asyncio.to_thread(self._collector.rewrite_sidecar, job, earlier)
        return job
