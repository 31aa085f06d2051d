"""A run folder that is open for writing: lock, state, sessions, and the scheduler over them; closed in reverse."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from batchgen.collector import row_folder
from batchgen.collector.collect import Collector
from batchgen.collector.download import DiskFull, downloads_session
from batchgen.collector.workers.verifiers import default_workers
from batchgen.core import log
from batchgen.core.errors import Exit, Refusal
from batchgen.core.job import ContactLost, CostKnown, Event, FilesLost, Job, State
from batchgen.core.text import named
from batchgen.core.version import __version__
from batchgen.models.catalog import Catalogue
from batchgen.providers.contract import AccountBlocked, Cause, NoNews, Success
from batchgen.providers.runcomfy.model_api import RunComfy, is_loopback
from batchgen.results.failed_csv import write_failed_csv
from batchgen.results.reviews import rejected_rows
from batchgen.runner import canary
from batchgen.runner.activity import ActivityReporter, tell_question
from batchgen.runner.keep_awake import kept_awake
from batchgen.runner.measurements import History, measured
from batchgen.runner.options import Options
from batchgen.runner.outcome import Report, exit_code
from batchgen.runner.pricing import look_up, price_what_was_sent, prices
from batchgen.scheduler import POLLING_LEARNED, Scheduler, StopInfo
from batchgen.scheduler.fault import in_words
from batchgen.scheduler.pacing import LearnedPolling
from batchgen.state import OnMove, StateFile, no_run_folder, open_reader, open_state
from batchgen.storage.paths import RunFolder

_POLLS_PER_MIN = 6_000.0
_LOOPBACK_POLLS_PER_MIN = 120_000.0
_SWITCH_S = 0.0005
_SEARCHED_AFTER = 5000
_MODELS_NAMED = 5


Watch: TypeAlias = Callable[[Scheduler], Coroutine[None, None, None]]
"""Runs beside the scheduler, to show what it does or to pass signals on; cancelled at its end."""


@dataclass
class Session:
    """A run folder with its lock, its state and its sessions."""

    folder: RunFolder
    options: Options
    state: StateFile
    provider: RunComfy
    collector: Collector
    catalogue: Catalogue
    told_to_stop: bool = False
    """Whether a person ended what was last carried."""

    async def carry(self, only: frozenset[str] | None, watch: Watch | None, submitting: bool = True) -> Report:
        """Run the scheduler to its end and say what it came to."""
        started = time.time()
        await look_up(self.catalogue, self.state.reader)
        known = prices(self.catalogue, self.state.reader)
        await price_what_was_sent(self.state, known, self.catalogue)
        scheduler = Scheduler(
            self.state,
            self.provider,
            self.collector,
            replace(self.options.limits, budget_micro=self.state.reader.budget_micro()),
            known,
            self._polling(),
            time.time,
            only=only,
            submitting=submitting,
            on_breaker=self.options.on_breaker,
        )
        log.tell("start", out=str(self.folder.path), base=self.options.base, version=__version__, sends=submitting)
        beside = [asyncio.create_task(ActivityReporter(scheduler).tell())]
        if watch is not None:
            beside.append(asyncio.create_task(watch(scheduler)))
        try:
            with kept_awake(), _quick_on_its_feet():
                ending = await scheduler.run()
            self.told_to_stop = ending.by_user
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        if self.state.lost() is None:
            await asyncio.to_thread(write_failed_csv, self.folder)
            await asyncio.to_thread(row_folder.remove_empty_parts, self.folder)
            if not self.options.rehearsal:
                await asyncio.to_thread(self._remember, started)
        elif self.state.is_deleted:
            paid = list(self.state.reader.jobs([State.SUBMITTED, State.READY]))
            self.options.on_trouble("paid jobs whose folder was deleted; their ids stand nowhere else", paid)
        return self._report(scheduler, ending, only)

    async def carry_canary(self, count: int, only: frozenset[str] | None, watch: Watch | None) -> Report | None:
        """Send a sample of the rows first. Answers with a report if the rest is not to follow.

        `after_canary` decides that; what the sample sent counts against the limit of the run.
        """
        limit = self.options.limit
        sample = canary.choose(self.state.reader, count, only, limit)
        if not sample:
            return None
        expected = {model: one.job_s for model, one in History(self.options.base).read().items()}
        report = await self.carry(frozenset(sample), watch)
        if report.exit is not Exit.DONE and report.exit is not Exit.SOME_FAILED:
            return report
        await self.ask_late_costs(frozenset(sample))
        result = canary.judge(self.state.reader, sample, expected)
        if limit is not None:
            self.options = replace(self.options, limit=limit - len(sample))
        rows, cost_micro = canary.rest_of(
            self.state.reader, prices(self.catalogue, self.state.reader), only, self.options.limit
        )
        result = replace(result, rest_rows=rows, rest_micro=cost_micro, rows_folder=str(self.folder.rows))
        if not rows:
            return None
        await tell_question(self.state, f"send the rest, {result.rest}?")
        if self.options.after_canary(result):
            return None
        why = "the rest was not agreed to" if result.promising else "the canary says otherwise than the estimate"
        return replace(report, exit=Exit.BUDGET, reason=f"{why}: {result}")

    def _remember(self, since: float) -> None:
        """Keep what this run measured for the forecasts of the next."""
        with closing(open_reader(self.folder)) as reader:
            ended = (job for job in reader.jobs([State.COLLECTED]) if (job.collected_at or 0.0) >= since)
            History(self.options.base).add(measured(ended))

    async def settle_unanswered(self) -> None:
        """POSTs that a killed run left on the wire: nobody knows whether they were accepted."""
        for job in list(self.state.reader.jobs([State.SUBMITTING])):
            await self.state.record(job, ContactLost(time.time(), "the run ended while the POST was on the wire"))

    def to_retry(self, rerun: bool, rejected: bool) -> list[Job]:
        """The rows in scope that a retry is for, those included that an earlier retry began and did not send."""
        only = self.options.only
        states = [State.FAILED, State.CANCELLED, *([State.COLLECTED] if rerun else [])]
        if rejected:
            marked = frozenset(rejected_rows(self.folder))
            only, states = marked if only is None else marked & only, [State.COLLECTED]
        begun = [job for job in self.state.reader.each_pending(only) if job.n > 1]
        return [*begun, *self.state.reader.jobs(states, only)]

    async def find_lost_files(self) -> list[str]:
        """Send collected rows whose files are lost or damaged back to be fetched again. Says what was found."""
        found = []
        for job in list(self.state.reader.jobs([State.COLLECTED], self.options.only)):
            lost = await asyncio.to_thread(row_folder.lost_file, self.folder, job)
            if lost is not None:
                await asyncio.to_thread(row_folder.keep_good_files, self.folder, job)
                await self.state.record(job, FilesLost(time.time(), lost))
                found.append(f"{job.row_id}: {lost}")
        return found

    async def ask_for_missing(self, only: frozenset[str] | None) -> None:
        """Ask once more for the outputs that collected rows lack; what is there of them stays where it is.

        Whoever wants to go is not kept.
        """
        at_once = asyncio.Semaphore(self.options.downloads)
        goes_on = True

        async def ask(job: Job) -> None:
            nonlocal goes_on
            async with at_once:
                if goes_on and not self.told_to_stop:
                    goes_on = await self._complete(job)

        # One after the other has to end before an error is told: what is being written is not left half-way.
        asked = [ask(job) for job in self.state.reader.incomplete(only)]
        for error in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(error, BaseException):
                raise error

    async def _complete(self, job: Job) -> bool:
        """Ask for what *job* lacks. Answers whether others are worth it: the disk has room, and somebody answers."""
        try:
            result = await self.provider.result(str(job.request_id), job.model)
            if isinstance(result, Success) and result.outputs:
                earlier = [attempt for attempt in self.state.reader.attempts(job.row_id) if attempt.n < job.n]
                await self.state.record(job, await self.collector.complete(job, earlier, result.outputs))
        except (OSError, DiskFull) as error:
            log.warn("files", row=job.row_id, reason=str(error))
            return False
        except Refusal:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of our own costs what one row lacks, never the others
            log.warn("fault", row=job.row_id, reason=in_words(error))
            return True
        return not isinstance(result, AccountBlocked) and not (isinstance(result, NoNews) and not result.contact)

    async def ask_late_costs(self, only: frozenset[str] | None) -> None:
        """Read again what ended jobs cost, where no cost came with their result. Whoever wants to go is not kept."""
        if self.told_to_stop:
            return
        ended = self.state.reader.jobs([State.COLLECTED, State.FAILED, State.CANCELLED], only)
        for job in [job for job in ended if job.request_id is not None and job.cost_micro is None]:
            result = await self.provider.result(str(job.request_id), job.model)
            if isinstance(result, AccountBlocked) or (isinstance(result, NoNews) and not result.contact):
                return  # the others would wait for the same, a minute each
            cost_micro = getattr(result, "cost_micro", None)
            if cost_micro is None:
                continue
            known = await self.state.record(job, CostKnown(time.time(), cost_micro))
            if known.state is State.COLLECTED:
                earlier = [attempt for attempt in self.state.reader.attempts(job.row_id) if attempt.n < job.n]
                await asyncio.to_thread(self.collector.rewrite_sidecar, known, earlier)

    async def keep_budget(self) -> None:
        """A budget that is given now stays the folder's until another is given."""
        if (given_micro := self.options.budget_micro) is not None:
            await self.state.set_budget(given_micro)

    def _polling(self) -> LearnedPolling:
        """When to ask, from what earlier runs of the folder learned. This machine's own server need not be spared."""
        most_per_min = _LOOPBACK_POLLS_PER_MIN if is_loopback(self.options.base) else _POLLS_PER_MIN
        polling = LearnedPolling(self.options.poll_rate or most_per_min)
        polling.recall(json.loads(self.state.reader.meta(POLLING_LEARNED) or "{}"))
        return polling

    def _report(self, scheduler: Scheduler, ending: StopInfo, only: frozenset[str] | None) -> Report:
        counts = dict(self.state.tally.counts)
        doubtful = [job.row_id for job in self.state.reader.jobs([State.IN_DOUBT])]
        incomplete = {job.row_id: str(job.reason) for job in self.state.reader.incomplete(only)}
        code = exit_code(
            counts if only is None else self.state.reader.counts(only) | _live(counts),
            ending.cause,
            ending.by_user,
            model_missing=bool(scheduler.models_missing),
            unsent=scheduler.rows_unsent,
            incomplete=bool(incomplete),
        )
        reason = ending.reason
        if code is Exit.PROVIDER and ending.cause is not Cause.PROVIDER:  # exit_code says when models go first
            reason = f"not available at the provider: {named(scheduler.models_missing, _MODELS_NAMED)}"
        if self.collector.not_decoded:
            ending.notes.append(_not_decoded(self.collector.not_decoded))
        for note in ending.notes:
            log.tell("note", reason=note)
        log.tell("end", exit=int(code), reason=reason, **{state.value: count for state, count in counts.items()})
        budget_micro = self.state.reader.budget_micro()
        return Report(
            self.folder.path,
            counts,
            doubtful,
            self.state.tally.money,
            budget_micro,
            code,
            reason,
            sorted(scheduler.overdue),
            tuple(ending.notes),
            incomplete,
        )


