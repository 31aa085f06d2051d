"""Whether a big run stays flat: rehearsals with tiny pictures from start to end, and what their folders cost.

    python -m tests.bench.scale [--rows 10000 --rows 100000] [--folder DIR] [--json]

Prints for each size: CPU and time a row, the most memory the run took, bytes of state a row, and how long the finished
folder takes to be listed, to tell its status, to become a page and to be removed. Not a test.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, once, parsed, show, used_by
from tests.processes import Batchgen, write_csv


def rehearsed(place: Path, rows: int) -> Iterator[Figure]:
    """One rehearsal of *rows* rows. The embedded server is a child: memory is the run's, CPU is of both."""
    name = f"{rows:,} rows"
    environ = Batchgen(place, token=None).environment()
    manifest = write_csv(place / "m.csv", rows)
    batchgen = [sys.executable, "-m", "batchgen"]
    flags = ["--draw", "tiny", "--latency", "fixed:10ms", "-j", "200", "--quiet"]
    used = used_by([*batchgen, "rehearse", str(manifest), *flags], place, environ)
    yield once(f"{name}: rehearsal, with its server", 1000 * used.cpu_s / rows, "ms CPU/row")
    yield once(f"{name}: rehearsal", 1000 * used.wall_s / rows, "ms/row")
    yield once(f"{name}: most memory of the run", used.peak_mb, "MB")
    out = place / "out" / "m.rehearsal"
    for file in ("state.db", "journal.jsonl"):
        yield once(f"{name}: {file}", (out / file).stat().st_size / rows, "bytes/row")
    began = time.perf_counter()
    assert len(os.listdir(out / "rows")) == rows
    yield once(f"{name}: its row folders listed", time.perf_counter() - began, "s")
    yield once(f"{name}: status", used_by([*batchgen, "status", str(out)], place, environ).wall_s, "s")
    report = used_by([*batchgen, "report", str(out)], place, environ)
    yield once(f"{name}: report", report.wall_s, "s")
    yield once(f"{name}: most memory of report", report.peak_mb, "MB")
    began = time.perf_counter()
    shutil.rmtree(out)
    yield once(f"{name}: its folders removed", time.perf_counter() - began, "s")


def figures(arguments: argparse.Namespace) -> Iterator[Figure]:
    for rows in arguments.sizes or [10_000, 100_000]:
        with tempfile.TemporaryDirectory(prefix="scale-", dir=(arguments.folder or [None])[0]) as folder:
            yield from rehearsed(Path(folder), rows)


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", dest="sizes", type=int, action="append")
    parser.add_argument("--folder", type=Path, action="append")


def main() -> None:
    arguments, _ = parsed(__doc__, add_flags)
    show(figures(arguments), arguments.json)


if __name__ == "__main__":
    main()
