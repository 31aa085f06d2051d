"""What a plan takes: `python -m tests.bench.plan_size` prints memory and CPU at 10,000, 100,000 and 1,000,000 rows."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.processes import MODEL, Batchgen

_MEASURED = """
import json, resource, subprocess, sys
ran = subprocess.run([sys.executable, "-m", "batchgen", *sys.argv[1:]], capture_output=True, text=True, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
unit_bytes = 1 if sys.platform == "darwin" else 1024
print(json.dumps([json.loads(ran.stdout)["to_send"], used.ru_maxrss * unit_bytes, used.ru_utime + used.ru_stime]))
"""


@dataclass(frozen=True)
class Planned:
    """One plan in a process of its own: its rows, the most memory it took, and its CPU time."""

    to_send: int
    peak_mb: float
    cpu_s: float


def matrix(folder: Path, rows: int) -> Path:
    """A manifest of one row crossed with a matrix: *rows* in all, a multiple of 100."""
    words = ", ".join(f"w{number}" for number in range(rows // 100))
    seeds = ", ".join(map(str, range(100)))
    path = folder / f"{rows}.yaml"
    path.write_text(
        f"model: {MODEL}\nmatrix: {{word: [{words}], seed: [{seeds}]}}\n"
        "template: {text: 'a {{ word }} dune'}\nrows: [{images: ['https://example.com/a.png']}]\n"
    )
    return path


def planned(folder: Path, rows: int) -> Planned:
    """The plan of `matrix`, offline."""
    command = [sys.executable, "-c", _MEASURED, "plan", str(matrix(folder, rows)), "--offline", "--json"]
    environ = Batchgen(folder, token=None).environment()
    ran = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=True)
    to_send, peak_bytes, cpu_s = json.loads(ran.stdout)
    return Planned(to_send, peak_bytes / 2**20, cpu_s)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for rows in (10_000, 100_000, 1_000_000):
            one = planned(Path(folder), rows)
            each_us = one.cpu_s / rows * 1e6
            print(f"{rows:>9,} rows: {one.peak_mb:.1f} MB, {one.cpu_s:.1f} s of CPU, {each_us:.0f} µs a row")


if __name__ == "__main__":
    main()