def _live(counts: dict[State, int]) -> dict[State, int]:
    """Jobs that are paid for or in doubt count for the exit code, in scope or not."""
    return {state: counts[state] for state in (State.IN_DOUBT, State.SUBMITTING, State.SUBMITTED, State.READY)}


@contextmanager
def _quick_on_its_feet() -> Iterator[None]:
    """Keeps short what stops the event loop, since slots stand empty meanwhile.

    What reading the manifest left in memory is not searched for garbage: with pandas loaded, each search takes 50 to
    100 ms. Jobs in flight are a few thousand objects and no garbage, so that it is searched for less often, too. And a
    thread that waits for the interpreter, such as the state file's, gets it sooner than Python's 5 ms.
    """
    switch_s, searched_after = sys.getswitchinterval(), gc.get_threshold()
    try:
        gc.freeze()
        gc.set_threshold(max(searched_after[0], _SEARCHED_AFTER), *searched_after[1:])
        sys.setswitchinterval(_SWITCH_S)
        yield
    finally:
        sys.setswitchinterval(switch_s)
        gc.set_threshold(*searched_after)
        gc.unfreeze()


def _logged(on_move: OnMove | None) -> OnMove:
    """Tells the log of every move, then whoever else listens."""

    def tell(job: Job, event: Event) -> None:
        words = {"row": job.row_id, "n": job.n, "state": job.state.value, "request_id": job.request_id}
        log.tell(type(event).__name__, **words, reason=job.reason)
        if on_move is not None:
            on_move(job, event)

    return tell


