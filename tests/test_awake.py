"""The sleep inhibitor, with a stand-in for systemd's command: a container has no systemd to ask."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.runner.keep_awake import kept_awake

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks for sleep as Linux does")

_INHIBIT = """#!/bin/sh
# As systemd-inhibit: holds the lock for as long as the command after the options runs.
echo "$$ $*" > '{held}'
while [ "${1#--}" != "$1" ]; do shift; done
exec "$@"
"""


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that tells how the stand-in was called."""
    tool = tmp_path / "systemd-inhibit"
    tool.write_text(_INHIBIT.replace("{held}", str(tmp_path / "held")))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "held"


def test_sleep_is_inhibited_while_a_run_is_on_and_no_longer(held: Path) -> None:
    with kept_awake():
        _until(lambda: _told(held) != "")
        pid, told = _told(held).split(" ", 1)
        assert "--what=sleep:idle" in told
        assert "--mode=block" in told
        assert _is_alive(int(pid))
    assert not _is_alive(int(pid))


def test_a_run_that_is_killed_lets_the_machine_sleep(held: Path) -> None:
    waiting = "import time; from batchgen.runner.keep_awake import kept_awake\nwith kept_awake(): time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", waiting])
    _until(lambda: _told(held) != "")
    pid = int(_told(held).split()[0])
    assert _is_alive(pid)
    process.kill()
    process.wait()
    _until(lambda: not _is_alive(pid))


def test_a_system_that_refuses_keeps_no_run_from_going_on(held: Path) -> None:
    (held.parent / "systemd-inhibit").write_text("#!/bin/sh\nexit 1\n")
    with kept_awake():
        pass


def _told(held: Path) -> str:
    return held.read_text().rstrip() if held.exists() else ""


def _is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "\nState:\tZ" not in status


def _until(happened: Callable[[], bool], patience_s: float = 20.0) -> None:
    give_up = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < give_up, f"waited for {patience_s} s in vain"
        time.sleep(0.02)
