"""The command line: verbs, the only printing, the only exit codes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from batchgen import __version__
from batchgen.cli import asking, ends, exporting, reporting, running, serving, settling, story


def _first_sentence(verb: Callable[..., None]) -> str:
    """What the list of commands says of *verb*: all of its first sentence, and not as much as fits a line."""
    return " ".join((inspect.getdoc(verb) or "").split(". ")[0].removesuffix(".").split())


app = typer.Typer(
    name="batchgen",
    help="Run thousands of picture and video generations overnight: a manifest in, verified files out.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    running.run,
    running.plan,
    running.rehearse,
    asking.status,
    running.collect,
    running.retry,
    settling.reconcile,
    settling.cancel,
    settling.repair,
    story.show,
    reporting.report,
    reporting.watch,
    asking.audit,
    exporting.export,
    asking.models,
    asking.init,
    serving.serve,
):
    app.command(verb.__name__, short_help=_first_sentence(verb))(verb)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if show:
        print(f"batchgen {__version__}")
        raise typer.Exit


_TAKES_MANY = frozenset({"--only", "--adopt", "--release", "--give-up"})


def main() -> None:
    """The `batchgen` command."""
    sys.argv[1:] = spread(sys.argv[1:])
    with ends.streams():
        try:
            with ends.refusals():
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
