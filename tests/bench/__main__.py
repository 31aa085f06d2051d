"""Every figure in one table: `make bench`, a few minutes on a machine that does nothing else.

    python -m tests.bench [--times 3] [--long] [--json]

`--long` adds whole rehearsals of 10,000 and 100,000 rows, and what 100,000 row folders cost. Not a test:
figures depend on the machine.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench import events, export, hotpath, layout, makespan, resume, scale, startup, submit_rate
from tests.bench.figures import Figure, once, parsed, show
from tests.bench.plan_size import planned


def figures(arguments: argparse.Namespace) -> Iterator[Figure]:
    yield from startup.figures(arguments)
    yield from hotpath.figures(arguments)
    yield from events.figures(arguments)
    yield from makespan.figures(arguments, [])
    yield from submit_rate.figures(arguments)
    yield from _plans((10_000, 100_000, 1_000_000))
    yield from resume.figures(1_000_000)
    yield from export.figures(arguments)
    if arguments.long:
        yield from scale.figures(arguments)
        yield from layout.figures(arguments)


def _plans(sizes: tuple[int, ...]) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="plans-") as folder:
        for rows in sizes:
            one = planned(Path(folder), rows)
            yield once(f"plan and validation of {rows:,} rows", 1e6 * one.cpu_s / rows, "µs CPU/row")
            yield once(f"plan of {rows:,} rows: most memory", one.peak_mb, "MB", "<= 200, flat")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--picture-rows", type=int, default=200)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--folder", type=Path, action="append")
    parser.set_defaults(
        jobs=2000,
        posts=500,
        rate="50/s",
        slots=200,
        latency="lognormal:2s",
        in_flight=None,
        sizes=None,
        folders=100_000,
        outputs=10_000,
        bytes=20_000,
        to=None,
    )


def main() -> None:
    arguments, _ = parsed(__doc__, add_flags)
    show(figures(arguments), arguments.json)


if __name__ == "__main__":
    main()
