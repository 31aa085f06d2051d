"""What a row costs: the real `run` against a bare aiohttp loop that does the same requests and writes the same files.

    python -m tests.bench.hotpath [--rows 2000] [--picture-rows 200] [--times 3] [--folder DIR ...] [--json]

Both in turn against one server process, as fast as it answers, for files of 1 KB and for real pictures of a megabyte.
CPU is that of the client's process with its children; what a run of one row takes (start-up) is taken off, and what
planning the rows takes is left in. Each folder given is measured, by default the temporary one and, where there is
one, a memory file system: there it is the code alone that costs. Not a test: figures depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from statistics import median

from batchgen.collector.verify import verify
from batchgen.collector.write_rows import RowFiles, shelve
from batchgen.core.job import Job, State
from batchgen.simulator.catalog import Catalogue
from batchgen.simulator.renderer import Order, drawn
from batchgen.simulator.tiny import sized
from batchgen.storage.paths import RunFolder
from tests.bench.figures import MEMORY, Figure, Used, default_folders, parsed, scratch, show, used_by
from tests.processes import MODEL, Batchgen, write_csv

_AT_ONCE = 64
_PICTURES = 6
_GROUP = 16


@dataclass(frozen=True)
class Row:
    """What one row took on average, in CPU milliseconds; *rows_per_s* from the first to the last."""

    cpu_ms: float
    rows_per_s: float


@contextmanager
def provider(*flags: str) -> Iterator[str]:
    """The URL of a provider in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.provider", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


def draw_pictures(folder: Path) -> Path:
    """A few real pictures of about a megabyte, as the embedded server draws them."""
    properties = Catalogue().models[MODEL].properties
    folder.mkdir()
    for seed in range(_PICTURES):
        asked = {"text": "a dune at dusk", "image_size": "1024:1024 (1:1)", "seed": seed}
        (folder / f"{seed}.png").write_bytes(drawn(Order(MODEL, asked, properties, 0, "image/png")))
    return folder


def bare(url: str, place: Path, rows: int) -> Row:
    """The floor, measured in its own process."""
    with scratch("bare-", place) as folder:
        command = [sys.executable, "-m", "tests.bench.bare", url, str(rows), str(_AT_ONCE), str(folder)]
        told = json.loads(subprocess.check_output(command))
    return Row(1000 * told["cpu_s"] / rows, rows / told["wall_s"])


def run(url: str, place: Path, rows: int) -> tuple[Used, float]:
    """A whole run of *rows*, and its rows a second from the first intent to the last row collected."""
    with scratch("run-", place) as folder:
        manifest = write_csv(folder / "m.csv", rows)
        command = [sys.executable, "-m", "batchgen", "run", str(manifest), "--yes", "-j", str(_AT_ONCE)]
        used = used_by(command, folder, Batchgen(folder, url).environment())
        with closing(sqlite3.connect(folder / "out" / "m" / "state.db")) as state:
            first, last, whole = state.execute(
                "SELECT MIN(intent_at), MAX(collected_at), COUNT(*) FROM jobs WHERE state = 'collected'"
            ).fetchone()
    assert whole == rows
    return used, rows / (last - first)


def fsyncs_per_row(url: str, place: Path, rows: int) -> Figure | None:
    """How often a run makes the disk write, counted by strace; None where there is none."""
    if shutil.which("strace") is None:
        return None
    with scratch("strace-", place) as folder:
        manifest, counts = write_csv(folder / "m.csv", rows), folder / "counts"
        command = ["strace", "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", str(counts), sys.executable, "-m"]
        command += ["batchgen", "run", str(manifest), "--yes", "--quiet", "-j", str(_AT_ONCE)]
        used_by(command, folder, Batchgen(folder, url).environment())
        lines = (line.split() for line in counts.read_text().splitlines())
        calls = sum(int(line[3]) for line in lines if line and line[-1] in ("fsync", "fdatasync"))
    return Figure(f"fsyncs a row ({rows} rows of 1 KB, {_AT_ONCE} at once)", (calls / rows,), "fsyncs")


