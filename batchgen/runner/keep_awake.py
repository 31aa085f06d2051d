"""Keep the machine from sleeping while a run is on, where the system has a way to ask for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from batchgen.core.children import environ_of_children

_WHY = "batchgen is waiting for paid jobs"


@contextmanager
def kept_awake() -> Iterator[None]:
    """Hold a sleep inhibitor: systemd's on Linux, caffeinate on macOS, the power request on Windows.

    It ends with this process, even if that is killed. Where the system refuses, the run goes on without.
    """
    if sys.platform == "win32":
        yield from _windows()
        return
    holder = _start(_command())
    try:
        yield
    finally:
        if holder is not None:
            holder.terminate()
            holder.wait()


def _command() -> list[str] | None:
    """A command that inhibits sleep for as long as this process lives."""
    if sys.platform == "darwin" and (tool := shutil.which("caffeinate")):
        return [tool, "-i", "-w", str(os.getpid())]
    if (tool := shutil.which("systemd-inhibit")) and (tail := shutil.which("tail")):
        watching = [tail, "-f", f"--pid={os.getpid()}", os.devnull]
        return [tool, "--what=sleep:idle", f"--why={_WHY}", "--who=batchgen", "--mode=block", *watching]
    return None


def _start(command: list[str] | None) -> subprocess.Popen[bytes] | None:
    if command is None:
        return None
    quiet = subprocess.DEVNULL
    try:
        return subprocess.Popen(  # noqa: S603 - a tool of the system
            command, stdin=quiet, stdout=quiet, stderr=quiet, env=environ_of_children(), start_new_session=True
        )
    except OSError:
        return None


def _windows() -> Iterator[None]:
    import ctypes

    continuous, system_required = 0x80000000, 0x00000001
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - absent from the types elsewhere
    kernel.SetThreadExecutionState(continuous | system_required)
    try:
        yield
    finally:
        kernel.SetThreadExecutionState(continuous)
