"""How commands end: every refusal as one sentence on stderr and its exit code."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar

import click

from batchgen.core.errors import Exit, Refusal
from batchgen.core.redaction import redacted
from batchgen.core.text import harmless, harmless_json

T = TypeVar("T")

# What writing says when whoever read a pipe, or the terminal itself, is gone.
_READER_LEFT = frozenset({errno.EPIPE, errno.EIO, errno.ECONNRESET})


def end(code: Exit) -> NoReturn:
    raise click.exceptions.Exit(int(code))


def say(*lines: str) -> None:
    """Everything that is not data goes to stderr, as harmless text. Where nobody listens any more, it goes nowhere."""
    for line in _single(lines):
        try:
            print(line, file=sys.stderr, flush=True)
        except ValueError:  # stderr was closed
            return
        except OSError:
            _give_up(sys.stderr)


def tell(*lines: str) -> bool:
    """An answer for people, on stdout, as harmless text. Returns whether anybody still listens."""
    return _write_out("".join(f"{line}\n" for line in _single(lines)))


def _write_out(text: str) -> bool:
    """Write *text* to stdout, to its end.

    A reader who has left is no fault: what is still to come goes nowhere, and the command ends with its own exit code.
    A disk that takes no more is one: OSError.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _give_up(sys.stdout)
        if error.errno not in _READER_LEFT:
            raise
        return False
    return True


def _single(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield from map(harmless, line.split("\n"))


def width_of(stream: TextIO) -> int | None:
    """The columns of the terminal that *stream* is; None if it is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return None


def emit(answer: object) -> bool:
    """One JSON object on stdout. Returns whether anybody still listens."""
    return _write_out(harmless_json(answer) + "\n")


def emit_with(answer: Mapping[str, object], **more: Iterable[object]) -> bool:
    """One JSON object on stdout: *answer*, and *more* lists, of which no more than an entry is in memory.

    Returns whether anybody still listens.
    """
    return all(map(_write_out, _pieces(answer, more)))


def _pieces(answer: Mapping[str, object], more: Mapping[str, Iterable[object]]) -> Iterator[str]:
    yield harmless_json(answer)[:-1]
    for name, entries in more.items():
        yield f", {harmless_json(name)}: ["
        for number, entry in enumerate(entries):
            yield (", " if number else "") + harmless_json(entry)
        yield "]"
    yield "}\n"


def carried(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *work* to its end."""
    import asyncio  # a tenth of what `--help` takes, which has no use for it

    return asyncio.run(work())


def confirmed(question: str) -> bool:
    """Ask on the terminal. Ctrl-C and Ctrl-D are a no."""
    return bool(_prompted(lambda: click.confirm(harmless(question), err=True)))


def answered(question: str) -> str | None:
    """What a person types on the terminal, "" for nothing; None for Ctrl-C and Ctrl-D."""
    typed = _prompted(lambda: click.prompt(harmless(question), default="", show_default=False, err=True))
    return None if typed is None else str(typed).strip()


def _prompted(prompt: Callable[[], T]) -> T | None:
    """What *prompt* answers; None for Ctrl-C, which the event loop around it would have wait, and for Ctrl-D."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return None if _pressed_already() else prompt()
    except click.Abort:
        say("")
        return None
    finally:
        signal.signal(signal.SIGINT, before)


def _pressed_already() -> bool:
    """Whether Ctrl-C came just before the prompt: the event loop has noted it, and ends the command later."""
    import asyncio

    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def refusals() -> Iterator[None]:
    """End the command with a sentence and its exit code for everything that a command may refuse, and for what
    nobody expected.
    """
    try:
        yield
    except Refusal as refusal:
        say(f"batchgen: {refusal}")
        end(refusal.exit)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename is not None else str(error)
        say(f"batchgen: {what}; mend that and run the same command again, it goes on where it was")
        end(Exit.STATE)
    except KeyboardInterrupt:
        say("batchgen: stopped; nothing was under way")
        end(Exit.STOPPED)
    except (click.exceptions.Exit, click.Abort, click.ClickException):
        raise
    except Exception as error:  # noqa: BLE001 - 1 would say that the run has finished
        _say_unexpected(error)
        end(Exit.STATE)


class PortRefused(Refusal):
    """The port that was asked for cannot be listened at."""


@contextmanager
def listening(port: int) -> Iterator[None]:
    """While open, a port that is taken, or not for everybody, is refused with what to do instead."""
    try:
        yield
    except OSError as error:
        why = {errno.EADDRINUSE: "is in use", errno.EACCES: "may not be listened at"}.get(error.errno or 0)
        if why is None:
            raise
        raise PortRefused(f"port {port} on 127.0.0.1 {why}; choose another with --port, 0 takes a free one") from None


def _say_unexpected(error: Exception) -> None:
    """Say that the fault is ours and that the run can go on. The traceback goes to a file, with -v to the screen."""
    told = redacted("".join(traceback.format_exception(error)))
    say(f"batchgen: a fault of its own: {type(error).__name__}: {redacted(str(error))[:300]}")
    if {"-v", "--verbose"} & set(sys.argv) or os.environ.get("BATCHGEN_VERBOSE"):
        say(*told.splitlines())
        where = "the traceback is above"
    else:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix="batchgen-", suffix=".txt", delete=False
        ) as file:
            file.write(told)
        where = f"the traceback is in {file.name}"
    say(f"what was answered is saved and nothing is sent twice: the same command goes on where it was; {where}")


@contextmanager
def streams() -> Iterator[None]:
    """While open, standard streams that are closed, or cannot show a sign, or go away do not end the command."""
    for number in range(3):  # a file that took the number of a closed stream would get what is said there
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    nobody = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it is open for as long as the process is
    sys.stdout, sys.stderr = sys.stdout or nobody, sys.stderr or nobody
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):  # Python would try again at its end, and exit with 120 of its own
            try:
                stream.flush()
            except (OSError, ValueError):
                _give_up(stream)


def _give_up(stream: TextIO) -> None:
    """Let what *stream* still holds, and all that comes, go nowhere."""
    with suppress(OSError, ValueError):  # no file of the system stands behind it
        os.dup2(_nowhere(), stream.fileno())
        stream.flush()


@cache
def _nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def near(path: Path) -> str:
    """*path* from the working directory, where it lies below that."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
