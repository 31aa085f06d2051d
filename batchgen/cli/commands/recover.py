"""The commands for what went wrong: reconcile, cancel, repair."""

from __future__ import annotations

import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli import flags
from batchgen.cli.output import answered, carried, confirmed, emit, end, refusals, say
from batchgen.core.errors import Exit
from batchgen.core.redaction import shortened
from batchgen.core.text import counted, prompt_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batchgen.core.job import Job
    from batchgen.runner.session import Session

_MOST = 20
_PROMPT = 60


@click.command(cls=flags.Command)
@flags.out_folder
@flags.option("--adopt", metavar="ROW=ID", multiple=True, help="This row's request_id is ID; it will be collected.")
@flags.option("--release", metavar="ROW...", multiple=True, help="Send these rows again; they may be paid for twice.")
@flags.switch("--all", "release_all", help="With --release: every row in doubt.")
@flags.option(
    "--give-up", metavar="ROW...", multiple=True, help="Close these rows; what they may have cost stays counted."
)
@flags.as_json
@flags.api_base
def reconcile(
    out: Path,
    adopt: tuple[str, ...],
    release: tuple[str, ...],
    release_all: bool,
    give_up: tuple[str, ...],
    as_json: bool,
    api_base: str | None,
) -> None:
    """Settle rows in doubt: they may have been paid for, and nobody knows their request_id."""
    from batchgen.cli.commands.run import base_of, token_if_any

    with refusals():
        from batchgen.runner.options import Options
        from batchgen.runner.session import open_existing

        options = Options(api_base=base_of(out, api_base), token=token_if_any())

        async def settle() -> Sequence[Job]:
            async with open_existing(out, options) as opened:
                return await _settle(opened, adopt, release, release_all, give_up, as_json)

        left = carried(settle)
    if as_json:
        emit({"in_doubt": [_doubt(job) for job in left]})
    elif left:
        say("", "still in doubt:", *_doubt_lines(left), *_next_steps(out, left))
    else:
        say("no row is in doubt")
    end(Exit.IN_DOUBT if left else Exit.DONE)


async def _settle(
    opened: Session,
    adopt: Sequence[str],
    release: Sequence[str],
    release_all: bool,
    give_up: Sequence[str],
    as_json: bool,
) -> Sequence[Job]:
    from batchgen.core.job import State
    from batchgen.providers.credentials import find_token
    from batchgen.runner import recover

    state = opened.state
    doubtful = list(state.reader.jobs([State.IN_DOUBT]))
    if not (adopt or release or release_all or give_up):
        if doubtful and not as_json and sys.stdin.isatty() and sys.stderr.isatty():
            await _ask(opened, doubtful)
        return list(state.reader.jobs([State.IN_DOUBT]))
    for pair in adopt:
        row_id, _, request_id = pair.rpartition("=")
        if not row_id or not request_id:
            raise recover.NotSettled(f"{pair!r} is not ROW=ID; write for example --adopt dune-004=REQUEST_ID")
        find_token()  # the id is checked with the provider
        await recover.adopt(state, opened.provider, row_id, request_id)
        say(f"{row_id}: adopted {request_id}; `batchgen collect {opened.folder.path}` brings it in")
    to_release = doubtful if release_all else [recover.in_doubt(state, row_id) for row_id in release]
    if to_release and _may_release(to_release):
        await recover.release(state, to_release)
        say(f"{counted(len(to_release), 'row')} will be sent again by the next run")
    closed = [recover.in_doubt(state, row_id) for row_id in give_up]
    await recover.give_up(state, closed)
    return list(state.reader.jobs([State.IN_DOUBT]))


def _may_release(jobs: Sequence[Job]) -> bool:
    """The flag is a person's word; on a terminal the possible double charge is shown and asked for."""
    rows = counted(len(jobs), "row")
    say(f"sending {rows} again may pay twice for what was accepted: up to {_cost(jobs)} more", *_doubt_lines(jobs))
    return not (sys.stdin.isatty() and sys.stderr.isatty()) or confirmed("Send again?")


async def _ask(opened: Session, doubtful: Sequence[Job]) -> None:
    """Go through the rows in doubt one by one with a person, until they have enough."""
    say(
        f"{counted(len(doubtful), 'row')} in doubt. The provider's web page lists what was generated.",
        "For each row paste its request_id, or type `release` to send it again,",
        "`give up` to close it, or nothing to leave it in doubt. Ctrl-C ends this.",
    )
    for number, job in enumerate(doubtful, 1):
        say(
            "", f"{number} of {len(doubtful)}: {job.row_id}, sent {_clock(job.intent_at)}, may have cost {_cost([job])}"
        )
        say(f"  {job.reason}", f"  {shortened(_asked_for(job), 200)}")
        while (word := answered("request_id, release, give up, or Enter")) is not None:
            if await _settled(opened, job, word):
                break
        else:
            return


