"""What the command line does, callable from a script or a notebook; what takes a while as `name` and as `name_async`.

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


async def plan_async(manifest: str | Path, options: Options | None = None) -> Plan:
    """`plan`, to be awaited."""
    return await commands.plan(Path(manifest), _from_environment(options, needed=False))


async def run_async(
    manifest: str | Path,
    options: Options | None = None,
    *,
    yes: bool = False,
    consent: Callable[[Plan], bool] | None = None,
) -> Report:
    """`run`, to be awaited."""
    return await commands.run(Path(manifest), _from_environment(options), consent or _agreed(yes, options))


async def rehearse_async(
    manifest: str | Path, options: Options | None = None, *, faults: str = "", latency: str = "lognormal:2s"
) -> Report:
    """`rehearse`, to be awaited."""
    return await rehearse_for_free(Path(manifest), options or Options(), faults=faults, latency=latency, draw="full")


async def collect_async(out: str | Path, options: Options | None = None, *, verify: bool = False) -> Report:
    """`collect`, to be awaited."""
    return await commands.collect(Path(out), _from_environment(options), verify)


async def retry_async(
    out: str | Path,
    options: Options | None = None,
    *,
    yes: bool = False,
    rerun: bool = False,
    rejected: bool = False,
    new_seed: bool = False,
    consent: Callable[[Plan], bool] | None = None,
) -> Report:
    """`retry`, to be awaited."""
    agreed = consent or _agreed(yes, options)
    return await commands.retry(Path(out), _from_environment(options), agreed, rerun, rejected, new_seed)


def _agreed(yes: bool, options: Options | None) -> Callable[[Plan], bool]:
    """What *yes* says of a bill before it is there. Raises Refused for what it cannot have meant."""

    def agreed(bill: Plan) -> bool:
        if yes:
            refuse_beyond_yes(bill, (options or Options()).consents)
        return yes

    return agreed


def status(out: str | Path) -> RunStatus:
    """A run folder in figures, also while a run is on.

    Raises:
        Refusal: *out* is not a run folder.
    """
    return folder_status.status(Path(out))


def records(out: str | Path) -> pd.DataFrame:
    """One line per collected output of a run folder, with everything that made it, also while a run is on.

    The columns are those of a data set (docs/datasets.md), `split` empty and `caption` the prompt.

    Raises:
        Refusal: *out* is not a run folder.
    """
    from batchgen.results import export

    return export.records(out)


def plan(manifest: str | Path, options: Options | None = None) -> Plan:
    """The bill of a manifest and its problems. Sends nothing; needs no token.

    Args:
        manifest: A CSV, TSV, JSON Lines, YAML or Parquet file.
        options: As for the run that is planned.

    Returns:
        The bill. Problems of the manifest do not raise: they are in `Plan.problems`.
    """
    return _wait(plan_async(manifest, options))


def run(
    manifest: str | Path,
    options: Options | None = None,
    *,
    yes: bool = False,
    consent: Callable[[Plan], bool] | None = None,
) -> Report:
    """Run a manifest to its end, or resume it.

    Args:
        manifest: A CSV, TSV, JSON Lines, YAML or Parquet file.
        options: Limits and choices; by default those of the command line.
        yes: Agrees to the bill beforehand.
        consent: Is given the bill, where something would be sent, and says whether to send it; in place of *yes*.

    Returns:
        What the run came to. A run that was stopped by the account, the network or the budget returns as well, and
        `Report.exit` says why.

    Raises:
        InvalidManifest: The manifest has problems; the exception holds the plan that names them. Nothing was sent.
        Refused: Nobody agreed to the bill. Nothing was sent.
        Refusal: Anything else that cannot be done: no token, another run in the folder, an unusable state.
    """
    return _wait(run_async(manifest, options, yes=yes, consent=consent))


def rehearse(
    manifest: str | Path, options: Options | None = None, *, faults: str = "", latency: str = "lognormal:2s"
) -> Report:
    """The same run against the embedded server: free, in a folder of its own (`OUT.rehearsal`).

    Args:
        manifest: A CSV, TSV, JSON Lines, YAML or Parquet file.
        options: As for `run`.
        faults: Faults that the server makes on purpose, such as `"submit.drop_reply=0.5%,download.truncate=x3"`.
        latency: How long jobs take: `"fixed:50ms"`, `"lognormal:2s"` (the median), `"uniform:1s:3s"` or
            `"bimodal:8s:60s"`.
    """
    return _wait(rehearse_async(manifest, options, faults=faults, latency=latency))


def collect(out: str | Path, options: Options | None = None, *, verify: bool = False) -> Report:
    """Poll and download what was paid for. Cannot spend.

    Args:
        out: A run folder.
        options: Limits; those of submitting have no effect.
        verify: Hash every collected file again, and fetch what is lost or damaged.
    """
    return _wait(collect_async(out, options, verify=verify))


def retry(
    out: str | Path,
    options: Options | None = None,
    *,
    yes: bool = False,
    rerun: bool = False,
    rejected: bool = False,
    new_seed: bool = False,
    consent: Callable[[Plan], bool] | None = None,
) -> Report:
    """Send failed and cancelled rows of a run folder again, each as a new attempt.

    Args:
        out: A run folder.
        options: As for `run`.
        yes: Agrees to the bill beforehand.
        rerun: Send collected rows again, too.
        rejected: Send just the rows of which a person rejected an output.
        new_seed: Give each new attempt a seed that its row did not have.
        consent: Is given the bill and says whether to send it; in place of *yes*.

    Raises:
        Refused: Nobody agreed to the bill. Nothing was sent.
        Refusal: Anything else that cannot be done.
    """
    again = retry_async(out, options, yes=yes, rerun=rerun, rejected=rejected, new_seed=new_seed, consent=consent)
    return _wait(again)


def _from_environment(options: Options | None, needed: bool = True) -> Options:
    """*options* with the API base and the token that the environment gives, where they give none themselves."""
    options = options or Options()
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
