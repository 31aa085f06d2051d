"""Where a run is put together: folder, lock, state, sessions, scheduler; closed in reverse."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

from batchgen import __version__, canary, logs
from batchgen.awake import kept_awake
from batchgen.billing import (
    Circumstances,
    Consents,
    Plan,
    Refused,
    asked_by_run,
    is_part_of,
    make_plan,
    objections,
    plan_of,
)
from batchgen.budget import micro
from batchgen.canary import CanaryResult
from batchgen.catalogue import Catalogue
from batchgen.collector import Collector, downloads_session, rowfolder
from batchgen.exits import Exit, Refusal
from batchgen.failed import write_failed_csv
from batchgen.gathering import gather
from batchgen.history import History, measured
from batchgen.job import ContactLost, CostKnown, Event, FilesLost, Job, State
from batchgen.manifest import ManifestError
from batchgen.manifest import prices as manifest_prices
from batchgen.marks import rejected_rows
from batchgen.outcome import Report, exit_code
from batchgen.pacing import LearnedPolling
from batchgen.pricing import look_up, price_what_was_sent, prices
from batchgen.providers.runcomfy import RunComfy, api_base, is_loopback
from batchgen.request import Problem
from batchgen.runfolder import RunFolder
from batchgen.scheduler import POLLING_LEARNED, Ending, Limits, OnBreaker, Scheduler
from batchgen.schema import did_you_mean
from batchgen.seeds import new_seeds
from batchgen.standing import Watched
from batchgen.statefile import (
    FolderInUse,
    Judgement,
    OnMove,
    OnTrouble,
    Reader,
    Rows,
    Scope,
    Scratch,
    StateFile,
    StateUnusable,
    empty,
    open_state,
    read_only,
)
from batchgen.token import NO_TOKEN, TokenMissing

_POLLS_PER_MIN = 6_000.0
_LOOPBACK_POLLS_PER_MIN = 120_000.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a run may be told. Money in USD, rates per minute, times in seconds, sizes in bytes."""

    out: Path | None = None
    api_base: str | None = None
    token: str | None = None
    rehearsal: bool = False
    offline: bool = False
    check_urls: bool = False
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    canary: int | None = None
    in_flight: int | None = None
    downloads: int = 16
    submit_rate: float | None = None
    poll_rate: float | None = None
    budget_usd: float | None = None
    limit: int | None = None
    only: frozenset[str] | None = None
    job_timeout_s: float = 7200.0
    min_free_bytes: int = 1024**3
    inline_files: bool = False
    rerun_changed: bool = False
    keep_changed: bool = False
    new_rows: bool = False
    wait_for_balance: bool = False
    wait_for_provider: bool = False

    after_canary: Callable[[CanaryResult], bool] = field(default=lambda result: result.promising)
    on_trouble: OnTrouble = field(default=lambda reason, jobs: None)
    on_move: OnMove | None = None
    on_breaker: OnBreaker = field(default=lambda state: None)

    @property
    def limits(self) -> Limits:
        return Limits(
            in_flight=self.in_flight,
            downloads=self.downloads,
            submits_per_min=self.submit_rate,
            rows=self.limit,
            job_timeout_s=self.job_timeout_s,
            min_free_bytes=self.min_free_bytes,
            wait_for_balance=self.wait_for_balance,
            wait_for_provider=self.wait_for_provider,
        )

    def scope(self, manifest: Path, folder: RunFolder) -> Scope:
        return Scope(is_part_of(manifest, folder.path), self.rerun_changed, self.only, self.limit)

    @property
    def consents(self) -> Consents:
        inline_files = self.inline_files or is_loopback(self.base)
        return Consents(self.rerun_changed, self.keep_changed, self.new_rows, inline_files)

    @property
    def base(self) -> str:
        return api_base(self.api_base)

    def folder(self, manifest: Path) -> RunFolder:
        return RunFolder.at(self.out) if self.out is not None else RunFolder.beside(manifest)


