"""A few lines of a terminal that are drawn over in place.

Unlike `rich.live`, which erases every line before it draws it, only what changes is written, so that nothing flickers
on a slow connection; and a terminal of another size, in the background or gone altogether does no harm.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO

from rich.console import Console
from rich.text import Text

from batchgen.cli.live.text import Line, in_ascii, speaks_utf8

_UP, _ERASE_LINE, _ERASE_BELOW, _CLEAR = "\x1b[{}A", "\x1b[K", "\x1b[J", "\x1b[H\x1b[2J"


def can_draw(stream: TextIO) -> bool:
    """Whether *stream* is a terminal that lines can be drawn over in; a build server's is only written to."""
    if not stream.isatty() or os.environ.get("CI") or os.environ.get("TERM", "").lower() in ("dumb", "unknown"):
        return False
    return not Console(file=stream).legacy_windows


def styled(line: Line) -> Text:
    """*line* as rich draws it."""
    return Text.assemble(*line.parts)


def print_styled(lines: Callable[[int], Sequence[Line]]) -> None:
    """Print on the terminal, for good, the *lines* that its width makes."""
    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)
    for line in lines(console.width):
        console.print(styled(line))


class Frame:
    """Lines at the end of what *stream* shows. What is printed while it is `open` goes above them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = Console(file=stream, force_terminal=True, highlight=False, emoji=False, markup=False)
        self._utf8 = speaks_utf8(stream.encoding)
        self._drawn: list[str] = []
        self._size = (0, 0)
        self.gone = False  # whether the terminal was closed, so that nothing is drawn any more

    @property
    def width(self) -> int:
        return self._console.width

    @property
    def height(self) -> int:
        """Lines that can be drawn over: one is the cursor's."""
        return self._console.height - 1

    @contextmanager
    def open(self) -> Iterator[None]:
        """While open, prints go above the lines, which are gone in the end."""
        with ExitStack() as stack:
            above = _Above(self)
            stack.enter_context(redirect_stderr(above))
            if sys.stdout.isatty():
                stack.enter_context(redirect_stdout(above))
            try:
                yield
            finally:
                above.finish()
                self._write(self._back_up() + _ERASE_BELOW)
                self._drawn = []

    def draw(self, lines: Sequence[Line]) -> None:
        """Show *lines* in place of those before. Nothing is written while they are the same."""
        if not self._in_foreground():  # whoever works in this terminal now is left in peace
            self._drawn = []
            return
        drawn = [self._styled(line) for line in (lines if self._utf8 else in_ascii(lines))]
        size = (self._console.width, self._console.height)
        if self._size not in (size, (0, 0)):  # what is there was wrapped anew: nobody knows where it stands
            self._write(_CLEAR)
            self._drawn = []
        self._size = size
        if drawn == self._drawn:
            return
        self._write(self._back_up() + "".join(f"{line}{_ERASE_LINE}\n" for line in drawn) + _ERASE_BELOW)
        self._drawn = drawn

    def print_above(self, text: str) -> None:
        """Put whole lines above the drawn ones, for good."""
        drawn = "".join(f"{line}{_ERASE_LINE}\n" for line in self._drawn)
        above = text.replace("\n", f"{_ERASE_LINE}\n")
        self._write(self._back_up() + above + drawn + _ERASE_BELOW)

    def _back_up(self) -> str:
        return "\r" + (_UP.format(len(self._drawn)) if self._drawn else "")

    def _styled(self, line: Line) -> str:
        with self._console.capture() as captured:
            self._console.print(styled(line), no_wrap=True, overflow="crop", crop=True, soft_wrap=False, end="")
        return captured.get()

    def _in_foreground(self) -> bool:
        if not hasattr(os, "tcgetpgrp"):
            return True
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except (OSError, ValueError):
            return True

    def _write(self, text: str) -> None:
        if self.gone:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal was closed; the run goes on
            self.gone = True


class _Above(io.TextIOBase):
    """Takes what is printed, line by line, to above the frame."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._begun = ""

    def write(self, text: str) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        if whole:
            self._frame.print_above("".join(f"{line}\n" for line in whole))
        return len(text)

    def finish(self) -> None:
        """Show a line that was begun."""
        if self._begun:
            self.write("\n")

    def isatty(self) -> bool:
        return True
