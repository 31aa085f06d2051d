"""The command that is the provider's double: serve."""

from __future__ import annotations

from typing import Annotated

import typer

from batchgen.cli.output import end, listening, refusals, say, tell
from batchgen.core.errors import Exit


def serve(
    port: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=65535, envvar="BATCHGEN_PORT", help="Port on 127.0.0.1; 0 takes a free one."
        ),
    ] = 0,
    token: Annotated[
        str, typer.Option(metavar="TEXT", envvar="BATCHGEN_TOKEN", help="The token that clients must send.")
    ] = "rehearsal",  # noqa: S107
    faults: Annotated[
        str,
        typer.Option(
            metavar="PLAN",
            envvar="BATCHGEN_FAULTS",
            help="Faults made on purpose, such as submit.drop_reply=0.5%,download.truncate=x3; help lists them all.",
            show_default="none",
        ),
    ] = "",
    seed: Annotated[int, typer.Option(metavar="N", envvar="BATCHGEN_SEED", help="What all chance hangs on.")] = 0,
    latency: Annotated[
        str,
        typer.Option(
            metavar="SPREAD",
            envvar="BATCHGEN_LATENCY",
            help="How long jobs run: fixed:50ms, lognormal:2s (the median), uniform:1s:3s or bimodal:8s:60s.",
        ),
    ] = "lognormal:2s",
    concurrency: Annotated[
        int, typer.Option(metavar="N", min=1, envvar="BATCHGEN_CONCURRENCY", help="Jobs run at once; the others wait.")
    ] = 40,
    max_queued: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            envvar="BATCHGEN_MAX_QUEUED",
            help="Jobs that may wait; above that 429.",
            show_default="any number",
        ),
    ] = None,
    submit_rate: Annotated[
        str | None,
        typer.Option(
            metavar="RATE",
            envvar="BATCHGEN_SERVE_RATE",
            help="POSTs let through, such as 50/s or 100/min; above that 429.",
            show_default="any number",
        ),
    ] = None,
    retry_after: Annotated[bool, typer.Option(envvar="BATCHGEN_RETRY_AFTER", help="Send Retry-After with 429.")] = True,
    wallet_usd: Annotated[
        float | None,
        typer.Option(
            metavar="USD", envvar="BATCHGEN_WALLET_USD", help="Money in the account.", show_default="without end"
        ),
    ] = None,
    draw: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            envvar="BATCHGEN_DRAW",
            help="full: real pictures; tiny: 16x16 each; bytes:1MB: of that size.",
        ),
    ] = "full",
    other_account_token: Annotated[
        str,
        typer.Option(
            metavar="TEXT", envvar="BATCHGEN_OTHER_TOKEN", help="The token of a second account.", show_default="none"
        ),
    ] = "",
    parent_pid: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """The embedded server: RunComfy's protocol on this machine alone. Nothing costs money, and it keeps nothing.

    Its first line on stdout is {"url": ...}: give that to batchgen as --api-base, and the --token as RUNCOMFY_TOKEN.
    URL/__ledger lists what it charged for, and POSTing {"faults": ...} or {"wallet_usd": ...} to URL/__control changes
    it while it serves. Ctrl-C ends it.
    """
    from batchgen.runner.descriptors import raise_limit
    from batchgen.simulator.options import ServeOptions
    from batchgen.simulator.server import serve

    raise_limit()

    if faults == "help":
        _tell_faults()
        return
    with refusals(), listening(port):
        try:
            serve(
                ServeOptions(
                    port=port,
                    token=token,
                    faults=faults,
                    seed=seed,
                    latency=latency,
                    concurrency=concurrency,
                    max_queued=max_queued,
                    submit_rate=submit_rate,
                    retry_after=retry_after,
                    wallet_usd=wallet_usd,
                    draw=draw,
                    other_account_token=other_account_token,
                    parent_pid=parent_pid,
                )
            )
        except ValueError as error:
            say(f"batchgen: {error}")
            end(Exit.USAGE)


def _tell_faults() -> None:
    """What a fault plan may hold."""
    from batchgen.simulator.faults import FAULTS, SETTINGS

    tell("A plan is a list of NAME=HOW OFTEN[:ARGUMENT], such as submit.drop_reply=0.5%,job.fail=x3:", "")
    width = max(map(len, FAULTS))
    tell(*(f"  {name:<{width}}  {what}" for name, what in FAULTS.items()))
    tell("", "and of settings, NAME=VALUE:", "")
    for name, (default, choices) in SETTINGS.items():
        tell(
            f"  {name:<{width}}  {'a time, such as 60s' if choices is None else ' or '.join(choices)}"
            + (f"; {default} unless given" if default else "")
        )
