"""What can be done with a manifest or with a run folder: plan, run, collect, retry."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

from batchgen.collector.download import downloads_session
from batchgen.core.errors import Refusal
from batchgen.core.job import Job, State
from batchgen.core.row import Problem
from batchgen.core.text import counted
from batchgen.manifest import ManifestError
from batchgen.manifest import prices as manifest_prices
from batchgen.manifest.problems import Problems, in_short
from batchgen.models import UnitPrice, did_you_mean
from batchgen.models.catalog import Catalogue
from batchgen.providers.credentials import why_none
from batchgen.providers.http import AnswerLost
from batchgen.providers.runcomfy.model_api import RunComfy, is_loopback
from batchgen.results.reviews import accepted_outputs
from batchgen.runner import takeback
from batchgen.runner.bill import (
    Circumstances,
    Plan,
    Refused,
    asked_by_run,
    beyond_yes,
    make_plan,
    objections,
    paid_and_live,
    plan_of,
)
from batchgen.runner.load import gather
from batchgen.runner.measurements import History
from batchgen.runner.neighbours import neighbours
from batchgen.runner.options import Options
from batchgen.runner.outcome import Report
from batchgen.runner.pricing import count_anew, look_up, recounted
from batchgen.runner.renewal import take_newest_wording
from batchgen.runner.seeds import new_seeds
from batchgen.runner.session import Watch, open_existing, open_run
from batchgen.state import (
    DiffCounts,
    FolderInUse,
    ManifestDiff,
    Reader,
    Scope,
    Staging,
    empty_reader,
    open_reader,
)
from batchgen.storage.paths import RunFolder


class InvalidManifest(Refusal):
    """The manifest has faults. Nothing was sent."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("\n".join(in_short(plan.problems)))
        self.plan = plan


Consent: TypeAlias = Callable[[Plan], bool]
"""Shown the bill before anything is sent; answers whether to go on."""


@dataclass(slots=True)
class _Read:
    """A manifest that was read and checked, and what its bill is made from."""

    manifest: Path
    folder: RunFolder
    scope: Scope
    scratch: Staging
    problems: Problems
    catalogue: Catalogue
    around: Circumstances
    paid_elsewhere: dict[Path, int]

    def plan(self, reader: Reader) -> Plan:
        made = make_plan(
            self.manifest,
            self.folder.path,
            self.scratch,
            self.problems,
            reader,
            self.catalogue,
            self.scope,
            self.around,
        )
        return replace(made, paid_elsewhere=self.paid_elsewhere)


async def plan(manifest: Path, options: Options) -> Plan:
    """The bill of *manifest*, with all its problems. Sends nothing but questions, writes nothing."""
    async with AsyncExitStack() as stack:
        provider = await _provider(options, stack)
        return await _plan(manifest, options, provider, stack)


async def _plan(manifest: Path, options: Options, provider: RunComfy | None, stack: AsyncExitStack) -> Plan:
    folder = options.folder(manifest)
    reader = stack.enter_context(closing(_reader(folder)))
    made = (await _read(manifest, options, provider, reader, stack)).plan(reader)
    refusals = (*objections(made, options.consents), *beyond_yes(made, options.consents))
    return replace(made, refusals=refusals, asks=tuple(asked_by_run(made, refusals)))


async def run(manifest: Path, options: Options, consent: Consent, watch: Watch | None = None) -> Report:
    """Carry *manifest* to its end: validate, ask, submit, poll, collect. Run again, it resumes.

    Raises InvalidManifest and Refused, with nothing sent, and what `open_state` raises.
    """
    folder = options.folder(manifest)
    async with AsyncExitStack() as stack:
        provider = RunComfy(options.base, options.token or "")
        stack.push_async_callback(provider.close)
        with closing(_reader(folder)) as known:
            read = await _read(manifest, options, provider if options.token else None, known, stack)
            if read.problems.errors:
                raise InvalidManifest(read.plan(known))
            if options.token is None:
                raise why_none()
        opened = await stack.enter_async_context(open_run(folder, options, provider, read.catalogue))
        opened.state.refuse_copy()
        reader = opened.state.reader
        if reader.meta("enrolment") != read.scratch.enrolment:
            raise Refused(f"another run changed {folder.path} while the manifest was read; run the same command again")
        warnings = await take_newest_wording(opened) if read.scope.partial else []
        _refuse(replace(read.plan(reader), more_warnings=tuple(warnings)), options, consent)
        await opened.keep_budget()
        await opened.state.enrol(
            read.scratch,
            partial=read.scope.partial,
            rerun_changed=options.rerun_changed,
            keep_changed=options.keep_changed,
            only=options.only,
        )
        only = options.only
        if read.scope.partial:
            listed = frozenset(read.scratch.row_ids())
            only = listed if only is None else listed & only
            await opened.state.start_attempts(list(reader.jobs([State.FAILED, State.CANCELLED], only)))
            await count_anew(opened.state, opened.catalogue, only)
        if options.canary and (stopped := await opened.carry_canary(options.canary, only, watch)) is not None:
            return stopped
        return await opened.carry(only, watch)


def _reader(folder: RunFolder) -> Reader:
    """What is known of the rows before the folder is opened, or made."""
    return open_reader(folder) if folder.state.exists() else empty_reader()


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
    scope = options.scope(manifest, folder)
    scratch, problems = await gather(
        manifest, catalogue, known, session, partial=scope.partial, is_local=is_loopback(options.base)
    )
    stack.callback(scratch.close)
    await look_up(catalogue, known)
    problems.add(_unknown_rows(manifest, scratch, known, options.only))
    around = await _circumstances(options, asked)
    beside = await asyncio.to_thread(neighbours, folder, manifest)
    paid = await asyncio.to_thread(known.paid_elsewhere, scratch, scope, beside, options.base)
    there = {state.parent: rows for state, rows in paid.items()}
    return _Read(manifest, folder, scope, scratch, problems, catalogue, around, there)


