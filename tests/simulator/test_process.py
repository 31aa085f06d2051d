"""The server as a process of its own: its first line, its end, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

SERVE = "from batchgen.simulator.server import ServeOptions, serve; serve(ServeOptions(draw='tiny'{}))"


def started(more: str, folder: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SERVE.format(more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    url: str = json.loads(process.stdout.readline())["url"]
    return url


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_its_url_answers_and_ends_cleanly_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with started("", tmp_path) as process:
        url = first_line(process)
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{url}/__ledger?summary=1") as answer:
            ledger = json.load(answer)
        assert ("charged" in ledger, ledger["totals"]["posts"]) == (False, 0)
        assert list(tmp_path.iterdir())
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert list(tmp_path.iterdir()) == []


def test_it_ends_by_itself_when_its_parent_is_gone(tmp_path: Path) -> None:
    with started(", parent_pid=1", tmp_path) as process:  # a parent it never had is one that is gone
        first_line(process)
        assert process.wait(10) == 0


def test_the_import_costs_neither_pandas_nor_pillow() -> None:
    code = "import sys, batchgen.simulator.server; print(sorted({'pandas', 'PIL', 'numpy'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert result.stdout.strip() == "[]"
