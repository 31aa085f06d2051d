"""How close a run comes to perfect scheduling: the real command against the embedded server, in a process of its own.

    python -m tests.bench.makespan [--rows 2000] [--slots 200] [-j 200 -j auto] [--times 3]

Prints, for each run: the makespan (first POST accepted to last job noticed and saved as ended) against list
scheduling of the very same job times on the same slots; polls a job (any status or result GET before its end);
what the account ran at once; CPU time of the client per row. Not a test: figures depend on the machine.
"""

from __future__ import annotations

import argparse
import heapq
import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from tests.processes import Batchgen, serving, write_csv


def list_schedule_s(jobs_s: Iterable[float], slots: int) -> float:
    """When the last of *jobs_s* ends if each starts, in this order, on the slot that comes free first."""
    free_at = [0.0] * slots
    for job_s in jobs_s:
        heapq.heapreplace(free_at, free_at[0] + job_s)
    return max(free_at)


def measure(arguments: argparse.Namespace, in_flight: str, extra: list[str]) -> str:
    with (
        tempfile.TemporaryDirectory(prefix="makespan-") as folder,
        serving(latency=arguments.latency, concurrency=arguments.slots) as server,
    ):
        place = Path(folder)
        manifest = write_csv(place / "m.csv", arguments.rows)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        command = ["run", manifest, "--yes", "--quiet", "-j", in_flight, *extra]
        ended = Batchgen(place, server.url)(*command, timeout_s=600)
        wall_s = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if ended.exit != 0:
            sys.exit(f"batchgen ended with {ended.exit}:\n{ended.stderr}")
        told = server.ledger()
        with closing(sqlite3.connect(place / "out" / "m" / "state.db")) as state:
            noticed_at = state.execute("SELECT MAX(ended_at) FROM jobs").fetchone()[0]
    jobs = sorted(told["charged"], key=lambda job: job["started_at"])
    counters = told["counters"]
    ideal_s = list_schedule_s((job["ended_at"] - job["started_at"] for job in jobs), arguments.slots)
    makespan_s = noticed_at - min(job["submitted_at"] for job in jobs)
    polls = (counters["status"] + counters["result"] - _after_the_end(len(jobs))) / len(jobs)
    cpu_ms = 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / len(jobs)
    refused = counters.get("refused.too_many", 0)
    return (
        f"{in_flight:>5} | {ideal_s / makespan_s:5.3f} | {polls:5.2f} | {makespan_s:7.2f} | {ideal_s:7.2f} | "
        f"{wall_s:7.2f} | {told['totals']['max_in_progress']:4} | {refused:4} | {cpu_ms:5.2f}"
    )


def _after_the_end(jobs: int) -> int:
    """Each job's last status and its result are asked when it has ended already."""
    return 2 * jobs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--slots", type=int, default=200)
    parser.add_argument("--latency", default="lognormal:2s")
    parser.add_argument("-j", "--in-flight", action="append")
    parser.add_argument("--times", type=int, default=3)
    arguments, extra = parser.parse_known_args()
    print(f"{arguments.rows} rows, {arguments.latency}, {arguments.slots} slots, {os.cpu_count()} cores")
    print("   -j | of ideal | polls/job | makespan s | ideal s | wall s | ran at once | 429 | client CPU ms/row")
    for _ in range(arguments.times):
        for in_flight in arguments.in_flight or ["200", "auto"]:
            print(measure(arguments, in_flight, extra), f"| load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
