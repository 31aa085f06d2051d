"""How close sending comes to a provider's rate limit: the real command against the embedded server's 429s.

    python -m tests.bench.submit_rate [--posts 500] [--rate 50/s] [--times 3] [--json]

Prints, for each run: the time from the first POST accepted to the last, against that of a client that knows the limit
(it lets a second's worth through at once, and the rest evenly); and the share of POSTs that were refused. Not a test:
figures depend on the machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from batchgen.simulator.timing import rate_per_s
from tests.bench.figures import Figure, parsed, scratch, show, used_by
from tests.processes import Batchgen, serving, write_csv

_LATENCY = "fixed:500ms"


def measured(arguments: argparse.Namespace, in_flight: str) -> tuple[float, float]:
    """The time as a multiple of the ideal, and the share of POSTs that were refused."""
    with (
        scratch("submit-rate-") as place,
        serving(latency=_LATENCY, concurrency=1000, submit_rate=arguments.rate) as server,
    ):
        manifest = write_csv(place / "m.csv", arguments.posts)
        command = [sys.executable, "-m", "batchgen", "run", str(manifest), "--yes", "--quiet", "-j", in_flight]
        used_by(command, place, Batchgen(place, server.url).environment())
        told = server.ledger()
    accepted_at = [job["submitted_at"] for job in told["charged"]]
    per_s = rate_per_s(arguments.rate)
    ideal_s = (arguments.posts - max(per_s, 1.0)) / per_s
    refused = told["counters"].get("refused.too_many", 0)
    return (max(accepted_at) - min(accepted_at)) / ideal_s, refused / (refused + arguments.posts)


def figures(arguments: argparse.Namespace) -> Iterator[Figure]:
    for in_flight in ("200", "auto"):
        runs = [measured(arguments, in_flight) for _ in range(arguments.times)]
        name = f"{arguments.posts} POSTs where {arguments.rate} are allowed, -j {in_flight}"
        yield Figure(f"{name}: time", tuple(times_ideal for times_ideal, _ in runs), "x ideal", "<= 1.05")
        yield Figure(f"{name}: refused", tuple(100 * refused for _, refused in runs), "%", "<= 5")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--posts", type=int, default=500)
    parser.add_argument("--rate", default="50/s")
    parser.add_argument("--times", type=int, default=3)


def main() -> None:
    arguments, _ = parsed(__doc__, add_flags)
    show(figures(arguments), arguments.json)


if __name__ == "__main__":
    main()
