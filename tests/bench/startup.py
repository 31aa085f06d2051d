"""How long a command takes that does nearly nothing: `--help`, and `status` of a small folder.

python -m tests.bench.startup [--times 5] [--json]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.events import enrolled
from tests.bench.figures import Figure, parsed, show, used_by
from tests.processes import Batchgen


def figures(arguments: argparse.Namespace) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="startup-") as folder:
        place = Path(folder)
        out = enrolled(place, 10).path
        environ = Batchgen(place, token=None).environment()
        for flags in (["--help"], ["status", str(out)]):
            command = [sys.executable, "-m", "batchgen", *flags]
            used_by(command, place, environ)  # compiles what was never imported
            taken = tuple(used_by(command, place, environ).cpu_s for _ in range(arguments.times))
            yield Figure(f"start-up: {flags[0]}", taken, "s CPU", "<= 0.25")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--times", type=int, default=5)


def main() -> None:
    arguments, _ = parsed(__doc__, add_flags)
    show(figures(arguments), arguments.json)


if __name__ == "__main__":
    main()
