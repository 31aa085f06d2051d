"""How fast an export is, and how flat: the real command against `tar` of the very same files, in one run.

    python -m tests.bench.export [--outputs 100000] [--bytes 2000] [--to webdataset --to "parquet --no-embed"]
                                 [--times 1] [--json]

Makes run folders of that many collected outputs, and of a tenth, without a provider. For each format: outputs a second,
time and CPU time against `tar` with an fsync at its end (before and after each format, all from the same cache), and
peak memory of the many against the few. Whatever was written stands to the end: a disk that has just freed many files
is slow to make new ones. Not a test: figures depend on the machine, and on the disk below TMPDIR.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from batchgen.simulator.tiny import tiny_png
from batchgen.state.tables import create
from tests.bench.figures import Figure, Used, parsed, show, used_by

MODEL = "bytedance/seedream-4-0/edit-sequential"


def make_run(out: Path, outputs: int, size_bytes: int) -> None:
    """A run folder as a finished run leaves it, row by row."""
    (out / "rows").mkdir(parents=True)
    padding = os.urandom(max(0, size_bytes - 300)).hex().encode()[: max(0, size_bytes - 300)]
    with closing(sqlite3.connect(out / "state.db")) as state:
        create(state)
        state.execute("INSERT INTO meta VALUES ('rehearsal', 'yes')")
        for key in range(1, outputs + 1):
            row_id = f"row-{key:07d}"
            content = tiny_png(str(key).encode()) + padding
            saved = {
                "name": "images-00.png", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
                "media_type": "image/png", "width": 16, "height": 16,
            }  # fmt: skip
            (out / "rows" / row_id).mkdir()
            (out / "rows" / row_id / "images-00.png").write_bytes(content)
            request = json.dumps({"text": f"a dune, {key}", "images": ["https://example.com/a.png"], "seed": key})
            meta = json.dumps({"subject": f"dune {key % 1000}"})
            state.execute(
                "INSERT INTO rows (key, row_id, folded, explicit_id, position, meta) VALUES (?, ?, ?, 1, ?, ?)",
                (key, row_id, row_id, key, meta),
            )
            state.execute(
                "INSERT INTO jobs (key, n, state, position, model, input, files, fingerprint, outputs_asked, units, "
                "cost_micro, request_id, ended_at, saved) VALUES (?, 1, 'collected', ?, ?, ?, '[]', ?, 1, 1, 30000, "
                "?, 1.0, ?)",
                (key, key, MODEL, request, f"{key:064x}", f"request-{key}", json.dumps([saved])),
            )
        state.commit()


def tarred(place: Path, out: Path) -> Used:
    """`tar` of the outputs, with an fsync at its end."""
    into = place / "bare.tar"
    used = used_by(["tar", "--format=ustar", "-cf", str(into), "-C", str(out), "rows"], place, os.environ)
    began = time.perf_counter()
    with into.open("rb") as stream:
        os.fsync(stream.fileno())
    into.unlink()
    return replace(used, wall_s=used.wall_s + time.perf_counter() - began)


def exported(place: Path, out: Path, to: str) -> Used:
    dest = tempfile.mkdtemp(prefix="data-", dir=place)
    command = [sys.executable, "-m", "batchgen", "export", str(out), dest, "--to", *to.split()]
    return used_by(command, place, os.environ)


def measured(place: Path, outputs: int, to: str, times: int) -> Iterator[Figure]:
    bare = tarred(place, place / "many")
    pairs = []
    for _ in range(times):
        ours = exported(place, place / "many", to)
        after = tarred(place, place / "many")
        pairs.append((ours, (bare.wall_s + after.wall_s) / 2, (bare.cpu_s + after.cpu_s) / 2))
        bare = after
    few = exported(place, place / "few", to)
    yield Figure(f"{to}: outputs a second", tuple(outputs / ours.wall_s for ours, _, _ in pairs), "outputs/s")
    yield Figure(f"{to}: outputs a second, tar", tuple(outputs / wall_s for _, wall_s, _ in pairs), "outputs/s")
    yield Figure(f"{to}: time", tuple(ours.wall_s / wall_s for ours, wall_s, _ in pairs), "x tar")
    yield Figure(f"{to}: CPU time", tuple(ours.cpu_s / cpu_s for ours, _, cpu_s in pairs), "x tar")
    yield Figure(f"{to}: CPU an output", tuple(ours.cpu_s / outputs * 1e6 for ours, _, _ in pairs), "µs")
    yield Figure(f"{to}: peak memory", tuple(ours.peak_mb for ours, _, _ in pairs), "MB")
    yield Figure(f"{to}: peak memory, a tenth of the outputs", (few.peak_mb,), "MB")


def figures(arguments: argparse.Namespace) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        place = Path(folder)
        make_run(place / "few", arguments.outputs // 10, arguments.bytes)
        make_run(place / "many", arguments.outputs, arguments.bytes)
        tarred(place, place / "many")  # into the cache
        for to in arguments.to or ("webdataset", "imagefolder", "parquet", "parquet --no-embed", "jsonl", "csv"):
            yield from measured(place, arguments.outputs, to, arguments.times)


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--outputs", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=2_000)
    parser.add_argument("--to", action="append")
    parser.add_argument("--times", type=int, default=1)


def main() -> None:
    arguments, _ = parsed(__doc__, add_flags)
    show(figures(arguments), arguments.json)


if __name__ == "__main__":
    main()
