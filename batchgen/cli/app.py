"""The commands, each loaded when it is asked for: to tell them all, or to do one, the others are not needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from batchgen.cli.values import Command, made_by

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

HELP_NAMES = {"help_option_names": ["-h", "--help"]}


class Verbs(TyperGroup):
    """All commands."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Loaded()  # type: ignore[assignment]  # nothing is ever added to it

    def get_params(self, ctx: Any) -> list[Any]:
        return [made_by(None, parameter) for parameter in super().get_params(ctx)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each with all of its first sentence, and not as much as fits a line."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, sentence) for verb, (_, sentence) in VERBS.items()])


class _Loaded(Mapping[str, TyperCommand]):
    def __getitem__(self, verb: str) -> TyperCommand:
        return _loaded(verb, VERBS[verb][0])

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


@cache
def _loaded(verb: str, module: str) -> TyperCommand:
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(verb, cls=Command, context_settings=HELP_NAMES)(
        getattr(import_module(f"batchgen.cli.commands.{module}"), verb)
    )
    command = typer.main.get_command(alone)
    assert isinstance(command, TyperCommand)
    return command
