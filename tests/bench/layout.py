"""What a hundred thousand row folders in one folder cost, beside the same in 256 folders of folders.

    python -m tests.bench.layout [--rows 100000] [--folder DIR] [--json]

Each row folder holds a file of 1 KB and a row.json, and is made as a run makes it: beside, then moved to its place,
whose folder is synced once a group. Then all are listed, found again in no order, and read. Not a test.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from batchgen.storage.paths import sync_folder
from tests.bench.figures import Figure, once, parsed, scratch, show

_SHARDS = 256
_GROUP = 16
_CONTENT = bytes(1000)


def flat(rows: Path, number: int) -> Path:
    return rows / f"row-{number:07d}"


def sharded(rows: Path, number: int) -> Path:
    return rows / f"{number % _SHARDS:02x}" / f"row-{number:07d}"


def _make(place: Path, count: int, where: Callable[[Path, int], Path]) -> None:
    rows, parts = place / "rows", place / "parts"
    for folder in {where(rows, number).parent for number in range(_SHARDS)} | {parts}:
        folder.mkdir(parents=True)
    for start in range(0, count, _GROUP):
        group = range(start, min(start + _GROUP, count))
        for number in group:
            part = parts / str(number)
            part.mkdir()
            (part / "images-00.png").write_bytes(_CONTENT)
            (part / "row.json").write_bytes(_CONTENT)
            part.rename(where(rows, number))
        for folder in {where(rows, number).parent for number in group}:
            sync_folder(folder)


def measured(place: Path, count: int, where: Callable[[Path, int], Path]) -> Iterator[tuple[str, float, str]]:
    """Figures of one layout: what, how much, in which unit."""
    began, used = time.perf_counter(), time.process_time()
    _make(place, count, where)
    yield "made", 1e6 * (time.process_time() - used) / count, "µs CPU/row"
    yield "made", 1e6 * (time.perf_counter() - began) / count, "µs/row"
    began = time.perf_counter()
    folders = {where(place / "rows", number).parent for number in range(_SHARDS)}
    assert sum(len(os.listdir(folder)) for folder in folders) == count
    yield "listed", time.perf_counter() - began, "s"
    numbers = list(range(count))
    random.Random(7).shuffle(numbers)
    began = time.perf_counter()
    for number in numbers:
        (where(place / "rows", number) / "row.json").read_bytes()
    yield "read in no order", 1e6 * (time.perf_counter() - began) / count, "µs/row"


def figures(arguments: argparse.Namespace) -> Iterator[Figure]:
    for name, where in (("one folder", flat), (f"{_SHARDS} folders", sharded)):
        with scratch("layout-", (arguments.folder or [None])[0]) as place:
            for what, value, unit in measured(place, arguments.folders, where):
                yield once(f"{arguments.folders:,} row folders in {name}: {what}", value, unit)


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", dest="folders", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, action="append")


def main() -> None:
    arguments, _ = parsed(__doc__, add_flags)
    show(figures(arguments), arguments.json)


if __name__ == "__main__":
    main()
