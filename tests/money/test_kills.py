"""kill -9 at any moment: nothing is paid twice, and nothing that was paid for is lost."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.money.harness import Scene, every_fault, lost_answers, watched
from tests.money.strace import traced
from tests.processes import Server, serving

_SYNC_POINTS = 12
_RANDOM_KILLS = 5
_TOO_LONG = {
    "download.endless", "download.redirect_private", "download.403", "download.404", "download.410",
    "download.malformed",
}  # fmt: skip
"""Faults that may make a run wait for minutes; `make crash` has them all."""


pytestmark = pytest.mark.timeout(600)  # a loaded machine takes minutes over so many starts


@traced
def test_killed_at_any_of_its_fsyncs_a_run_pays_for_nothing_twice_and_loses_nothing(tmp_path: Path) -> None:
    with serving(latency="fixed:100ms") as server, ThreadPoolExecutor(2) as pool:
        syncs = 60  # about as many as a run of five rows makes: fewer where many came together
        points = random.Random(3).sample(range(1, syncs), _SYNC_POINTS)
        killed = list(pool.map(lambda number: _killed_at(tmp_path, server, number), points))
    assert sum(killed) > _SYNC_POINTS / 2


def _killed_at(folder: Path, server: Server, number: int) -> bool:
    """Whether the run made so many."""
    scene = Scene(folder / f"sync-{number}", server, "dune", rows=5)
    killed = scene.kill_at_sync(number)
    scene.settle(scene.finish()).check()
    return killed


def test_killed_again_and_again_with_every_fault_on_a_run_pays_for_nothing_twice_and_loses_nothing(
    tmp_path: Path,
) -> None:
    with ThreadPoolExecutor(2) as pool:
        on_the_wire = list(pool.map(lambda seed: _killed_at_random(tmp_path, seed), (1, 2)))
    assert any(on_the_wire), "no kill found a POST on the wire"


def _killed_at_random(folder: Path, seed: int) -> int:
    """How many POSTs its kills found on the wire."""
    chance = random.Random(seed)
    with serving(faults=every_fault("2%", but=_TOO_LONG), latency="lognormal:300ms", seed=seed) as server:
        place = folder / f"random-{seed}"
        everything = watched(place, hook_url=server.url)
        scene = Scene(place, server, "dune", rows=80, outputs=2, flags=("--in-flight", "auto"), environ=everything)
        for _ in range(_RANDOM_KILLS):
            scene.kill_at_random(chance)
        told = scene.finish()
        scene.settle(told).check(lost_answers(server))
        assert (place / "ends").read_text().split()[-1] == str(told["exit"])
        for line in (place / "run.log").read_text("utf-8").splitlines():
            assert {"at", "event"} <= set(json.loads(line)), "a kill tore the log"
        return sum(map(len, scene.on_the_wire_at_kills))
