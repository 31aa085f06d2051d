"""The command that is the provider's double: serve."""

from __future__ import annotations

import click

from batchgen.cli import flags
from batchgen.cli.output import end, listening, refusals, say, tell
from batchgen.core.errors import Exit


@click.command(cls=flags.Command)
@flags.option(
    "--port",
    metavar="N",
    type=flags.WholeNumber(0, 65535),
    envvar="BATCHGEN_PORT",
    default=0,
    help="Port on 127.0.0.1; 0 takes a free one.",
)
@flags.option(
    "--token", metavar="TEXT", envvar="BATCHGEN_TOKEN", default="rehearsal", help="The token that clients must send."
)
@flags.option(
    "--faults",
    metavar="PLAN",
    envvar="BATCHGEN_FAULTS",
    default="",
    show_default="none",
    help="Faults made on purpose, such as submit.drop_reply=0.5%,download.truncate=x3; help lists them all.",
)
@flags.option(
    "--seed", metavar="N", type=flags.whole_number, envvar="BATCHGEN_SEED", default=0, help="What all chance hangs on."
)
@flags.latency
@flags.option(
    "--concurrency",
    metavar="N",
    type=flags.WholeNumber(1),
    envvar="BATCHGEN_CONCURRENCY",
    default=40,
    help="Jobs run at once; the others wait.",
)
@flags.option(
    "--max-queued",
    metavar="N",
    type=flags.whole_number,
    envvar="BATCHGEN_MAX_QUEUED",
    show_default="any number",
    help="Jobs that may wait; above that 429.",
)
@flags.option(
    "--submit-rate",
    metavar="RATE",
    envvar="BATCHGEN_SERVE_RATE",
    show_default="any number",
    help="POSTs let through, such as 50/s or 100/min; above that 429.",
)
@flags.switch(
    "--retry-after/--no-retry-after", envvar="BATCHGEN_RETRY_AFTER", default=True, help="Send Retry-After with 429."
)
@flags.option(
    "--wallet-usd",
    metavar="USD",
    type=flags.number,
    envvar="BATCHGEN_WALLET_USD",
    show_default="without end",
    help="Money in the account.",
)
@flags.option(
    "--draw",
    metavar="HOW",
    envvar="BATCHGEN_DRAW",
    default="full",
    help="full: real pictures; tiny: 16x16 each; bytes:1MB: of that size.",
)
@flags.option(
    "--other-account-token",
    metavar="TEXT",
    envvar="BATCHGEN_OTHER_TOKEN",
    default="",
    show_default="none",
    help="The token of a second account.",
)
@flags.option("--parent-pid", type=flags.whole_number, hidden=True)
def serve(
    port: int,
    token: str,
    faults: str,
    seed: int,
    latency: str,
    concurrency: int,
    max_queued: int | None,
    submit_rate: str | None,
    retry_after: bool,
    wallet_usd: float | None,
    draw: str,
    other_account_token: str,
    parent_pid: int | None,
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