@asynccontextmanager
async def open_run(
    folder: RunFolder, options: Options, provider: RunComfy, catalogue: Catalogue
) -> AsyncIterator[Session]:
    """Open *folder* for writing, and close everything in reverse."""
    async with AsyncExitStack() as stack:
        state = open_state(folder, options.base, options.rehearsal, options.on_trouble, _logged(options.on_move))
        stack.callback(state.close)
        allow_private = is_loopback(options.base)
        session = downloads_session(allow_private, options.downloads * 2)
        stack.push_async_callback(session.close)
        collector = Collector(
            folder, session, allow_private, time.time, workers=options.collect_workers or default_workers()
        )
        stack.push_async_callback(collector.close)
        opened = Session(folder, options, state, provider, collector, catalogue)
        await opened.settle_unanswered()
        yield opened


@asynccontextmanager
async def open_existing(out: Path, options: Options) -> AsyncIterator[Session]:
    """Open the run folder *out*, which must be there already. Raises StateUnusable if it is not."""
    folder = RunFolder.at(out)
    if not folder.path.is_dir():
        raise no_run_folder(folder)
    provider = RunComfy(options.base, options.token or "")
    try:
        async with open_run(folder, options, provider, Catalogue(options.base, provider, options.prices)) as opened:
            yield opened
    finally:
        await provider.close()


def _not_decoded(files: int) -> str:
    return (
        f"{files} files were not decoded: only the container or the first bytes were checked, as `checked` in "
        "row.json says; the extra `video` decodes sound and video"
    )