class InvalidManifest(Refusal):
    """The manifest has faults. Nothing was sent."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("\n".join(str(problem) for problem in plan.errors))
        self.plan = plan


Consent: TypeAlias = Callable[[Plan], bool]
"""Shown the bill before anything is sent; answers whether to go on."""

Watch: TypeAlias = Callable[[Scheduler], Coroutine[None, None, None]]
"""Runs beside the scheduler, to show what it does or to pass signals on; cancelled at its end."""


@dataclass(slots=True)
class _Read:
    """A manifest that was read and checked, and what its bill is made from."""

    manifest: Path
    folder: RunFolder
    scope: Scope
    scratch: Scratch
    problems: list[Problem]
    catalogue: Catalogue
    around: Circumstances

    def plan(self, reader: Reader) -> Plan:
        return make_plan(
            self.manifest,
            self.folder.path,
            self.scratch,
            self.problems,
            reader,
            self.catalogue,
            self.scope,
            self.around,
        )


async def plan(manifest: Path, options: Options) -> Plan:
    """The bill of *manifest*, with all its problems. Sends nothing but questions, writes nothing."""
    async with AsyncExitStack() as stack:
        provider = await _provider(options, stack)
        return await _plan(manifest, options, provider, stack)


async def _plan(manifest: Path, options: Options, provider: RunComfy | None, stack: AsyncExitStack) -> Plan:
    folder = options.folder(manifest)
    reader = stack.enter_context(closing(Reader(read_only(folder.state) if folder.state.exists() else empty())))
    made = (await _read(manifest, options, provider, reader, stack)).plan(reader)
    return replace(made, asks=tuple(asked_by_run(made, options.consents)))


async def run(manifest: Path, options: Options, consent: Consent, watch: Watch | None = None) -> Report:
    """Carry *manifest* to its end: validate, ask, submit, poll, collect. Run again, it resumes.

    Raises InvalidManifest and Refused, with nothing sent, and what `open_state` raises.
    """
    folder = options.folder(manifest)
    async with AsyncExitStack() as stack:
        provider = RunComfy(options.base, options.token or "")
        stack.push_async_callback(provider.close)
        with closing(Reader(read_only(folder.state) if folder.state.exists() else empty())) as known:
            read = await _read(manifest, options, provider if options.token else None, known, stack)
            if any(problem.severity == "error" for problem in read.problems):
                raise InvalidManifest(read.plan(known))
            if options.token is None:
                raise TokenMissing(NO_TOKEN)
        opened = await stack.enter_async_context(_open(folder, options, provider, read.catalogue))
        reader = opened.state.reader
        _refuse(read.plan(reader), options, consent)
        await opened.keep_budget()
        await opened.state.enrol(
            read.scratch,
            partial=read.scope.partial,
            rerun_changed=options.rerun_changed,
            keep_changed=options.keep_changed,
        )
        only = options.only
        if read.scope.partial:
            only = frozenset(read.scratch.row_ids())
            await opened.state.start_attempts(list(reader.jobs([State.FAILED, State.CANCELLED], only)))
        if options.canary and (stopped := await opened.carry_canary(options.canary, only, watch)) is not None:
            return stopped
        return await opened.carry(only, watch)


async def _provider(options: Options, stack: AsyncExitStack) -> RunComfy | None:
    """The account, if there is a token to ask with."""
    if not options.token:
        return None
    provider = RunComfy(options.base, options.token)
    stack.push_async_callback(provider.close)
    return provider


async def _read(
    manifest: Path, options: Options, provider: RunComfy | None, known: Reader, stack: AsyncExitStack
) -> _Read:
    folder = options.folder(manifest)
    asked = None if options.offline else provider
    catalogue = Catalogue(options.base, asked, await asyncio.to_thread(_price_list, manifest, options))
    session = None
    if options.check_urls:
        session = await stack.enter_async_context(downloads_session(is_loopback(options.base), options.downloads))
    scratch, problems = await gather(manifest, catalogue, known, session)
    stack.callback(scratch.close)
    await look_up(catalogue, known)
    problems += _unknown_rows(manifest, scratch, options.only)
    around = await _circumstances(options, asked)
    return _Read(manifest, folder, options.scope(manifest, folder), scratch, problems, catalogue, around)


def _unknown_rows(manifest: Path, scratch: Scratch, only: frozenset[str] | None) -> list[Problem]:
    """A problem for each row that is asked for by name and that the manifest does not have."""
    missing = scratch.not_among(sorted(only or ()))
    known = scratch.row_ids() if missing else []
    said = {row_id: f"no row is called {row_id!r}{did_you_mean(row_id, known)}" for row_id in missing}
    return [Problem(str(manifest), None, "--only", row_id, None, message) for row_id, message in said.items()]


def _price_list(manifest: Path, options: Options) -> dict[str, Decimal]:
    """The prices of the options, else of the manifest. A manifest that cannot be read says so elsewhere."""
    try:
        return manifest_prices(manifest) | dict(options.prices)
    except ManifestError:
        return dict(options.prices)


async def _circumstances(options: Options, provider: RunComfy | None) -> Circumstances:
    balance_micro = None if provider is None else await provider.balance_micro()
    budget_micro = micro(options.budget_usd)
    return Circumstances(balance_micro, budget_micro, History(options.base).read(), options.in_flight, time.time())


async def collect(out: Path, options: Options, verify: bool = False, watch: Watch | None = None) -> Report:
    """Poll and download what was paid for. Cannot spend: nothing is ever submitted.

    *verify* hashes every collected file again and fetches what is lost or damaged.
    """
    async with open_existing(out, options) as opened:
        lost: list[str] = []
        if verify:
            lost = await opened.find_lost_files()
        report = await opened.carry(options.only, watch, submitting=False)
        await opened.ask_late_costs(options.only)
        if lost:
            note = f"{len(lost)} rows had lost or damaged files, which were asked for again: {'; '.join(lost[:10])}"
            report = replace(report, notes=(*report.notes, note))
        return replace(report, money=opened.state.tally.money)


async def retry(
    out: Path,
    options: Options,
    consent: Consent,
    rerun: bool = False,
    rejected: bool = False,
    new_seed: bool = False,
    watch: Watch | None = None,
) -> Report:
    """New attempts for rows that failed or were cancelled; with *rerun* for collected ones as well.

    With *rejected*, for just those collected rows of which a person rejected an output; with *new_seed*, each with a
    seed that the row did not have yet. Attempts that an earlier retry began and did not send are sent as they are.
    Raises Refused if there is nothing to retry or the bill is not agreed to, NoNewSeed for rows without a seed.
    """
    async with open_existing(out, options) as opened:
        jobs = opened.to_retry(rerun, rejected)
        if not jobs:
            why = "no row in scope has a rejected output" if rejected else "no row in scope failed or was cancelled"
            raise Refused(f"there is nothing to retry: {why}")
        await look_up(opened.catalogue, opened.state.reader)
        ended = [job for job in jobs if job.state is not State.PENDING]
        attempts = (opened.state.reader.attempts(job.row_id) for job in ended)
        seeds = await asyncio.to_thread(new_seeds, attempts, opened.catalogue.schema) if new_seed else {}
        around = await _circumstances(options, opened.provider)
        bill = plan_of(_retried(jobs), out, out, opened.state.reader, opened.catalogue, around)
        _refuse(replace(bill, local_files=sum(len(job.files) for job in jobs)), options, consent)
        await opened.keep_budget()
        await opened.state.start_attempts(ended, seeds)
        return await opened.carry(frozenset(job.row_id for job in jobs), watch)


async def ask_late_costs(out: Path, base: str | None, token: str) -> str | None:
    """Read again what ended jobs of *out* cost. Answers why it could not, where another run holds the folder."""
    try:
        async with open_existing(out, Options(api_base=base, token=token)) as opened:
            await opened.ask_late_costs(None)
    except FolderInUse as held:
        return f"missing costs were not asked for: {held}"
    return None


def _retried(jobs: list[Job]) -> Judgement:
    """What a retry of *jobs* would send, in the form that a bill is made from."""
    models = {}
    for model in sorted({job.model for job in jobs}):
        same = [job for job in jobs if job.model == model]
        outputs, units = sum(job.outputs_asked for job in same), sum(job.units for job in same)
        waiting = sum(job.state is State.PENDING for job in same)
        again = len(same) - waiting
        models[model] = Rows(waiting=waiting, again=again, to_send=len(same), outputs=outputs, units=units)
    return Judgement(models)


def _refuse(bill: Plan, options: Options, consent: Consent) -> None:
    """Raise for everything that must not be sent, or not without a person's word."""
    if bill.errors:
        raise InvalidManifest(bill)
    for reason in objections(bill, options.consents):
        raise Refused(reason)
    if bill.to_send and not consent(bill):
        raise Refused("nothing was sent: the bill was not agreed to")


