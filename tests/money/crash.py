"""The long form of test_kills: `python -m tests.money.crash [RANDOM_KILLS]`, which `make crash` runs.

Kills the real command at every one of its fsyncs in turn, then at random moments with 2% of every fault on. Prints
a line for each scene and the totals; ends with 1 if anything was paid twice or lost.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.money.harness import Scene, Settlement, every_fault, lost_answers, no_tracing, watched
from tests.processes import Server, serving

_HEAD = "scene            kills  charged  on disk  in doubt: charged  not charged  most by one kill  twice  lost"
_KILLS_PER_SCENE = 10
_WORKERS = os.cpu_count() or 1


class Table:
    """Prints settlements as they come, and adds them up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._every: list[Settlement] = []
        self.broken: list[str] = []
        print(_HEAD, flush=True)

    def add(self, scene: str, settlement: Settlement, answers_lost: int) -> None:
        with self._lock:
            self._every.append(settlement)
            self._print(scene, [settlement])
            try:
                settlement.check(answers_lost)
            except AssertionError as broken:
                self.broken.append(f"{scene}: {broken}")
                print(self.broken[-1], flush=True)

    def total(self) -> None:
        self._print("all", self._every)

    @property
    def kills(self) -> int:
        return sum(settlement.kills for settlement in self._every)

    def _print(self, scene: str, every: list[Settlement]) -> None:
        kills = sum(one.kills for one in every)
        charged = sum(one.charged for one in every)
        kept = sum(one.kept for one in every)
        doubt_charged = sum(len(one.doubt_charged) for one in every)
        doubt_free = sum(len(one.doubt_free) for one in every)
        most = max((max(one.doubt_by_kill, default=0) for one in every), default=0)
        twice = sum(len(one.twice) for one in every)
        lost = sum(len(one.lost) for one in every)
        print(
            f"{scene:<15}  {kills:>5}  {charged:>7,}  {kept:>7,}  {doubt_charged:>17}  {doubt_free:>11}  "
            f"{most:>16}  {twice:>5}  {lost:>4}",
            flush=True,
        )


def main() -> int:
    random_kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    started = time.monotonic()
    table = Table()
    with _folder() as folder:
        if (why_not := no_tracing()) is not None:
            print(f"fsync points left out: {why_not}", flush=True)
        else:
            with serving(latency="fixed:100ms") as server:
                syncs = _at_every_sync(folder, server, table)
                print(f"the run makes {syncs} fsyncs; it was killed at each of them", flush=True)
        with ThreadPoolExecutor(_WORKERS) as pool:
            seeds = range(1, -(-random_kills // _KILLS_PER_SCENE) + 1)
            list(pool.map(lambda seed: _at_random(folder, seed, table), seeds))
    table.total()
    print(f"{table.kills} kills in {time.monotonic() - started:.0f} s, {len(table.broken)} scenes broken", flush=True)
    return 1 if table.broken else 0


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for the scenes."""
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        yield Path(folder)


def _at_every_sync(folder: Path, server: Server, table: Table) -> int:
    """Kill at fsync 1, 2, 3, ... until a run makes fewer. Answers with how many it makes."""
    ended = threading.Event()
    numbers = iter(range(1, 10_000))
    reached: list[int] = []

    def kill_at_next() -> None:
        while not ended.is_set():
            number = next(numbers)
            scene = Scene(folder / f"sync-{number:03d}", server, "dune", rows=5)
            if not scene.kill_at_sync(number):
                ended.set()
                return
            reached.append(number)
            table.add(f"fsync {number}", scene.settle(scene.finish()), 0)

    with ThreadPoolExecutor(_WORKERS) as pool:
        for worker in [pool.submit(kill_at_next) for _ in range(_WORKERS)]:
            worker.result()
    return max(reached)


def _at_random(folder: Path, seed: int, table: Table) -> None:
    """Kill the same run again and again until it has been killed often enough, or has nothing left to do."""
    chance = random.Random(seed)
    with serving(faults=every_fault("2%"), latency="lognormal:300ms", seed=seed) as server:
        place = folder / f"random-{seed}"
        everything = watched(place, hook_url=server.url)
        scene = Scene(place, server, "dune", rows=200, outputs=2, flags=("--in-flight", "auto"), environ=everything)
        for _ in range(_KILLS_PER_SCENE):
            scene.kill_at_random(chance)
        table.add(f"random {seed}", scene.settle(scene.finish()), lost_answers(server))


if __name__ == "__main__":
    raise SystemExit(main())
