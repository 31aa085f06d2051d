"""Ctrl-C once, twice, three times, SIGTERM once and twice, and what the same command makes of it afterwards."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.money.harness import Scene, counted, until
from tests.processes import Ended, Server, serving

_INTERRUPT, _TERMINATE = signal.SIGINT, signal.SIGTERM
_SKIPS = {_INTERRUPT: 0, _TERMINATE: 1}
"""Steps that the first of these signals passes over: whoever sends SIGTERM kills soon after."""

_ON_THE_WIRE = 4


def test_one_ctrl_c_sends_nothing_more_and_brings_home_what_is_in_flight(tmp_path: Path) -> None:
    with serving(latency="fixed:1500ms") as server:
        scene = _scene(tmp_path, server, _INTERRUPT)
        ended = _signalled(scene, _INTERRUPT, times=1)
        assert ended.exit == 130, ended.stderr
        assert "stopping: nothing more is sent" in ended.stderr
        assert ended.json["rows"]["collected"] == counted(server, "submit.accepted") == _ON_THE_WIRE
        assert ended.json["rows"]["pending"] == scene.rows - _ON_THE_WIRE
        scene.settle(scene.finish()).check()


def test_leaving_waits_for_posts_on_the_wire_only_and_names_the_command_that_goes_on(tmp_path: Path) -> None:
    def stopped_twice(number: signal.Signals) -> None:
        with serving(faults="submit.slow=100%:2s", latency="fixed:8s") as server:
            scene = _scene(tmp_path, server, number)
            ended = _signalled(scene, number, times=2 - _SKIPS[number])
            assert ended.exit == 75, ended.stderr
            assert f"to go on: batchgen run {scene.manifest}" in ended.stderr
            assert ended.json["rows"]["submitted"] == counted(server, "submit.accepted") == _ON_THE_WIRE
            assert ended.json["in_doubt"] == []
            server.control(faults="", latency="fixed:50ms")
            scene.settle(scene.finish()).check()

    _with_both(stopped_twice)


def test_one_signal_more_leaves_at_once_and_names_the_rows_whose_answers_were_not_waited_for(tmp_path: Path) -> None:
    def stopped_thrice(number: signal.Signals) -> None:
        with serving(faults="submit.slow=100%:20s", latency="fixed:50ms") as server:
            scene = _scene(tmp_path, server, number)
            ended = _signalled(scene, number, times=3 - _SKIPS[number])
            assert ended.exit == 7, ended.stderr
            doubtful = ended.json["in_doubt"]
            assert doubtful == scene.row_ids[:_ON_THE_WIRE]
            assert f"in doubt: {', '.join(doubtful)} may have been paid for" in ended.stderr
            server.control(faults="")
            settlement = scene.settle(scene.finish())
            assert sorted(settlement.doubt_charged) == doubtful
            assert settlement.twice == []
            _adopt_what_the_provider_lists(scene, doubtful)
            scene.settle(scene.finish()).check()

    _with_both(stopped_thrice)


def _with_both(stopped: Callable[[signal.Signals], None]) -> None:
    with ThreadPoolExecutor(len(_SKIPS)) as pool:
        list(pool.map(stopped, _SKIPS))


def _scene(folder: Path, server: Server, number: signal.Signals) -> Scene:
    return Scene(folder / number.name, server, "dune", rows=3 * _ON_THE_WIRE, flags=("--in-flight", _ON_THE_WIRE))


def _signalled(scene: Scene, number: signal.Signals, times: int) -> Ended:
    """Start, wait until the POSTs have arrived, and send the signal *times* times, as a person would."""
    process = scene.start()
    try:
        until(lambda: counted(scene.server, "submit") >= _ON_THE_WIRE)
        time.sleep(0.3)  # on a fast server, let the answers come in
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.3)
        stdout, stderr = process.communicate(timeout=30)
    except (AssertionError, subprocess.TimeoutExpired):
        process.kill()
        raise
    return Ended(process.returncode, stdout, stderr)


def _adopt_what_the_provider_lists(scene: Scene, doubtful: list[str]) -> None:
    """What a person does who finds the jobs on the provider's web page."""
    bodies = scene.bodies()
    ids = {bodies[job["body_sha256"]]: job["request_id"] for job in scene.server.charged}
    adopted = [flag for row_id in doubtful for flag in ("--adopt", f"{row_id}={ids[row_id]}")]
    ended = scene.batchgen("reconcile", scene.out, *adopted)
    assert ended.exit == 0, ended.stderr
