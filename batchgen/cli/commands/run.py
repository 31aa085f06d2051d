"""The commands that send, poll and collect: run, rehearse, plan, collect, retry."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from batchgen.cli import flags
from batchgen.cli.hooks import EndHooks
from batchgen.cli.output import carried, confirmed, emit, emit_with, end, refusals, say, tell, width_of
from batchgen.core.errors import Exit
from batchgen.core.log import written
from batchgen.core.money import dollars
from batchgen.core.text import counted
from batchgen.storage.paths import RunFolder

if TYPE_CHECKING:
    from batchgen.models import UnitPrice
    from batchgen.runner.bill import Consents, Plan
    from batchgen.runner.canary import CanaryResult
    from batchgen.runner.outcome import Report


@click.command(cls=flags.Command)
@flags.manifest
@flags.out
@flags.pace
@flags.budget
@flags.limit
@flags.only
@flags.yes
@flags.progress
@flags.api_base
@flags.job_timeout
@flags.min_free
@flags.inline_files
@flags.changes
@flags.downloads
@flags.option(
    "--canary",
    metavar="N",
    type=flags.WholeNumber(1),
    envvar="BATCHGEN_CANARY",
    help="Send N rows first, and ask again with their cost.",
)
@flags.offline
@flags.check_urls
@flags.prices
@flags.hooks
def run(
    manifest: Path,
    out: Path | None,
    yes: bool,
    as_json: bool,
    events: bool,
    quiet: bool,
    verbose: bool,
    log: Path | None,
    prices: Path | None,
    notify_url: str | None,
    on_finish: str | None,
    **settings: Any,
) -> None:
    """Validate, show the bill, ask, submit, poll and collect. Run it again, and it resumes."""
    at_end = EndHooks("run", _folder(manifest, out), notify_url, on_finish)
    with at_end, refusals(), written(log, verbose):
        from batchgen.cli.live.progress import Progress
        from batchgen.runner.commands import run
        from batchgen.runner.options import Options

        progress = Progress(events, quiet or verbose)
        options = Options(
            out=out,
            token=token_if_any(),  # an invalid manifest is told before a missing token
            after_canary=_after_canary(yes),
            prices=_price_list(prices),
            on_trouble=progress.trouble,
            on_move=progress.moved,
            on_breaker=progress.breaker,
            **settings,
        )
        with _invalid_manifests(as_json):
            report = carried(lambda: run(manifest, options, _consent(yes, options.consents), progress.watch))
    _finish(report, as_json, at_end)


@click.command(cls=flags.Command)
@flags.manifest
@flags.out
@flags.in_flight
@flags.limit
@flags.only
@flags.progress
@flags.option(
    "--faults",
    metavar="PLAN",
    default="",
    show_default=False,
    envvar="BATCHGEN_FAULTS",
    help="Faults the server makes on purpose.",
)
@flags.latency
@flags.option(
    "--draw",
    metavar="HOW",
    envvar="BATCHGEN_DRAW",
    default="full",
    help="full: real pictures; tiny: 16x16 each; bytes:1MB: that big.",
)
@flags.hooks
def rehearse(
    manifest: Path,
    out: Path | None,
    as_json: bool,
    events: bool,
    quiet: bool,
    verbose: bool,
    log: Path | None,
    faults: str,
    latency: str,
    draw: str,
    notify_url: str | None,
    on_finish: str | None,
    **settings: Any,
) -> None:
    """The same run against the embedded server: free, and in a folder of its own (OUT.rehearsal)."""
    at_end = EndHooks("rehearse", _folder(manifest, out).rehearsal, notify_url, on_finish)
    with at_end, refusals(), written(log, verbose):
        from batchgen.cli.live.progress import Progress
        from batchgen.runner.options import Options
        from batchgen.runner.rehearse import rehearse

        progress = Progress(events, quiet or verbose)
        options = Options(
            out=out, rehearsal=True, inline_files=True, on_move=progress.moved, on_breaker=progress.breaker, **settings
        )
        with _invalid_manifests(as_json):
            report = carried(
                lambda: rehearse(manifest, options, progress.watch, _free, faults=faults, latency=latency, draw=draw)
            )
    _finish(report, as_json, at_end, rehearsal=True)


@click.command(cls=flags.Command)
@flags.manifest
@flags.out
@flags.limit
@flags.only
@flags.budget
@flags.as_json
@flags.api_base
@flags.inline_files
@flags.changes
@flags.in_flight
@flags.offline
@flags.check_urls
@flags.prices
def plan(manifest: Path, out: Path | None, as_json: bool, prices: Path | None, **settings: Any) -> None:
    """The bill of a manifest and everything that is wrong with it. Nothing is sent."""
    from batchgen.cli.tables import bill

    with refusals():
        from batchgen.runner.commands import plan
        from batchgen.runner.options import Options

        options = Options(out=out, token=token_if_any(), prices=_price_list(prices), **settings)
        made = carried(lambda: plan(manifest, options))
    if as_json:
        emit_with(made.without_problems(), problems=made.problems_as_json())
    elif not made.problems.errors:
        tell(*bill(made, width_of(sys.stdout)))
        if options.token is None:
            say("note: no token, so prices and balance could not be asked of the provider; `run` needs one")
    if made.problems:
        from batchgen.manifest.problems import in_short

        say(*in_short(made.problems))
    if made.problems.errors:
        say(_counted(made))
    if not made.would_run:
        end(Exit.USAGE)


@click.command(cls=flags.Command)
@flags.out_folder
@flags.switch("--verify", envvar="BATCHGEN_VERIFY", help="Hash every file again; fetch what is lost.")
@flags.option(
    "--take-back",
    metavar="ROW...",
    multiple=True,
    envvar="BATCHGEN_TAKE_BACK",
    help="Take in what was set aside of these rows, as it is; free.",
)
@flags.only
@flags.progress
@flags.api_base
@flags.job_timeout
@flags.poll_rate
@flags.downloads
@flags.hooks
def collect(
    out: Path,
    verify: bool,
    take_back: tuple[str, ...],
    as_json: bool,
    events: bool,
    quiet: bool,
    verbose: bool,
    log: Path | None,
    api_base: str | None,
    notify_url: str | None,
    on_finish: str | None,
    **settings: Any,
) -> None:
    """Poll and download what was paid for. Never submits anything."""
    at_end = EndHooks("collect", RunFolder.at(out), notify_url, on_finish)
    with at_end, refusals(), written(log, verbose):
        from batchgen.cli.live.progress import Progress
        from batchgen.providers.credentials import find_token
        from batchgen.runner.commands import collect
        from batchgen.runner.options import Options

        progress = Progress(events, quiet or verbose)
        options = Options(
            api_base=base_of(out, api_base),
            token=find_token(),
            on_trouble=progress.trouble,
            on_move=progress.moved,
            on_breaker=progress.breaker,
            **settings,
        )
        report = carried(lambda: collect(out, options, verify, progress.watch, take_back))
    _finish(report, as_json, at_end)


@click.command(cls=flags.Command)
@flags.out_folder
@flags.switch("--rerun", help="Pay again for collected rows, too.")
@flags.switch("--rejected", help="Just the rows with an output that you rejected.")
@flags.switch("--new-seed", envvar="BATCHGEN_NEW_SEED", help="Give each new attempt a seed that its row did not have.")
@flags.pace
@flags.budget
@flags.only
@flags.yes
@flags.progress
@flags.api_base
@flags.job_timeout
@flags.min_free
@flags.inline_files
@flags.prices
@flags.hooks
def retry(
    out: Path,
    rerun: bool,
    rejected: bool,
    new_seed: bool,
    yes: bool,
    as_json: bool,
    events: bool,
    quiet: bool,
    verbose: bool,
    log: Path | None,
    api_base: str | None,
    prices: Path | None,
    notify_url: str | None,
    on_finish: str | None,
    **settings: Any,
) -> None:
    """Send failed and cancelled rows again, each as a new attempt."""
    at_end = EndHooks("retry", RunFolder.at(out), notify_url, on_finish)
    with at_end, refusals(), written(log, verbose):
        from batchgen.cli.live.progress import Progress
        from batchgen.providers.credentials import find_token
        from batchgen.runner.commands import retry
        from batchgen.runner.options import Options

        progress = Progress(events, quiet or verbose)
        options = Options(
            api_base=base_of(out, api_base),
            token=find_token(),
            prices=_price_list(prices),
            on_trouble=progress.trouble,
            on_move=progress.moved,
            on_breaker=progress.breaker,
            **settings,
        )
        report = carried(
            lambda: retry(out, options, _consent(yes, options.consents), rerun, rejected, new_seed, progress.watch)
        )
    _finish(report, as_json, at_end)


@contextmanager
def _invalid_manifests(as_json: bool) -> Iterator[None]:
    """Show every problem of a manifest that cannot be run."""
    from batchgen.manifest.problems import in_short
    from batchgen.runner.commands import InvalidManifest

    try:
        yield
    except InvalidManifest as invalid:
        if as_json:
            found = invalid.plan.problems_as_json()
            emit_with(invalid.plan.without_problems() | {"exit": int(Exit.USAGE)}, problems=found)
        say(*in_short(invalid.plan.problems), _counted(invalid.plan))
        end(Exit.USAGE)


def _counted(plan: Plan) -> str:
    return f"batchgen: {counted(plan.problems.errors, 'problem')} in {plan.manifest}; nothing was sent"


def _consent(yes: bool, consents: Consents) -> Callable[[Plan], bool]:
    """Show the bill and ask; a machine has to have said --yes."""
    from batchgen.cli.tables import bill
    from batchgen.manifest.problems import in_short
    from batchgen.runner.bill import refuse_beyond_yes

    def agreed(plan: Plan) -> bool:
        say(*in_short(plan.problems), *bill(plan, width_of(sys.stderr)))
        if yes:
            refuse_beyond_yes(plan, consents)
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            say("not a terminal, so nobody can be asked: --yes agrees to this bill")
            return False
        return confirmed("Send them?")

    return agreed


def _free(plan: Plan) -> bool:
    """A rehearsal needs no word, only to be told from a run."""
    rows, outputs = counted(plan.to_send, "row"), counted(plan.judgement.all.outputs, "output")
    say(f"rehearsal of {rows}, {outputs}, on the embedded server: free, nothing leaves this machine")
    say(f"what it says of money is play money: {dollars(plan.total_usd)} by the server's own prices")
    return True


def _after_canary(yes: bool) -> Callable[[CanaryResult], bool]:
    """Show what the sample came to; a person decides, a machine goes on only if the estimate held."""

    def goes_on(result: CanaryResult) -> bool:
        say(f"canary: {result}", f"its files: {result.rows_folder}", f"the rest: {result.rest}")
        if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return result.promising
        return confirmed("Send the rest?")

    return goes_on


def _price_list(file: Path | None) -> dict[str, UnitPrice]:
    if file is None:
        return {}
    from batchgen.manifest import price_list

    return price_list(file)


def _finish(report: Report, as_json: bool, at_end: EndHooks, rehearsal: bool = False) -> NoReturn:
    from batchgen.cli.tables import report as lines

    at_end.report = report
    with at_end:
        if as_json:
            with suppress(OSError):  # the disk takes no more; the exit code still says how the run ended
                emit(report.as_json())
        say(*lines(report, rehearsal))
        end(report.exit)


def token_if_any() -> str | None:
    from batchgen.providers.credentials import TokenMissing, find_token

    try:
        return find_token()
    except TokenMissing:
        return None


def base_of(out: Path, given: str | None) -> str | None:
    """The API base that a folder belongs to, unless another is given."""
    from batchgen.state import open_reader
    from batchgen.storage.paths import RunFolder

    folder = RunFolder.at(out)
    if given is not None or not folder.state.exists():
        return given
    with closing(open_reader(folder)) as reader:
        return reader.meta("base")


def _folder(manifest: Path, out: Path | None) -> RunFolder:
    return RunFolder.at(out) if out is not None else RunFolder.beside(manifest)
