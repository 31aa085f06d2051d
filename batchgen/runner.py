"""Where a run is put together: folder, lock, state, sessions, scheduler; closed in reverse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from batchgen.awake import kept_awake
from batchgen.billing import Plan, Refused, gather, is_part_of, make_plan, plan_of, refuse_unasked
from batchgen.budget import Price, micro
from batchgen.catalogue import Catalogue
from batchgen.collector import Collector, downloads_session, rowfolder
from batchgen.exits import Refusal
from batchgen.failed import write_failed_csv
from batchgen.job import ContactLost, CostKnown, FilesLost, Job, State
from batchgen.outcome import Report, exit_code
from batchgen.pacing import ProportionalPolling
from batchgen.providers.runcomfy import RunComfy, api_base, is_loopback
from batchgen.runfolder import RunFolder
from batchgen.scheduler import Ending, Limits, Scheduler
from batchgen.schema import ModelUnknown
from batchgen.statefile import (
    Judgement,
    OnTrouble,
    Reader,
    Scope,
    StateFile,
    StateUnusable,
    empty,
    open_state,
    read_only,
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a run may be told. Money in USD, rates per minute, times in seconds, sizes in bytes."""

    out: Path | None = None
    api_base: str | None = None
    token: str | None = None
    rehearsal: bool = False
    in_flight: int = 20
    downloads: int = 16
    submit_rate: float | None = None
    budget_usd: float | None = None
    limit: int | None = None
    only: frozenset[str] | None = None
    job_timeout_s: float = 7200.0
    min_free_bytes: int = 1024**3
    inline_files: bool = False
    rerun_changed: bool = False
    keep_changed: bool = False
    new_rows: bool = False

    on_trouble: OnTrouble = field(default=lambda reason, jobs: None)

    @property
    def limits(self) -> Limits:
        return Limits(
            in_flight=self.in_flight,
            downloads=self.downloads,
            submits_per_min=self.submit_rate,
            rows=self.limit,
            job_timeout_s=self.job_timeout_s,
            min_free_bytes=self.min_free_bytes,
        )

    def scope(self, manifest: Path, folder: RunFolder) -> Scope:
        return Scope(is_part_of(manifest, folder.path), self.rerun_changed, self.only, self.limit)

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


async def plan(manifest: Path, options: Options) -> Plan:
    """The bill of *manifest*, with all its problems. Sends nothing but catalogue questions, writes nothing."""
    folder = options.folder(manifest)
    async with AsyncExitStack() as stack:
        provider = RunComfy(options.base, options.token) if options.token else None
        if provider is not None:
            stack.push_async_callback(provider.close)
        reader = Reader(read_only(folder.state) if folder.state.exists() else empty())
        stack.callback(reader.close)
        catalogue = Catalogue(options.base, provider)
        scratch, problems = await asyncio.to_thread(gather, manifest, catalogue, reader)
        stack.callback(scratch.close)
        return make_plan(manifest, folder.path, scratch, problems, reader, catalogue, options.scope(manifest, folder))


async def run(manifest: Path, options: Options, consent: Consent, watch: Watch | None = None) -> Report:
    """Carry *manifest* to its end: validate, ask, submit, poll, collect. Run again, it resumes.

    Raises InvalidManifest and Refused, with nothing sent, and what `open_state` raises.
    """
    folder = options.folder(manifest)
    scope = options.scope(manifest, folder)
    async with AsyncExitStack() as stack:
        provider = RunComfy(options.base, options.token or "")
        stack.push_async_callback(provider.close)
        catalogue = Catalogue(options.base, provider)
        with closing(Reader(read_only(folder.state) if folder.state.exists() else empty())) as known:
            scratch, problems = await asyncio.to_thread(gather, manifest, catalogue, known)
            stack.callback(scratch.close)
            if any(problem.severity == "error" for problem in problems):
                raise InvalidManifest(make_plan(manifest, folder.path, scratch, problems, known, catalogue, scope))
        opened = await stack.enter_async_context(_open(folder, options, provider, catalogue))
        reader = opened.state.reader
        _refuse(make_plan(manifest, folder.path, scratch, problems, reader, catalogue, scope), options, consent)
        await opened.state.enrol(
            scratch, partial=scope.partial, rerun_changed=options.rerun_changed, keep_changed=options.keep_changed
        )
        only = options.only
        if scope.partial:
            only = frozenset(scratch.row_ids())
            await opened.state.start_attempts(list(reader.jobs([State.FAILED, State.CANCELLED], only)))
        return await opened.carry(only, watch)


async def collect(out: Path, options: Options, verify: bool = False, watch: Watch | None = None) -> Report:
    """Poll and download what was paid for. Cannot spend: nothing is ever submitted.

    *verify* hashes every collected file again and fetches what is lost or damaged.
    """
    async with open_existing(out, options) as opened:
        if verify:
            await opened.find_lost_files()
        report = await opened.carry(options.only, watch, submitting=False)
        await opened.ask_late_costs()
        return replace(report, money=opened.state.tally.money)


