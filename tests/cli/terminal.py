"""A command on a terminal of its own, as a person sits before it. POSIX only."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.processes import Batchgen

_PATIENCE_S = 90.0
_TAKE_THE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
)


class Terminal:
    """What a command has written to its terminal so far is in *shown*, escape sequences and all."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.shown = ""
        self._master = master
        self._seen = 0

    @property
    def text(self) -> str:
        """What was shown, without the escape sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown).replace("\r", "")

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, words: str) -> None:
        """Return when *words* are shown, after those of the last call."""
        deadline = time.monotonic() + _PATIENCE_S
        while (found := self.text.find(words, self._seen)) < 0:
            assert self._read(deadline), f"{words!r} was never shown\n{self.text}"
        self._seen = found + len(words)

    def ended(self) -> int:
        """The exit code, once the command has ended."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._read(deadline):
            pass
        return self.process.wait(_PATIENCE_S)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        """The window is closed, or the connection lost."""
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        if self._master >= 0:
            self.hang_up()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _read(self, deadline: float) -> bool:
        """Take what there is. False once nothing more can come."""
        assert time.monotonic() < deadline, f"nothing more was shown in {_PATIENCE_S:.0f} s\n{self.text}"
        if not select.select([self._master], [], [], 1.0)[0]:
            return True
        try:
            got = os.read(self._master, 65_536)
        except OSError:  # the command has let go of it
            return False
        self.shown += got.decode("utf-8", "replace")
        return bool(got)


@contextmanager
def on_a_terminal(shell: Batchgen, *arguments: object, columns: int = 80, rows: int = 24) -> Iterator[Terminal]:
    """Start the command on a terminal of that size. What *shell* sets goes before what a terminal sets."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    around = {name: value for name, value in shell.environment().items() if name not in _OF_THE_TESTER}
    around |= {"TERM": "xterm-256color", "LANG": "C.UTF-8"} | shell.environ
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE_THE_TERMINAL, sys.executable, "-m", "batchgen", *map(str, arguments)],
        cwd=shell.folder,
        env=around,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    terminal = Terminal(process, master)
    try:
        yield terminal
    finally:
        terminal.close()


_OF_THE_TESTER = {"CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM", "LC_ALL"}
