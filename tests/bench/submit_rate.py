"""How close sending comes to a provider's rate limit: the real command against the embedded server's 429s.

    python -m tests.bench.submit_rate [--rows 500] [--rate 50/s] [--latency fixed:500ms] [--times 3]

Prints, for each run: the time from the first POST accepted to the last, against that of a client that knows the limit
(it lets a second's worth through at once, and the rest evenly); and the share of POSTs that were refused. Not a test:
figures depend on the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from batchgen.rehearsal.timing import rate_per_s
from tests.processes import Batchgen, serving, write_csv


def measure(arguments: argparse.Namespace, in_flight: str) -> str:
    with (
        tempfile.TemporaryDirectory(prefix="submit-rate-") as folder,
        serving(latency=arguments.latency, concurrency=1000, submit_rate=arguments.rate) as server,
    ):
        place = Path(folder)
        manifest = write_csv(place / "m.csv", arguments.rows)
        ended = Batchgen(place, server.url)("run", manifest, "--yes", "--quiet", "-j", in_flight, timeout_s=600)
        if ended.exit != 0:
            sys.exit(f"batchgen ended with {ended.exit}:\n{ended.stderr}")
        told = server.ledger()
    accepted_at = [job["submitted_at"] for job in told["charged"]]
    took_s = max(accepted_at) - min(accepted_at)
    per_s = rate_per_s(arguments.rate)
    ideal_s = (arguments.rows - max(per_s, 1.0)) / per_s
    refused = told["counters"].get("refused.too_many", 0)
    return (
        f"{in_flight:>5} | {took_s / ideal_s:5.3f} | {took_s:7.2f} | {ideal_s:7.2f} | {refused:4} | "
        f"{100 * refused / (refused + arguments.rows):5.1f}%"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--rate", default="50/s")
    parser.add_argument("--latency", default="fixed:500ms")
    parser.add_argument("-j", "--in-flight", action="append")
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{arguments.rows} rows, {arguments.rate} allowed, {arguments.latency} jobs, {os.cpu_count()} cores")
    print("   -j | x ideal | took s | ideal s | 429 | of POSTs")
    for _ in range(arguments.times):
        for in_flight in arguments.in_flight or ["200", "auto"]:
            print(measure(arguments, in_flight), f"| load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
