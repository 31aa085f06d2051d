"""How commands end: every refusal as one sentence on stderr and its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import typer

from batchgen.exits import Exit, Refusal

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
    """Run *work* to its end."""
    return asyncio.run(work())


@contextmanager
def refusals() -> Iterator[None]:
    """End the command with a sentence and its exit code for everything that a command may refuse."""
    try:
        yield
    except Refusal as refusal:
        say(f"batchgen: {refusal}")
        end(refusal.exit)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        end(Exit.DONE)
    except OSError as error:
        say(f"batchgen: {error}")
        end(Exit.STATE)
    except KeyboardInterrupt:
        say("batchgen: stopped; nothing was under way")
        end(Exit.STOPPED)
