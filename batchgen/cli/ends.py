"""How commands end: every refusal as one sentence on stderr and its exit code."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import typer

from batchgen.outcome import Exit

T = TypeVar("T")


def end(code: Exit) -> NoReturn:
    raise typer.Exit(int(code))


def say(*lines: str) -> None:
    """Everything that is not data goes to stderr."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def emit(told: object) -> None:
    """One JSON object on stdout."""
    print(json.dumps(told, ensure_ascii=False), flush=True)


def carried(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *work* to its end; a refusal ends the command with its code and its reason."""
    with refusals():
        return asyncio.run(work())


@contextmanager
def refusals(as_json: bool = False) -> Iterator[None]:
    """Turn what a run may raise into a sentence and an exit code."""
    from batchgen.plan import Refused
    from batchgen.providers.contract import RunStopped
    from batchgen.run import InvalidManifest
    from batchgen.runfolder import NetworkFileSystem
    from batchgen.statefile import FolderInUse, OtherBase, StateUnusable
    from batchgen.token import TokenMissing

    codes: list[tuple[type[Exception], Exit]] = [
        (Refused, Exit.USAGE),
        (OtherBase, Exit.USAGE),
        (FolderInUse, Exit.FOLDER_IN_USE),
        (StateUnusable, Exit.STATE),
        (NetworkFileSystem, Exit.STATE),
        (TokenMissing, Exit.TOKEN),
        (RunStopped, Exit.PROVIDER),
    ]
    try:
        yield
    except InvalidManifest as invalid:
        _invalid(invalid, as_json)
    except tuple(kind for kind, _ in codes) as refusal:
        say(f"batchgen: {refusal}")
        end(next(code for kind, code in codes if isinstance(refusal, kind)))
    except OSError as error:
        say(f"batchgen: {error}")
        end(Exit.STATE)
    except KeyboardInterrupt:
        say("batchgen: stopped; nothing was under way")
        end(Exit.STOPPED)


def _invalid(invalid: Any, as_json: bool) -> NoReturn:
    from batchgen.cli.show import problems

    if as_json:
        emit(invalid.plan.as_json() | {"exit": int(Exit.USAGE)})
    count = len(invalid.plan.errors)
    say(*problems(invalid.plan.problems))
    say(f"batchgen: {count} problem{'s' * (count != 1)} in {invalid.plan.manifest}; nothing was sent")
    end(Exit.USAGE)