def _unknown_rows(manifest: Path, scratch: Staging, known: Reader, only: frozenset[str] | None) -> list[Problem]:
    """A problem for each row that is asked for by name and that the manifest does not have."""
    seen = scratch.recalled
    missing = [row_id for row_id in sorted(only or ()) if not scratch.has(row_id) and not (seen and seen(row_id))]
    names = [*scratch.row_ids(), *known.row_ids()] if missing else []
    said = {row_id: f"no row is called {row_id!r}{did_you_mean(row_id, names)}" for row_id in missing}
    return [Problem(str(manifest), None, "--only", row_id, None, message) for row_id, message in said.items()]


def _price_list(manifest: Path, options: Options) -> dict[str, UnitPrice | Decimal]:
    """The prices of the options, else of the manifest. A manifest that cannot be read says so elsewhere."""
    try:
        return {**manifest_prices(manifest), **options.prices}
    except ManifestError:
        return dict(options.prices)


async def _circumstances(options: Options, provider: RunComfy | None) -> Circumstances:
    balance_micro, unreachable = None, ""
    try:
        balance_micro = None if provider is None else await provider.balance_micro()
    except AnswerLost as lost:
        unreachable = str(lost)
    history = History(options.base).read()
    return Circumstances(balance_micro, options.budget_micro, history, options.in_flight, time.time(), unreachable)


async def collect(
    out: Path,
    options: Options,
    verify: bool = False,
    watch: Watch | None = None,
    take_back: Sequence[str] = (),
) -> Report:
    """Poll and download what was paid for, and ask again for outputs that collected rows lack. Cannot spend: nothing
    is ever submitted.

    *verify* hashes every collected file again and fetches what is lost or damaged. Of the rows *take_back*, what was
    set aside is taken in as it is; raises NothingSetAside, with nothing changed, if there is nothing.
    """
    async with open_existing(out, options) as opened:
        taken = await takeback.take_back(opened.state, opened.collector, take_back)
        lost: list[str] = []
        if verify:
            lost = await opened.find_lost_files()
        await opened.ask_for_missing(options.only)
        report = await opened.carry(options.only, watch, submitting=False)
        await opened.ask_late_costs(options.only)
        if lost:
            note = f"lost or damaged files of {counted(len(lost), 'row')} were asked for again: {'; '.join(lost[:10])}"
            report = replace(report, notes=(*report.notes, note))
        if taken:
            rows = ", ".join(job.row_id for job in taken[:10])
            note = f"what was set aside of {counted(len(taken), 'row')} was taken in as it is: {rows}"
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
        opened.state.refuse_copy()
        warnings = await take_newest_wording(opened)
        jobs = opened.to_retry(rerun, rejected)
        if not jobs:
            why = "no row in scope has a rejected output" if rejected else "no row in scope failed or was cancelled"
            raise Refused(f"there is nothing to retry: {why}")
        await look_up(opened.catalogue, opened.state.reader)
        jobs = [recounted(job, opened.catalogue) for job in jobs]
        ended = [job for job in jobs if job.state is not State.PENDING]
        attempts = (opened.state.reader.attempts(job.row_id) for job in ended)
        seeds = await asyncio.to_thread(new_seeds, attempts, opened.catalogue.schema) if new_seed else {}
        around = await _circumstances(options, opened.provider)
        bill = plan_of(_retried(jobs), out, out, opened.state.reader, opened.catalogue, around)
        row_ids = frozenset(job.row_id for job in jobs)
        bill = replace(
            bill,
            accepted=accepted_outputs(opened.folder, opened.state.reader, row_ids.intersection),
            local_files=sum(len(job.files) for job in jobs),
            expired=tuple(opened.state.reader.expired_inputs(row_ids, around.now)),
            more_warnings=tuple(warnings),
        )
        _refuse(bill, options, consent)
        await opened.keep_budget()
        await opened.state.start_attempts(ended, seeds)
        await count_anew(opened.state, opened.catalogue, row_ids)
        return await opened.carry(row_ids, watch)


async def ask_late_costs(out: Path, base: str | None, token: str) -> str | None:
    """Read again what ended jobs of *out* cost. Answers why it could not, where another run holds the folder."""
    if os.access(out, os.F_OK) and not os.access(out, os.W_OK):
        return f"missing costs were not asked for: this user may not write in {out}"
    try:
        async with open_existing(out, Options(api_base=base, token=token)) as opened:
            await opened.ask_late_costs(None)
    except FolderInUse as held:
        return f"missing costs were not asked for: {held}"
    return None


def _retried(jobs: list[Job]) -> ManifestDiff:
    """What a retry of *jobs* would send, in the form that a bill is made from."""
    models = {}
    for model in sorted({job.model for job in jobs}):
        same = [job for job in jobs if job.model == model]
        outputs, units = sum(job.outputs_asked for job in same), sum(job.units for job in same)
        unbounded = sum(job.units <= 0 for job in same)
        waiting = sum(job.state is State.PENDING for job in same)
        again = len(same) - waiting
        models[model] = DiffCounts(
            waiting=waiting, again=again, to_send=len(same), outputs=outputs, units=units, unbounded=unbounded
        )
    return ManifestDiff(models)


def _refuse(bill: Plan, options: Options, consent: Consent) -> None:
    """Raise for everything that must not be sent, or not without a person's word."""
    if bill.problems.errors:
        raise InvalidManifest(bill)
    for reason in objections(bill, options.consents):
        raise Refused(reason)
    if bill.to_send and not consent(bill):
        raise Refused(f"nothing was sent: the bill was not agreed to{paid_and_live(bill)}")
