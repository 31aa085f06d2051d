"""The command line: verbs, the only printing, the only exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from batchgen.cli import output
from batchgen.cli.app import HELP_NAMES, Verbs
from batchgen.core.version import __version__

app = typer.Typer(
    name="batchgen",
    cls=Verbs,
    help="Run thousands of picture and video generations overnight: a manifest in, verified files out.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP_NAMES,
)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if show:
        output.tell(f"batchgen {__version__}")
        raise typer.Exit


_TAKES_MANY = frozenset({"--only", "--adopt", "--release", "--give-up", "--take-back"})


def main() -> None:
    """The `batchgen` command."""
    sys.argv[1:] = spread(sys.argv[1:])
    with output.streams():
        try:
            with output.refusals():
                app()
        except typer.Exit as ended:
            sys.exit(ended.exit_code)


def spread(arguments: list[str]) -> list[str]:
    """`--only a b` as `--only a --only b`: flags that take many values end at the next flag.

    `--release --all` needs no row: it is `--all`.
    """
    spread_out: list[str] = []
    flag, values = "", 0
    for position, argument in enumerate(arguments):
        if argument == "--release" and arguments[position + 1 : position + 2] == ["--all"]:
            continue
        if argument.startswith("-"):
            flag, values = argument, 0
        else:
            values += 1
            if flag in _TAKES_MANY and values > 1:
                spread_out.append(flag)
        spread_out.append(argument)
    return spread_out