# ── an open run ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Opened:
    """A run folder with its lock, its state and its sessions."""

    folder: RunFolder
    options: Options
    state: StateFile
    provider: RunComfy
    collector: Collector
    catalogue: Catalogue

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
        logs.tell("start", out=str(self.folder.path), base=self.options.base, version=__version__, sends=submitting)
        beside = [asyncio.create_task(Watched(scheduler).tell())]
        if watch is not None:
            beside.append(asyncio.create_task(watch(scheduler)))
        try:
            with kept_awake():
                ending = await scheduler.run()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        await asyncio.to_thread(write_failed_csv, self.folder)
        await asyncio.to_thread(rowfolder.remove_empty_parts, self.folder)
        if not self.options.rehearsal:
            await asyncio.to_thread(self._remember, started)
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
        if self.state.reader.pending(only) == 0 or self.options.limit == 0 or self.options.after_canary(result):
            return None
        return replace(report, exit=Exit.BUDGET, reason=f"the canary says otherwise than the estimate: {result}")

    def _remember(self, since: float) -> None:
        """Keep what this run measured for the forecasts of the next."""
        with closing(Reader(read_only(self.folder.state))) as reader:
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
            lost = await asyncio.to_thread(rowfolder.lost_file, self.folder, job)
            if lost is not None:
                await asyncio.to_thread(rowfolder.keep_good_files, self.folder, job)
                await self.state.record(job, FilesLost(time.time(), lost))
                found.append(f"{job.row_id}: {lost}")
        return found

    async def ask_late_costs(self, only: frozenset[str] | None) -> None:
        """Read again what ended jobs cost, where no cost came with their result."""
        ended = self.state.reader.jobs([State.COLLECTED, State.FAILED, State.CANCELLED], only)
        for job in [job for job in ended if job.request_id is not None and job.cost_micro is None]:
            result = await self.provider.result(str(job.request_id))
            cost_micro = getattr(result, "cost_micro", None)
            if cost_micro is None:
                continue
            known = await self.state.record(job, CostKnown(time.time(), cost_micro))
            if known.state is State.COLLECTED:
                earlier = [attempt for attempt in self.state.reader.attempts(job.row_id) if attempt.n < job.n]
                await asyncio.to_thread(self.collector.rewrite_sidecar, known, earlier)

    async def keep_budget(self) -> None:
        """A budget that is given now stays the folder's until another is given."""
        given = micro(self.options.budget_usd)
        if given is not None:
            await self.state.set_budget(given)

    def _polling(self) -> LearnedPolling:
        """When to ask, from what earlier runs of the folder learned. This machine's own server need not be spared."""
        most_per_min = _LOOPBACK_POLLS_PER_MIN if is_loopback(self.options.base) else _POLLS_PER_MIN
        polling = LearnedPolling(self.options.poll_rate or most_per_min)
        polling.recall(json.loads(self.state.reader.meta(POLLING_LEARNED) or "{}"))
        return polling

    def _report(self, scheduler: Scheduler, ending: Ending, only: frozenset[str] | None) -> Report:
        counts = dict(self.state.tally.counts)
        doubtful = [job.row_id for job in self.state.reader.jobs([State.IN_DOUBT])]
        code = exit_code(
            counts if only is None else self.state.reader.counts(only) | _live(counts),
            ending.cause,
            ending.by_user,
            model_missing=scheduler.models_missing,
            unsent=scheduler.rows_unsent,
        )
        logs.tell(
            "end", exit=int(code), reason=ending.reason, **{state.value: count for state, count in counts.items()}
        )
        budget_micro = self.state.reader.budget_micro()
        return Report(
            self.folder.path,
            counts,
            doubtful,
            self.state.tally.money,
            budget_micro,
            code,
            ending.reason,
            sorted(scheduler.overdue),
            tuple(ending.notes),
        )


