"""The command line: verbs, the only printing, the only exit codes."""

from __future__ import annotations

import sys

import typer

from batchgen.cli import asking, running

app = typer.Typer(
    name="batchgen",
    help="Run thousands of picture and video generations overnight: a manifest in, verified files out.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (running.run, running.plan, running.rehearse, asking.status, running.collect, running.retry, asking.serve):
    app.command(verb.__name__)(verb)
app.add_typer(asking.models, name="models")

_TAKES_MANY = frozenset({"--only"})


def main() -> None:
    """The `batchgen` command."""
    sys.argv[1:] = spread(sys.argv[1:])
    app()


def spread(arguments: list[str]) -> list[str]:
    """`--only a b` as `--only a --only b`: flags that take many values end at the next flag."""
    spread_out: list[str] = []
    flag = None
    for argument in arguments:
        if argument.startswith("-"):
            flag = argument if argument in _TAKES_MANY else None
            first = True
        elif flag is not None and not first:
            spread_out.append(flag)
        else:
            first = False
        spread_out.append(argument)
    return spread_out
