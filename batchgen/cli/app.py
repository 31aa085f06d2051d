"""The commands, each loaded when it is asked for: to list them all, or to do one, the others are not needed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import click

from batchgen.core.version import __version__

VERBS = {
    "run": ("run", "Validate, show the bill, ask, submit, poll and collect"),
    "plan": ("run", "The bill of a manifest and everything that is wrong with it"),
    "rehearse": (
        "run",
        "The same run against the embedded server: free, and in a folder of its own (OUT.rehearsal)",
    ),
    "status": (
        "inspect",
        "How a run folder stands: rows by state, cost, pace and what is wrong, also while a run is on",
    ),
    "collect": ("run", "Poll and download what was paid for"),
    "retry": ("run", "Send failed and cancelled rows again, each as a new attempt"),
    "reconcile": ("recover", "Settle rows in doubt: they may have been paid for, and nobody knows their request_id"),
    "cancel": ("recover", "Cancel what is still queued at the provider, and say what will be billed all the same"),
    "repair": ("recover", "Rebuild a lost, damaged or outdated state.db from the journal and the row folders"),
    "show": (
        "show",
        "One row's story in time order: what was asked, what it cost, what became of it, where its files are",
    ),
    "report": (
        "report",
        "Write OUT/report.html: what a run did, what it cost, what failed and why, and its pictures",
    ),
    "watch": (
        "report",
        "The page while a run is on: pictures as they land, and marks for those you accept or reject",
    ),
    "audit": ("inspect", "The account of a folder: expected, received, paid"),
    "export": ("export", "Make a data set of what is collected, or add to one; also while a run is on"),
    "models": (
        "inspect",
        "Search the catalogue, or show one model's input fields with their types, limits and defaults",
    ),
    "init": ("inspect", "Write a commented manifest for a model to stdout: batchgen init MODEL > mine.yaml"),
    "serve": ("serve", "The embedded server: RunComfy's protocol on this machine alone"),
}
"""Command: (the module that has it, the first sentence of what it says of itself)."""


class Commands(click.Group):
    """All commands, each loaded when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = import_module(f"batchgen.cli.commands.{VERBS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as unknown:
            raise click.NoSuchCommand(unknown.command_name, possibilities=VERBS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each with all of its first sentence, and not as much as fits a line."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, sentence) for verb, (_, sentence) in VERBS.items()])


def _completion(name: str, help_text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`--install-completion` or `--show-completion`: the function of that name in `completion` does it."""

    def done(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
        if wanted and not ctx.resilient_parsing:
            getattr(import_module("batchgen.cli.completion"), name)(ctx.command)
            ctx.exit()

    return click.option(f"--{name}-completion", is_flag=True, expose_value=False, callback=done, help=help_text)


@click.group("batchgen", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="batchgen %(version)s", help="Print the version and leave.")
@_completion("install", "Install completion for the current shell.")
@_completion("show", "Show completion for the current shell, to copy it or customize the installation.")
def app() -> None:
    """Run thousands of picture and video generations overnight: a manifest in, verified files out."""