def versus_bare(name: str, url: str, place: Path, rows: int, times: int, targets: tuple[str, str]) -> list[Figure]:
    """Bare loop and run in turn, *times* over, on the same server."""
    floors, ours, peaks_mb = [], [], []
    for _ in range(times):
        floors.append(bare(url, place, rows))
        start_up, _ = run(url, place, 1)
        used, rows_per_s = run(url, place, rows)
        peaks_mb.append(used.peak_mb)
        ours.append(Row(1000 * (used.cpu_s - start_up.cpu_s) / (rows - 1), rows_per_s))
    pairs = list(zip(floors, ours, strict=True))
    return [
        Figure(f"{name}: CPU a row, bare loop", tuple(floor.cpu_ms for floor in floors), "ms"),
        Figure(f"{name}: CPU a row, run", tuple(our.cpu_ms for our in ours), "ms"),
        Figure(f"{name}: CPU a row", tuple(our.cpu_ms / floor.cpu_ms for floor, our in pairs), "x bare", targets[0]),
        Figure(f"{name}: rows a second, bare loop", tuple(floor.rows_per_s for floor in floors), "rows/s"),
        Figure(f"{name}: rows a second, run", tuple(our.rows_per_s for our in ours), "rows/s"),
        Figure(
            f"{name}: rows a second",
            tuple(our.rows_per_s / floor.rows_per_s for floor, our in pairs),
            "x bare",
            targets[1],
        ),
        Figure(f"{name}: most memory of a run of {rows:,}", tuple(peaks_mb), "MB", "<= 200"),
    ]


def looked_at(name: str, pictures: Path) -> list[Figure]:
    """What hashing and decoding the same files costs by itself."""
    paths = sorted(pictures.iterdir())
    hashing, both = [], []
    for path in paths:
        began = time.thread_time()
        with path.open("rb") as stream:
            file_digest(stream, "sha256")
        hashing.append(1000 * (time.thread_time() - began))
        began = time.thread_time()
        verify(path)
        both.append(1000 * (time.thread_time() - began))
    decoding = tuple(whole - part for whole, part in zip(both, hashing, strict=True))
    return [
        Figure(f"{name}: of it hashing", tuple(hashing), "ms"),
        Figure(f"{name}: of it decoding", decoding, "ms"),
    ]


def shelved(place: Path, rows: int) -> float:
    """What bringing files of 1 KB into their row folders costs by itself: CPU milliseconds a row."""
    make = sized("bytes:1000B")
    job = Job(1, "", 1, State.READY, MODEL, {"text": "a dune"}, (), "f" * 64, request_id="bench")
    with scratch("shelf-", place) as out:
        folder = RunFolder.at(out)
        folder.rows.mkdir()
        arrivals = [
            RowFiles(job._replace(row_id=f"{number:07d}"), (), {"images-00": make.png(b"%07d" % number)}, True)
            for number in range(rows)
        ]
        began = time.process_time()
        for start in range(0, rows, _GROUP):
            assert all(isinstance(one, dict) for one in shelve(folder, arrivals[start : start + _GROUP]))
        return 1000 * (time.process_time() - began) / rows


def _beside(name: str, measured: list[Figure], shares: list[Figure]) -> Figure:
    """What a row costs beside looking at its file, against the bare loop, which does not look."""
    floors, ours = measured[0].values, measured[1].values
    looking_ms = sum(median(share.values) for share in shares)
    times_bare = tuple((our - looking_ms) / floor for floor, our in zip(floors, ours, strict=True))
    return Figure(f"{name}: CPU a row beside hashing and decoding", times_bare, "x bare", "<= 1.3")


def figures(arguments: argparse.Namespace) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="pictures-") as drawn_in:
        pictures = draw_pictures(Path(drawn_in) / "pictures")
        for place in arguments.folder or default_folders():
            with provider("--bytes", "1000") as url:
                targets = ("<= 1.5 in groups", ">= 0.65")
                yield from versus_bare(f"{place}, 1 KB", url, place, arguments.rows, arguments.times, targets)
                taken = tuple(shelved(place, 300) for _ in range(arguments.times))
                yield Figure(f"{place}, 1 KB: of it verifying, writing and syncing", taken, "ms")
                if place != MEMORY and (counted := fsyncs_per_row(url, place, 300)) is not None:
                    yield counted
            with provider("--pictures", str(pictures)) as url:
                name = f"{place}, 1 MB"
                measured = versus_bare(name, url, place, arguments.picture_rows, arguments.times, ("", ""))
                shares = looked_at(name, pictures)
                yield from (*measured, *shares, _beside(name, measured, shares))


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--picture-rows", type=int, default=200)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--folder", type=Path, action="append")


def main() -> None:
    arguments, _ = parsed(__doc__, add_flags)
    show(figures(arguments), arguments.json)


if __name__ == "__main__":
    main()