async def retry(
    out: Path, options: Options, consent: Consent, rerun: bool = False, watch: Watch | None = None
) -> Report:
    """New attempts for rows that failed or were cancelled; with *rerun* for collected ones as well.

    Raises Refused if there is nothing to retry or the bill is not agreed to.
    """
    async with open_existing(out, options) as opened:
        states = [State.FAILED, State.CANCELLED, *([State.COLLECTED] if rerun else [])]
        jobs = list(opened.state.reader.jobs(states, options.only))
        if not jobs:
            raise Refused("there is nothing to retry: no row in scope has failed or was cancelled")
        reader = opened.state.reader
        for model in {job.model for job in jobs}:
            await asyncio.to_thread(opened.catalogue.schema, model)
        bill = plan_of(_retried(jobs), out, out, (), reader, opened.catalogue)
        _refuse(bill, options, consent)
        await opened.state.start_attempts(jobs)
        return await opened.carry(frozenset(job.row_id for job in jobs), watch)


def _retried(jobs: list[Job]) -> Judgement:
    """What a retry of *jobs* would send, in the form that a bill is made from."""
    models = []
    for model in sorted({job.model for job in jobs}):
        same = [job for job in jobs if job.model == model]
        models.append((model, len(same), sum(job.outputs_asked for job in same), sum(job.units for job in same)))
    outputs = sum(job.outputs_asked for job in jobs)
    return Judgement(again=len(jobs), to_send=len(jobs), outputs_asked=outputs, models=tuple(models))


def _refuse(bill: Plan, options: Options, consent: Consent) -> None:
    """Raise for everything that must not be sent, or not without a person's word."""
    if bill.errors:
        raise InvalidManifest(bill)
    refuse_unasked(
        bill,
        rerun_changed=options.rerun_changed,
        keep_changed=options.keep_changed,
        new_rows=options.new_rows,
    )
    if bill.local_files and not (options.inline_files or is_loopback(options.base)):
        raise Refused(
            f"{bill.local_files} local input files: the provider documents hosted URLs only. Put them where an "
            "https URL reaches them, or send them inside the request with --inline-files (used by the provider's "
            "own nodes, not documented)"
        )
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
        scheduler = Scheduler(
            self.state,
            self.provider,
            self.collector,
            replace(self.options.limits, budget_micro=await self._budget_micro()),
            await self._prices(),
            ProportionalPolling(),
            time.time,
            only=only,
            submitting=submitting,
        )
        watching = asyncio.create_task(watch(scheduler)) if watch is not None else None
        try:
            with kept_awake():
                ending = await scheduler.run()
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        await asyncio.to_thread(write_failed_csv, self.folder)
        return self._report(scheduler, ending, only)

    async def settle_unanswered(self) -> None:
        """POSTs that a killed run left on the wire: nobody knows whether they were accepted."""
        for job in list(self.state.reader.jobs([State.SUBMITTING])):
            await self.state.record(job, ContactLost(time.time(), "the run ended while the POST was on the wire"))

    async def find_lost_files(self) -> None:
        """Send collected rows whose files are lost or damaged back to be fetched again."""
        for job in list(self.state.reader.jobs([State.COLLECTED], self.options.only)):
            lost = await asyncio.to_thread(rowfolder.lost_file, self.folder, job)
            if lost is not None:
                await asyncio.to_thread(rowfolder.keep_good_files, self.folder, job)
                await self.state.record(job, FilesLost(time.time(), lost))

    async def ask_late_costs(self) -> None:
        """Read again what ended jobs cost, where no cost came with their result."""
        ended = self.state.reader.jobs([State.COLLECTED, State.FAILED, State.CANCELLED], self.options.only)
        for job in [job for job in ended if job.request_id is not None and job.cost_micro is None]:
            result = await self.provider.result(str(job.request_id))
            cost_micro = getattr(result, "cost_micro", None)
            if cost_micro is None:
                continue
            known = await self.state.record(job, CostKnown(time.time(), cost_micro))
            if known.state is State.COLLECTED:
                earlier = [attempt for attempt in self.state.reader.attempts(job.row_id) if attempt.n < job.n]
                await asyncio.to_thread(self.collector.rewrite_sidecar, known, earlier)

    async def _budget_micro(self) -> int | None:
        """The folder's budget: the one given now, which stays, or the one that was given before."""
        given = micro(self.options.budget_usd)
        if given is not None:
            await self.state.set_meta(budget_micro=str(given))
        return given if given is not None else self.state.reader.budget_micro()

    async def _prices(self) -> dict[str, Price]:
        seen = self.state.reader.highest_unit_prices()
        prices = {}
        for model in self.state.reader.models():
            with suppress(ModelUnknown):
                await asyncio.to_thread(self.catalogue.schema, model)
            prices[model] = self.catalogue.price(model, seen.get(model))
        return prices

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


@asynccontextmanager
async def _open(folder: RunFolder, options: Options, provider: RunComfy, catalogue: Catalogue) -> AsyncIterator[Opened]:
    """Open *folder* for writing, and close everything in reverse."""
    async with AsyncExitStack() as stack:
        state = open_state(folder, options.base, options.rehearsal, options.on_trouble)
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
        async with _open(folder, options, provider, Catalogue(options.base, provider)) as opened:
            yield opened
    finally:
        await provider.close()