async def _settled(opened: Session, job: Job, word: str) -> bool:
    """Do what a person said about one row. False if that could not be done, and why was said."""
    from batchgen.runner import recover

    try:
        if word == "release":
            if _may_release([job]):
                await recover.release(opened.state, [job])
                say("it will be sent again by the next run")
        elif word in ("give up", "give-up"):
            await recover.give_up(opened.state, [job])
            say("closed; what it may have cost stays counted")
        elif word:
            await recover.adopt(opened.state, opened.provider, job.row_id, word)
            say(f"adopted; `batchgen collect {opened.folder.path}` brings it in")
    except recover.NotSettled as refused:
        say(f"{refused}")
        return False
    return True


def _doubt(job: Job) -> dict[str, Any]:
    from batchgen.core.money import usd

    return {
        "row": job.row_id,
        "model": job.model,
        "sent_at": job.intent_at,
        "prompt": prompt_of(job.input),
        "reason": job.reason,
        "may_have_cost_usd": usd(job.estimate_micro),
    }


def _doubt_lines(jobs: Sequence[Job]) -> list[str]:
    from batchgen.cli.tables import table

    head = ("row", "sent", "may have cost", "prompt", "how the answer was lost")
    body = [
        (job.row_id, _clock(job.intent_at), _cost([job]), shortened(_asked_for(job), _PROMPT), job.reason or "")
        for job in jobs[:_MOST]
    ]
    more = [f"... and {len(jobs) - _MOST:,} more; --json lists them"] if len(jobs) > _MOST else []
    return table([head, *body]) + more


def _asked_for(job: Job) -> str:
    """What to look for on the provider's page: the prompt in one line, or the whole request where it has none."""
    return " ".join((prompt_of(job.input) or str(dict(job.input))).split())


def _next_steps(out: Path, jobs: Sequence[Job]) -> list[str]:
    """What a person may do about *jobs*, as they would type it."""
    row_id, place = shlex.quote(jobs[0].row_id), shlex.quote(str(out))
    return [
        "",
        "the provider's web page lists what was generated; compare prompt and time there, then for each row:",
        f"  found there:      batchgen reconcile {place} --adopt {row_id}=REQUEST_ID",
        f"  not there:        batchgen reconcile {place} --release {row_id}    (sends it again: may pay twice)",
        f"  leave it closed:  batchgen reconcile {place} --give-up {row_id}    (what it may have cost stays counted)",
    ]


def _cost(jobs: Sequence[Job]) -> str:
    from batchgen.core.money import dollars, usd

    known = [job.estimate_micro for job in jobs if job.estimate_micro is not None]
    return dollars(usd(sum(known)) if len(known) == len(jobs) else None)


def _clock(at: float | None) -> str:
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


@click.command(cls=flags.Command)
@flags.out_folder
@flags.only
@flags.as_json
@flags.api_base
def cancel(out: Path, only: frozenset[str] | None, as_json: bool, api_base: str | None) -> None:
    """Cancel what is still queued at the provider, and say what will be billed all the same."""
    from batchgen.cli.commands.run import base_of

    with refusals():
        from batchgen.providers.credentials import find_token
        from batchgen.runner.cancel import Cancelling, cancel_queued
        from batchgen.runner.options import Options
        from batchgen.runner.session import open_existing

        options = Options(api_base=base_of(out, api_base), token=find_token(), only=only)

        async def cancel_all() -> Cancelling:
            async with open_existing(out, options) as opened:
                return await cancel_queued(opened.state, opened.provider, options.only)

        told = carried(cancel_all)
    if as_json:
        emit({"cancelled": told.cancelled, "too_late": told.too_late, "unanswered": told.unanswered})
    say(
        f"{len(told.cancelled)} cancelled"
        + (f", {len(told.too_late)} already running or done: these will be billed" if told.too_late else "")
    )
    if told.unanswered:
        say(f"{len(told.unanswered)} gave no clear answer: {', '.join(sorted(told.unanswered)[:10])}")
    if told.too_late or told.unanswered:
        say(f"`batchgen collect {out}` brings in what goes on")
        end(Exit.STILL_LIVE)


@click.command(cls=flags.Command)
@flags.out_folder
@flags.as_json
@flags.api_base
def repair(out: Path, as_json: bool, api_base: str | None) -> None:
    """Rebuild a lost, damaged or outdated state.db from the journal and the row folders."""
    with refusals():
        from batchgen.providers.runcomfy.model_api import api_base as base_without_v1
        from batchgen.state import no_run_folder
        from batchgen.state.repair import repair
        from batchgen.storage.paths import RunFolder

        folder = RunFolder.at(out)
        if not folder.path.is_dir():
            raise no_run_folder(folder)
        repaired = repair(folder, base_without_v1(api_base))
    if as_json:
        emit({"rows": repaired.rows, "attempts": repaired.attempts, "notes": list(repaired.notes)})
    say(*(f"note: {note}" for note in repaired.notes))
    say(
        f"repaired: {counted(repaired.attempts, 'attempt')} at {counted(repaired.rows, 'row')}",
        f"the old state is in {folder.set_aside}",
        "`batchgen run MANIFEST` goes on; rows that were never sent come from the manifest again",
    )
