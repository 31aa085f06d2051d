"""One run folder, one writer: whoever comes second is told who holds it, and sends nothing."""

from __future__ import annotations

import re
from pathlib import Path

from tests.money.harness import Scene
from tests.processes import serving


def test_of_two_runs_started_at_once_one_is_refused_and_no_row_is_paid_twice(tmp_path: Path) -> None:
    with serving(latency="fixed:20ms", concurrency=1000) as server:
        scene = Scene(tmp_path, server, "dune", rows=1_000, flags=("--in-flight", 400, "--downloads", 40))
        both = [scene.start(), scene.start()]
        ends = [(process.communicate(timeout=100), process) for process in both]
        codes = sorted(process.returncode for process in both)
        assert codes == [0, 8], [stderr for (_, stderr), _ in ends]
        (refusal,) = [stderr for (_, stderr), process in ends if process.returncode == 8]
        (winner,) = [process for process in both if process.returncode == 0]
        assert re.search(rf"another run holds .*host .*, pid {winner.pid}, since \d\d\d\d-", refusal), refusal
        totals = server.ledger(summary=True)["totals"]
        assert (totals["posts"], totals["accepted"], totals["duplicate_jobs"]) == (1_000, 1_000, 0)


def test_a_lock_that_kill_9_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    with serving(latency="fixed:1s") as server:
        scene = Scene(tmp_path, server, "dune", rows=3)
        scene.kill_when_paid(3)
        assert (scene.out / "state.lock").exists()
        assert (scene.out / "state.holder").exists()
        scene.settle(scene.finish()).check()
