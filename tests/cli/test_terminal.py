"""What a person at a terminal sees and answers: the question, the live view, the way out."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.core.job import State
from batchgen.results.status import status
from tests.cli.conftest import posts
from tests.processes import Batchgen, Server, serving, write_csv

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals to test with", allow_module_level=True)

from tests.cli.terminal import on_a_terminal


@pytest.fixture(scope="module")
def slow() -> Iterator[Server]:
    """A server whose jobs take a while, so that there is something to watch."""
    with serving(latency="fixed:10s") as running:
        yield running


@pytest.fixture
def shell(tmp_path: Path, server: Server) -> Batchgen:
    return Batchgen(tmp_path, server.url)


@pytest.mark.parametrize("answer", ["n\r", "\r", "\x03", "\x04"], ids=["no", "enter", "ctrl-c", "ctrl-d"])
def test_a_person_who_does_not_agree_to_the_bill_sends_nothing(shell: Batchgen, server: Server, answer: str) -> None:
    manifest, before = write_csv(shell.folder / "ads.csv", 2), posts(server)
    with on_a_terminal(shell, "run", manifest) as terminal:
        terminal.until("to send: 2 rows")
        terminal.until("Send them?")
        terminal.type(answer)
        assert terminal.ended() == 2
    assert "nothing was sent" in terminal.text
    assert "Traceback" not in terminal.text
    assert posts(server) == before


def test_after_a_yes_the_view_is_drawn_in_place_and_gone_in_the_end(tmp_path: Path, slow: Server) -> None:
    manifest = write_csv(tmp_path / "ads.csv", 3)
    with on_a_terminal(Batchgen(tmp_path, slow.url), "run", manifest) as terminal:
        terminal.until("Send them?")
        terminal.type("y\r")
        terminal.until("at once")
        terminal.until("finished: 3 of 3 rows collected and verified")
        assert terminal.ended() == 0
    assert "\x1b[2J" not in terminal.shown, "the screen is not cleared while its size stays"
    assert "\x1b[4" not in terminal.shown, "no background colour is set"
    assert "\x1b[1m" in terminal.shown


def test_another_size_has_the_view_drawn_anew(tmp_path: Path, slow: Server) -> None:
    with on_a_terminal(Batchgen(tmp_path, slow.url), "run", write_csv(tmp_path / "ads.csv", 2), "-y") as terminal:
        terminal.until("at the provider")
        terminal.resize(60, 20)
        terminal.until("at the provider")
        assert terminal.ended() == 0
    assert terminal.shown.count("\x1b[H\x1b[2J") == 1


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"CI": "true"}], ids=["dumb", "CI"])
def test_what_cannot_be_drawn_over_gets_plain_lines(shell: Batchgen, environ: dict[str, str]) -> None:
    with on_a_terminal(
        replace(shell, environ=environ), "run", write_csv(shell.folder / "ads.csv", 2), "-y"
    ) as terminal:
        assert terminal.ended() == 0
    assert "\x1b" not in terminal.shown


def test_no_color_has_no_colours(shell: Batchgen) -> None:
    shell = replace(shell, environ={"NO_COLOR": "1"})
    with on_a_terminal(shell, "run", write_csv(shell.folder / "ads.csv", 2), "-y") as terminal:
        terminal.until("collected")
        assert terminal.ended() == 0
    assert not re.findall(r"\x1b\[(?:\d+;)*(?:3|4|9)\d[;m]", terminal.shown)


def test_the_first_ctrl_c_is_told_above_the_view_and_what_is_in_flight_is_finished(
    tmp_path: Path, slow: Server
) -> None:
    with on_a_terminal(Batchgen(tmp_path, slow.url), "run", write_csv(tmp_path / "ads.csv", 2), "-y") as terminal:
        terminal.until("2 at the provider")
        terminal.type("\x03")
        terminal.until("stopping: nothing more is sent")
        terminal.until("stopped as asked")
        assert terminal.ended() == 130
    assert status(tmp_path / "out" / "ads").rows[State.COLLECTED] == 2


def test_ctrl_c_in_a_rehearsal_promises_nothing_that_its_server_takes_with_it(tmp_path: Path) -> None:
    manifest = write_csv(tmp_path / "ads.csv", 2)
    with on_a_terminal(Batchgen(tmp_path, ""), "rehearse", manifest, "--latency", "fixed:60s") as terminal:
        terminal.until("2 at the provider")
        terminal.type("\x03")
        terminal.until("stopping: nothing more is sent")
        terminal.type("\x03")
        terminal.until("to start over: batchgen rehearse")
        terminal.ended()
    assert "to go on" not in terminal.shown
    assert "collected later" not in terminal.shown


def test_a_run_whose_terminal_goes_away_goes_on_to_its_end(tmp_path: Path, slow: Server) -> None:
    before = posts(slow)
    with on_a_terminal(Batchgen(tmp_path, slow.url), "run", write_csv(tmp_path / "ads.csv", 3), "-y") as terminal:
        terminal.until("3 at the provider")
        terminal.hang_up()
        assert terminal.process.wait(60) == 0
    assert status(tmp_path / "out" / "ads").rows[State.COLLECTED] == 3
    assert posts(slow) - before == 3


@pytest.mark.parametrize("flags", [["-v"], ["--events"]], ids=["words", "events"])
def test_a_run_whose_listener_goes_away_goes_on_to_its_end(shell: Batchgen, flags: list[str]) -> None:
    run = shell.start("run", write_csv(shell.folder / "ads.csv", 3), "-y", *flags)
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.close()
    run.stderr.close()
    assert run.wait(60) == 0
    assert status(shell.folder / "out" / "ads").rows[State.COLLECTED] == 3


def test_a_run_that_was_started_without_standard_streams_writes_its_files_and_nothing_else(shell: Batchgen) -> None:
    manifest = write_csv(shell.folder / "ads.csv", 1)
    command = 'exec "$0" -m batchgen run "$1" -y --json <&- >&- 2>&-'
    ended = subprocess.run(
        ["sh", "-c", command, sys.executable, str(manifest)], env=shell.environment(), cwd=shell.folder, timeout=60
    )
    assert ended.returncode == 0
    out = shell.folder / "out" / "ads"
    assert status(out).rows[State.COLLECTED] == 1
    assert all(json.loads(line) for line in (out / "journal.jsonl").read_text("utf-8").splitlines())


def test_status_watch_shows_a_run_from_its_state_file_until_ctrl_c(tmp_path: Path, slow: Server) -> None:
    shell = Batchgen(tmp_path, slow.url)
    run = shell.start("run", write_csv(tmp_path / "ads.csv", 3), "-y")
    try:
        while not (tmp_path / "out" / "ads" / "state.db").exists():
            assert run.poll() is None
            time.sleep(0.1)
        with on_a_terminal(shell, "status", tmp_path / "out" / "ads", "--watch") as terminal:
            terminal.until("3 of 3 collected")
            terminal.type("\x03")
            assert terminal.ended() == 0
        assert run.wait(60) == 0
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate()


# ── settling doubt at the prompt ────────────────────────────────────────────────────────────────────────


def test_rows_in_doubt_are_settled_one_by_one_at_the_prompt(tmp_path: Path) -> None:
    with serving(faults="submit.drop_reply=x5") as server:
        shell = Batchgen(tmp_path, server.url)
        manifest, out = write_csv(tmp_path / "ads.csv", 5), tmp_path / "out" / "ads"
        shell("run", manifest, "-y", "-q", "--only", "row-0000")
        first_id = server.charged[0]["request_id"]
        shell("run", manifest, "-y", "-q")
        doubtful = status(out).in_doubt
        assert len(doubtful) == 5
        with on_a_terminal(shell, "reconcile", out) as terminal:
            terminal.until(f"1 of 5: {doubtful[0]}")
            terminal.until("or Enter")
            terminal.type("no-such-id\r")
            terminal.until("the provider does not know no-such-id")
            terminal.type(f"{first_id}\r")
            terminal.until("adopted")
            terminal.until(f"2 of 5: {doubtful[1]}")
            terminal.until("or Enter")
            terminal.type("\r")
            terminal.until(f"3 of 5: {doubtful[2]}")
            terminal.until("or Enter")
            terminal.type("give up\r")
            terminal.until(f"4 of 5: {doubtful[3]}")
            terminal.until("or Enter")
            terminal.type("release\r")
            terminal.until("Send again?")
            terminal.type("y\r")
            terminal.until(f"5 of 5: {doubtful[4]}")
            terminal.until("or Enter")
            terminal.type("\x03")
            terminal.until("still in doubt")
            assert terminal.ended() == 7
        left = status(out)
        assert list(left.in_doubt) == [doubtful[1], doubtful[4]]
        assert (left.rows[State.SUBMITTED], left.rows[State.FAILED], left.rows[State.PENDING]) == (1, 1, 1)
        before = posts(server)
        assert shell("collect", out, "-q").exit == 7
        assert (status(out).rows[State.COLLECTED], posts(server)) == (1, before)
