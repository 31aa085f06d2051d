"""Small disks that fill up."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str = "3m") -> Iterator[Path]:
    """A disk of *size* bytes at *folder*; skips where none can be mounted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "small", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def make_room(disk: Path) -> None:
    """Let *disk* grow to 200 MB."""
    subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)


def fill(ballast: Path) -> None:
    """Write *ballast* until its disk takes no more."""
    with ballast.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(4096))
    assert shutil.disk_usage(ballast.parent).free == 0
