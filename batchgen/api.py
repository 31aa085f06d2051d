"""What the command line does, callable from a script or a notebook: each as `name` and as `name_async`.

    from batchgen import Options, plan, run

    bill = plan("postcards.csv")
    print(bill.total_usd, [str(problem) for problem in bill.problems])
    report = run("postcards.csv", Options(in_flight=40, budget_usd=25), yes=True)
    print(report.rows, report.exit)

Token and API base come from the environment, as for the command line, unless the options hold them. What cannot be
done raises a `Refusal` with the sentence that the command line would print.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from batchgen.providers.credentials import TokenMissing, find_token
from batchgen.providers.runcomfy.model_api import base_of_environment
from batchgen.results import status as folder_status
from batchgen.results.status import RunStatus
from batchgen.runner import commands
from batchgen.runner.bill import Plan, refuse_beyond_yes
from batchgen.runner.options import Options
from batchgen.runner.outcome import Report
from batchgen.runner.rehearse import rehearse as rehearse_for_free

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
_DEFAULTS = Options()


async def plan_async(manifest: str | Path, options: Options = _DEFAULTS) -> Plan:
    """The bill of a manifest and its problems. Sends nothing; needs no token."""
    return await commands.plan(Path(manifest), _from_environment(options, needed=False))


async def run_async(
    manifest: str | Path,
    options: Options = _DEFAULTS,
    *,
    yes: bool = False,
    consent: Callable[[Plan], bool] | None = None,
) -> Report:
    """Run a manifest to its end, or resume it.

    *yes* agrees to the bill; or *consent* is shown it and decides. With neither, nothing that costs money is sent and
    Refused is raised. Raises InvalidManifest with the plan that holds every problem.
    """
    return await commands.run(Path(manifest), _from_environment(options), consent or _agreed(yes, options))


async def rehearse_async(
    manifest: str | Path, options: Options = _DEFAULTS, *, faults: str = "", latency: str = "lognormal:2s"
) -> Report:
    """The same run against the embedded server: free, in a folder of its own."""
    return await rehearse_for_free(Path(manifest), options, faults=faults, latency=latency, draw="full")


async def collect_async(out: str | Path, options: Options = _DEFAULTS, *, verify: bool = False) -> Report:
    """Poll and download what was paid for. Cannot spend."""
    return await commands.collect(Path(out), _from_environment(options), verify)


async def retry_async(
    out: str | Path,
    options: Options = _DEFAULTS,
    *,
    yes: bool = False,
    rerun: bool = False,
    rejected: bool = False,
    new_seed: bool = False,
    consent: Callable[[Plan], bool] | None = None,
) -> Report:
    """Send failed and cancelled rows again (with *rerun* collected ones too), each as a new attempt.

    With *rejected* just those of which a person rejected an output; with *new_seed* each with a seed of its own.
    """
    agreed = consent or _agreed(yes, options)
    return await commands.retry(Path(out), _from_environment(options), agreed, rerun, rejected, new_seed)


def _agreed(yes: bool, options: Options) -> Callable[[Plan], bool]:
    """What *yes* says of a bill before it is there. Raises Refused for what it cannot have meant."""

    def agreed(bill: Plan) -> bool:
        if yes:
            refuse_beyond_yes(bill, options.consents)
        return yes

    return agreed


def status(out: str | Path) -> RunStatus:
    """A run folder in figures, also while a run is on."""
    return folder_status.status(Path(out))


def records(out: str | Path) -> pd.DataFrame:
    """One line per collected output of a run folder, with everything that made it, also while a run is on.

    `batchgen.results.export.columns` documents the columns.
    """
    from batchgen.results import export

    return export.records(out)


def plan(manifest: str | Path, options: Options = _DEFAULTS) -> Plan:
    """See `plan_async`."""
    return _wait(plan_async(manifest, options))


def run(
    manifest: str | Path,
    options: Options = _DEFAULTS,
    *,
    yes: bool = False,
    consent: Callable[[Plan], bool] | None = None,
) -> Report:
    """See `run_async`."""
    return _wait(run_async(manifest, options, yes=yes, consent=consent))


def rehearse(
    manifest: str | Path, options: Options = _DEFAULTS, *, faults: str = "", latency: str = "lognormal:2s"
) -> Report:
    """See `rehearse_async`."""
    return _wait(rehearse_async(manifest, options, faults=faults, latency=latency))


def collect(out: str | Path, options: Options = _DEFAULTS, *, verify: bool = False) -> Report:
    """See `collect_async`."""
    return _wait(collect_async(out, options, verify=verify))


def retry(
    out: str | Path,
    options: Options = _DEFAULTS,
    *,
    yes: bool = False,
    rerun: bool = False,
    rejected: bool = False,
    new_seed: bool = False,
    consent: Callable[[Plan], bool] | None = None,
) -> Report:
    """See `retry_async`."""
    again = retry_async(out, options, yes=yes, rerun=rerun, rejected=rejected, new_seed=new_seed, consent=consent)
    return _wait(again)


def _from_environment(options: Options, needed: bool = True) -> Options:
    """*options* with the API base and the token that the environment gives, where they give none themselves."""
    if options.api_base is None:
        options = replace(options, api_base=base_of_environment())
    if options.token is not None:
        return options
    try:
        return replace(options, token=find_token())
    except TokenMissing:
        if needed:
            raise
        return options


def _wait(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* to its end, in a thread of its own where a loop is running already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    ended: list[T] = []
    failed: list[BaseException] = []

    def work_here() -> None:
        try:
            ended.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            failed.append(error)

    thread = threading.Thread(target=work_here, name="batchgen")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return ended[0]
