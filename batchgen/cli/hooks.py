"""What follows the end of a run: the user's hooks are told of it, and nothing they do changes it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

import click

from batchgen.cli.output import say
from batchgen.core.errors import Exit
from batchgen.storage.paths import RunFolder

if TYPE_CHECKING:
    from batchgen.runner.outcome import Report


class EndHooks:
    """Tells a URL and a command, where given, how the `with` block was left. Falling through it is not the end."""

    def __init__(self, command: str, folder: RunFolder, notify_url: str | None, on_finish: str | None) -> None:
        self.report: Report | None = None
        self._command = command
        self._folder = folder
        self._notify_url = notify_url
        self._on_finish = on_finish

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or (self._notify_url is None and self._on_finish is None):
            return
        from batchgen.runner.notify import EndOfRun, tell

        end = EndOfRun(self._command, self._folder.path, _code(error), self.report)
        try:
            for wrong in tell(end, self._notify_url, self._on_finish):
                say(f"batchgen: {wrong}; the run has ended all the same")
        except KeyboardInterrupt:
            say("batchgen: the hooks were not waited for")
        except Exception as wrong:  # noqa: BLE001 - not even a fault of ours may change how the run ended
            say(f"batchgen: the hooks could not be told ({type(wrong).__name__})")


def _code(error: BaseException) -> Exit:
    """What the process will end with."""
    if isinstance(error, click.exceptions.Exit):
        return Exit(error.exit_code)
    return Exit.STOPPED if isinstance(error, KeyboardInterrupt) else Exit.STATE
