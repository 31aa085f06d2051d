"""How fast an export is, and how flat: the real command against `tar` of the very same files.

    python -m tests.bench.export [--outputs 100000] [--bytes 20000] [--to webdataset --to imagefolder]

Makes a run folder of that many collected outputs without a provider, then prints, for `tar` with an fsync at its end
and for each format: outputs and megabytes a second, the ratio to the time of `tar`, CPU time an output, and peak
memory. All read from the same cache. Not a test: figures depend on the machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from batchgen.rehearsal.tiny import tiny_png
from batchgen.statefile.tables import create

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


def timed(command: list[str]) -> tuple[float, float, float]:
    """Wall time and CPU time in seconds, and peak memory in MB, of *command*."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def tarred(out: Path, into: Path) -> tuple[float, float, float]:
    """The same of `tar`, with an fsync."""
    began = time.perf_counter()
    _, cpu_s, peak_mb = timed(["tar", "--format=ustar", "-cf", str(into), "-C", str(out), "rows"])
    with into.open("rb") as stream:
        os.fsync(stream.fileno())
    return time.perf_counter() - began, cpu_s, peak_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=20_000)
    parser.add_argument("--to", action="append")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        place = Path(folder)
        make_run(place / "out", arguments.outputs, arguments.bytes)
        megabytes = arguments.outputs * arguments.bytes / 1e6
        tarred(place / "out", place / "warm.tar")
        (place / "warm.tar").unlink()
        bare = tarred(place / "out", place / "bare.tar")
        print(f"{arguments.outputs} outputs of {arguments.bytes} bytes, {megabytes:.0f} MB")
        lines = [("tar", bare)]
        for to in arguments.to or ["webdataset", "parquet", "imagefolder", "jsonl"]:
            flags = [str(place / "out"), str(place / to), "--to", to]
            lines.append((to, timed([sys.executable, "-m", "batchgen", "export", *flags])))
        for name, (took_s, cpu_s, peak_mb) in lines:
            print(
                f"{name:12}{arguments.outputs / took_s:8.0f} outputs/s{megabytes / took_s:8.1f} MB/s"
                f"{took_s / bare[0]:8.2f}x{cpu_s / arguments.outputs * 1e6:8.0f} µs CPU each   peak {peak_mb:.0f} MB"
            )


if __name__ == "__main__":
    main()
