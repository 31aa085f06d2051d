"""What a benchmark answers with: figures measured several times over, printed as a table or as JSON."""

from __future__ import annotations

import argparse
import atexit
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

MEMORY = Path("/dev/shm")
_LOOK_S = 0.02


@dataclass(frozen=True)
class Figure:
    """One thing measured once or several times. *target* says what it is held against, in words."""

    what: str
    values: tuple[float, ...]
    unit: str
    target: str = ""

    def __str__(self) -> str:
        spread = f"{_short(min(self.values))} to {_short(max(self.values))}" if len(self.values) > 1 else ""
        return f"{self.what:<58} {_short(median(self.values)):>9} {self.unit:<10} {spread:<20} {self.target}"

    def as_json(self) -> dict[str, object]:
        return asdict(self) | {"median": median(self.values)}


def once(what: str, value: float, unit: str, target: str = "") -> Figure:
    return Figure(what, (value,), unit, target)


def show(figures: Iterable[Figure], as_json: bool) -> None:
    """Each figure as it comes; as JSON all at once, with the machine."""
    if as_json:
        told = {"machine": machine(), "figures": [figure.as_json() for figure in figures]}
        print(json.dumps(told, indent=1))
        return
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{'':<58} {'median':>9} {'':<10} {'spread':<20} target")
    for figure in figures:
        print(figure, flush=True)


def default_folders() -> list[Path]:
    """The temporary folder, and a memory file system where there is one: there it is the code alone that costs."""
    return [Path(tempfile.gettempdir()), *([MEMORY] if MEMORY.is_dir() else [])]


@contextmanager
def scratch(prefix: str, place: Path | None = None) -> Iterator[Path]:
    """A folder for one measurement. On a disk it stays until the whole benchmark ends: ext4 without a journal steps
    around what was deleted in the last minutes, and every new file then takes several times the CPU.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    if place != MEMORY:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        yield folder
    finally:
        if place == MEMORY:
            shutil.rmtree(folder)


def machine() -> dict[str, object]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "load": round(os.getloadavg()[0], 1),
    }


def parsed(
    doc: str | None, add_flags: Callable[[argparse.ArgumentParser], object]
) -> tuple[argparse.Namespace, list[str]]:
    """The flags of a benchmark, and those that it does not know."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    add_flags(parser)
    return parser.parse_known_args()


@dataclass(frozen=True)
class Used:
    """What a process and its children took; *peak_mb* is of the process alone."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    stdout: str


def used_by(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> Used:
    """Run *command* to its end and measure it. It must end with 0; what it says is shown only if it does not.

    It may keep what it compiles, as an installed package does, or every process would compile all of it.
    """
    environ = {name: value for name, value in environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as told:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=out, stderr=told)
        peak_mb = 0.0
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            peak_mb = max(peak_mb, _peak_mb(process.pid))
            time.sleep(_LOOK_S)
        _, status, usage = ended
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            told.seek(0)
            sys.exit(f"{' '.join(command)} ended with {process.returncode}\n{told.read().decode()}")
        out.seek(0)
        stdout = out.read().decode()
    return Used(usage.ru_utime + usage.ru_stime, wall_s, peak_mb, stdout)


def _peak_mb(pid: int) -> float:
    """The most memory that a process has taken so far; nan where the system has no /proc.

    What it says at its end (`ru_maxrss`) begins with what its parent held when it was started.
    """
    try:
        told = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return math.nan if sys.platform != "linux" else 0.0
    lines = (line.split() for line in told.splitlines() if line.startswith("VmHWM"))
    return next((int(line[1]) / 1024 for line in lines), 0.0)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
