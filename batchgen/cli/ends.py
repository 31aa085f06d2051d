"""How commands end: every refusal as one sentence on stderr and its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TypeVar

import typer

from batchgen.exits import Exit, Refusal
from batchgen.wording import harmless

T = TypeVar("T")


def end(code: Exit) -> NoReturn:
    raise typer.Exit(int(code))


def say(*lines: str) -> None:
    """Everything that is not data goes to stderr, as harmless text. Where nobody listens any more, it goes nowhere."""
    for line in _single(lines):
        with suppress(OSError, ValueError):  # the terminal or the pipe was closed
            print(line, file=sys.stderr, flush=True)


def tell(*lines: str) -> None:
    """An answer for people, on stdout, as harmless text."""
    for line in _single(lines):
        print(line)
    sys.stdout.flush()


def _single(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield from map(harmless, line.split("\n"))


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
