"""The command line: verbs, the only printing, the only exit codes."""

from __future__ import annotations

import sys

import click

from batchgen.cli import output
from batchgen.cli.app import app
from batchgen.core.errors import Exit


def main() -> None:
    """The `batchgen` command."""
    with output.streams():
        try:
            with output.refusals():
                code = app.main(standalone_mode=False)
        except click.exceptions.Exit as ended:
            code = ended.exit_code
        except click.ClickException as refused:
            refused.show()
            code = refused.exit_code
        except click.Abort:  # Ctrl-C while no command was at work yet
            code = Exit.STOPPED
        sys.exit(code)
