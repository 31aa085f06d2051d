"""How close a run comes to perfect scheduling: the real command against the embedded server, in a process of its own.

    python -m tests.bench.makespan [--jobs 2000] [--slots 200] [-j 200 -j auto] [--times 3] [--json] [FLAG ...]

The makespan (first POST accepted to last job noticed and saved as ended) is held against list scheduling of the very
same job times on the same slots. A poll is any status or result GET before the job's end; lag is the time from a
job's end to its being noticed and saved. Further flags go to `run`. Not a test: figures depend on the machine.
"""

from __future__ import annotations

import argparse
import heapq
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from statistics import fmean

from tests.bench.figures import Figure, parsed, scratch, show, used_by
from tests.processes import Batchgen, serving, write_csv

_TARGETS = {"200": ">= 0.97 at <= 13 polls", "auto": ">= 0.98 at <= 5 polls"}


def list_schedule_s(jobs_s: Iterable[float], slots: int) -> float:
    """When the last of *jobs_s* ends if each starts, in this order, on the slot that comes free first."""
    free_at = [0.0] * slots
    for job_s in jobs_s:
        heapq.heapreplace(free_at, free_at[0] + job_s)
    return max(free_at)


@dataclass(frozen=True)
class Run:
    """One run: its share of ideal, polls a job, mean lag, most jobs at once, refused POSTs, CPU of the client."""

    of_ideal: float
    polls: float
    lag_s: float
    at_once: int
    refused: int
    cpu_ms: float


def measured(arguments: argparse.Namespace, in_flight: str, extra: list[str]) -> Run:
    with (
        scratch("makespan-") as place,
        serving(latency=arguments.latency, concurrency=arguments.slots) as server,
    ):
        manifest = write_csv(place / "m.csv", arguments.jobs)
        command = [sys.executable, "-m", "batchgen", "run", str(manifest), "--yes", "--quiet", "-j", in_flight, *extra]
        used = used_by(command, place, Batchgen(place, server.url).environment())
        told = server.ledger()
        with closing(sqlite3.connect(place / "out" / "m" / "state.db")) as state:
            noticed_at = dict(state.execute("SELECT request_id, ended_at FROM jobs").fetchall())
    jobs = sorted(told["charged"], key=lambda job: job["started_at"])
    counters = told["counters"]
    ideal_s = list_schedule_s((job["ended_at"] - job["started_at"] for job in jobs), arguments.slots)
    return Run(
        of_ideal=ideal_s / (max(noticed_at.values()) - min(job["submitted_at"] for job in jobs)),
        polls=(counters["status"] + counters["result"] - _after_the_end(len(jobs))) / len(jobs),
        lag_s=fmean(noticed_at[job["request_id"]] - job["ended_at"] for job in jobs),
        at_once=told["totals"]["max_in_progress"],
        refused=counters.get("refused.too_many", 0),
        cpu_ms=1000 * used.cpu_s / len(jobs),
    )


def _after_the_end(jobs: int) -> int:
    """Each job's last status and its result are asked when it has ended already."""
    return 2 * jobs


def figures(arguments: argparse.Namespace, extra: list[str]) -> Iterator[Figure]:
    for in_flight in arguments.in_flight or ["200", "auto"]:
        runs = [measured(arguments, in_flight, extra) for _ in range(arguments.times)]
        name = f"{arguments.jobs} jobs of {arguments.latency}, {arguments.slots} slots, -j {in_flight}"
        yield Figure(f"{name}: makespan", tuple(run.of_ideal for run in runs), "of ideal", _TARGETS.get(in_flight, ""))
        yield Figure(f"{name}: polls", tuple(run.polls for run in runs), "a job")
        yield Figure(f"{name}: lag", tuple(run.lag_s for run in runs), "s")
        yield Figure(f"{name}: ran at once", tuple(run.at_once for run in runs), "jobs")
        yield Figure(f"{name}: refused", tuple(run.refused for run in runs), "POSTs")
        yield Figure(f"{name}: CPU a row", tuple(run.cpu_ms for run in runs), "ms")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--slots", type=int, default=200)
    parser.add_argument("--latency", default="lognormal:2s")
    parser.add_argument("-j", "--in-flight", action="append")
    parser.add_argument("--times", type=int, default=3)


def main() -> None:
    arguments, extra = parsed(__doc__, add_flags)
    show(figures(arguments, extra), arguments.json)


if __name__ == "__main__":
    main()
