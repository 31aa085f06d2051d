"""What happened, a line at a time: every move of a row, every exchange that did not go well, every breaker.

Lines go to the standard library's logger `batchgen`, for a program that uses batchgen to send where it likes; the
command line writes them to a file as JSON, to stderr as text, or nowhere. The work on a row binds its words once, and
every line that is told in its course carries them.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from batchgen.core.errors import Refusal
from batchgen.core.redaction import redacted
from batchgen.core.text import harmless, harmless_json

_logger = logging.getLogger("batchgen")
_logger.addHandler(logging.NullHandler())  # else Python prints warnings that nobody asked for

_bound: ContextVar[Mapping[str, object]] = ContextVar("batchgen_bound", default={})  # noqa: B039 - never changed


class LogUnusable(Refusal):
    """The log file cannot be written."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line; *words* are what is known of it, secrets taken out. As text it is what `-v` shows."""

    event: str
    words: Mapping[str, object]

    def __str__(self) -> str:
        told = {name: str(word) for name, word in self.words.items() if word not in (None, "") and name != "n"}
        if "row" not in told:  # of the run: words that nobody could tell apart without their names
            reason = told.pop("reason", "")
            named = [f"{name}={word}" for name, word in told.items()]
            return " ".join(word for word in (self.event, *named, reason) if word)
        first = [told.pop("row"), self.event, told.pop("state", ""), told.pop("answer", "")]
        return " ".join(word for word in (*first, *told.values()) if word)


def bind(**words: object) -> None:
    """Every line that the running task tells from here on carries *words*."""
    _bound.set({**_bound.get(), **words})


def tell(event: str, **words: object) -> None:
    """Something went as it should."""
    _tell(logging.INFO, event, words)


def warn(event: str, **words: object) -> None:
    """Something went other than well, and the run goes on."""
    _tell(logging.WARNING, event, words)


def _tell(level: int, event: str, words: Mapping[str, object]) -> None:
    if not _logger.isEnabledFor(level):
        return
    every = {**_bound.get(), **words}
    clean = {name: redacted(word) if isinstance(word, str) else word for name, word in every.items()}
    _logger.log(level, Line(event, clean))


@contextmanager
def written(file: Path | None, to_stderr: bool) -> Iterator[None]:
    """While open, lines are added to *file* as JSON and shown on stderr as text. Raises LogUnusable."""
    with ExitStack() as stack:
        if file is not None:
            stack.enter_context(_handling(_to_file(file), _Json()))
        if to_stderr:
            stack.enter_context(_handling(_Patient(sys.stderr), _Text()))
        yield


@contextmanager
def _handling(handler: logging.Handler, formatter: logging.Formatter) -> Iterator[None]:
    handler.setFormatter(formatter)
    before = _logger.level
    _logger.setLevel(logging.INFO)
    _logger.addHandler(handler)
    try:
        yield
    finally:
        _logger.removeHandler(handler)
        _logger.setLevel(before)
        with suppress(OSError):
            handler.close()


class _Patient(logging.StreamHandler):  # type: ignore[type-arg]  # of text, or of bytes that take text
    """A full disk or a reader that went away costs lines, never the run."""

    def handleError(self, record: logging.LogRecord) -> None:
        return


class _File(_Patient, logging.FileHandler):
    pass


def _to_file(file: Path) -> logging.Handler:
    try:
        return _File(file, "a", "utf-8")
    except OSError as error:
        raise LogUnusable(f"the log cannot be written: {error}; choose another --log") from None


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told: dict[str, object] = {"at": at, "level": record.levelname.lower()}
        line = record.msg if isinstance(record.msg, Line) else Line(redacted(record.getMessage()), {})
        return harmless_json(told | {"event": line.event} | dict(line.words))


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {harmless(record.getMessage())}"