def _live(counts: dict[State, int]) -> dict[State, int]:
    """Jobs that are paid for or in doubt count for the exit code, in scope or not."""
    return {state: counts[state] for state in (State.IN_DOUBT, State.SUBMITTING, State.SUBMITTED, State.READY)}


def _logged(on_move: OnMove | None) -> OnMove:
    """Tells the log of every move, then whoever else listens."""

    def tell(job: Job, event: Event) -> None:
        words = {"row": job.row_id, "n": job.n, "state": job.state.value, "request_id": job.request_id}
        logs.tell(type(event).__name__, **words, reason=job.reason)
        if on_move is not None:
            on_move(job, event)

    return tell


@asynccontextmanager
async def _open(folder: RunFolder, options: Options, provider: RunComfy, catalogue: Catalogue) -> AsyncIterator[Opened]:
    """Open *folder* for writing, and close everything in reverse."""
    async with AsyncExitStack() as stack:
        state = open_state(folder, options.base, options.rehearsal, options.on_trouble, _logged(options.on_move))
        stack.callback(state.close)
        allow_private = is_loopback(options.base)
        session = downloads_session(allow_private, options.downloads * 2)
        stack.push_async_callback(session.close)
        collector = Collector(folder, session, allow_private, time.time)
        opened = Opened(folder, options, state, provider, collector, catalogue)
        await opened.settle_unanswered()
        yield opened


@asynccontextmanager
async def open_existing(out: Path, options: Options) -> AsyncIterator[Opened]:
    """Open the run folder *out*, which must be there already. Raises StateUnusable if it is not."""
    folder = RunFolder.at(out)
    if not folder.path.is_dir():
        raise StateUnusable(f"{folder.path} is not a run folder: there is no such folder")
    provider = RunComfy(options.base, options.token or "")
    try:
        async with _open(folder, options, provider, Catalogue(options.base, provider, options.prices)) as opened:
            yield opened
    finally:
        await provider.close()
