"""The commands, each loaded."""

from __future__ import annotations

import click

from batchgen.cli.app import app


def commands() -> dict[str, click.Command]:
    """Every command by its name."""
    ctx = click.Context(app)
    loaded = {name: app.get_command(ctx, name) for name in app.list_commands(ctx)}
    return {name: command for name, command in loaded.items() if command is not None}
