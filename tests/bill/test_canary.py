"""A sample before the whole: what it decides, on a terminal and off it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.bill.conftest import SEED, Shell, dunes
from tests.processes import Batchgen, Server, serving

FLASH = "blackforestlabs/flux-2/flash/text-to-image"
At = Callable[[Server], Shell]


def test_the_rest_follows_a_canary_that_cost_what_was_estimated(tmp_path: Path, at: At) -> None:
    with serving(latency="fixed:20ms") as server:
        ended = at(server)("run", dunes(tmp_path, 6), "--yes", "--json", "--canary", 2)
        assert (ended.exit, ended.json["rows"]["collected"], len(server.charged)) == (0, 6, 6)
    assert "canary: 2 of 2 rows collected, $0.06 measured against $0.06 estimated, " in ended.stderr


def test_a_canary_at_a_tenth_above_the_estimate_goes_on_and_beyond_it_stops_with_6(tmp_path: Path, at: At) -> None:
    for factor, code, sent in (("1.1", 0, 4), ("1.101", 6, 2)):
        folder = tmp_path / factor
        folder.mkdir()
        with serving(latency="fixed:20ms", faults=f"job.cost_above=100%:{factor}") as server:
            shell = at(server)
            manifest = dunes(folder, 4)
            ended = shell("run", manifest, "--yes", "--json", "--canary", 2)
            assert (ended.exit, len(server.charged), ended.json["rows"]["pending"]) == (code, sent, 4 - sent)
            if code == 6:
                assert "$0.0661 measured against $0.06 estimated" in ended.json["reason"]
                again = shell("run", manifest, "--yes", "--json")  # without it the rest is agreed to
                assert (again.exit, again.json["rows"]["collected"], len(server.charged)) == (0, 4, 4)


def test_a_canary_whose_rows_fail_keeps_the_rest_from_being_paid_for(tmp_path: Path, at: At) -> None:
    with serving(latency="fixed:20ms", faults="job.fail=100%") as server:
        ended = at(server)("run", dunes(tmp_path, 6), "--yes", "--json", "--canary", 3)
        assert (ended.exit, len(server.charged)) == (6, 3)
    assert (ended.json["rows"]["failed"], ended.json["rows"]["pending"]) == (3, 3)
    assert "0 of 3 rows collected" in ended.json["reason"]


def test_a_canary_waits_for_costs_that_come_late_and_stops_where_none_comes(tmp_path: Path, at: At) -> None:
    for reads, code in (("2", 0), ("50", 6)):
        folder = tmp_path / reads
        folder.mkdir()
        with serving(latency="fixed:20ms", faults=f"job.late_cost=100%:{reads}") as server:
            ended = at(server)("run", dunes(folder, 3), "--yes", "--json", "--canary", 1)
            assert (ended.exit, len(server.charged)) == (code, 3 if code == 0 else 1)
    assert "no cost was reported" in ended.json["reason"]


def test_the_sample_takes_one_of_each_model_and_size_and_counts_against_the_limit(tmp_path: Path, at: At) -> None:
    sizes = ["2048:2048 (1:1)", "2048:2048 (1:1)", "2304:1728 (4:3)", "2304:1728 (4:3)"]
    rows = [
        {"model": SEED, "text": "x", "images": "[https://e.com/a.png]", "image_size": f'"{size}"'} for size in sizes
    ]
    rows += [{"model": FLASH, "prompt": "x"}] * 3
    cells = [
        ", ".join(f"{key}: {value}" for key, value in {"id": f"r{n}", "seed": n, **row}.items())
        for n, row in enumerate(rows)
    ]
    (tmp_path / "mixed.yaml").write_text("rows:\n" + "".join(f"  - {{{cell}}}\n" for cell in cells))
    with serving(latency="fixed:20ms", faults="job.cost_above=100%:2") as server:
        shell = at(server)
        ended = shell("run", "mixed.yaml", "--yes", "--json", "--canary", 3)
        assert (ended.exit, ended.json["rows"]["collected"]) == (6, 3)
        kept = sorted(path.name for path in (tmp_path / "out/mixed/rows").iterdir())
        assert kept == ["r0", "r2", "r4"]
        server.control(faults="")
        assert shell("run", "mixed.yaml", "--yes", "--json", "--canary", 1, "--limit", 2).json["rows"]["pending"] == 2
        assert len(server.charged) == 5


def on_a_terminal(
    command: Batchgen,
    *arguments: object,
    answers: list[tuple[str, str]],
    before_answer: Callable[[str], None] = lambda question: None,
) -> tuple[int, str]:
    """Run the command on a terminal and type each answer when its question is seen, after *before_answer*.

    Gives (exit code, the screen).
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "batchgen", *map(str, arguments)],
        cwd=command.folder,
        env=command.environment() | {"TERM": "dumb", "COLUMNS": "200"},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    screen = ""
    waiting = list(answers)
    give_up = time.monotonic() + 60
    with suppress(OSError):  # the other end of the terminal is closed
        while time.monotonic() < give_up:
            if select.select([ours], [], [], 0.2)[0]:
                if not (news := os.read(ours, 65_536)):
                    break
                screen += news.decode(errors="replace")
            if waiting and waiting[0][0] in screen:
                question, answer = waiting.pop(0)
                before_answer(question)
                os.write(ours, answer.encode() + b"\n")
    os.close(ours)
    return process.wait(timeout=20), screen


def test_on_a_terminal_both_questions_are_asked_and_no_to_the_second_stops_with_6(tmp_path: Path) -> None:
    with serving(latency="fixed:20ms") as server:
        command = Batchgen(tmp_path, server.url)
        manifest = dunes(tmp_path, 4)
        questions = [("Send them?", "y"), ("Send the rest?", "n")]
        code, screen = on_a_terminal(command, "run", manifest, "--canary", 1, answers=questions)
        assert (code, len(server.charged)) == (6, 1)
        assert "at most $0.12" in screen.split("Send them?")[0]
        assert "canary: 1 of 1 rows collected, $0.03 measured" in screen.split("Send the rest?")[0]
        assert "the rest: 3 more rows, at most $0.09" in screen.split("Send the rest?")[0]
        assert "the rest was not agreed to" in screen
        assert f"{manifest.stem}/rows" in screen.split("Send the rest?")[0]
        code, _ = on_a_terminal(command, "run", manifest, answers=[("Send them?", "n")])
        assert (code, len(server.charged)) == (2, 1)
        questions = [("Send them?", "y"), ("Send the rest?", "y")]
        code, _ = on_a_terminal(command, "run", manifest, "--canary", 1, answers=questions)
        assert (code, len(server.charged)) == (0, 4)


def test_while_a_person_is_asked_status_says_so_and_what_the_rest_costs(tmp_path: Path) -> None:
    seen = {}
    with serving(latency="fixed:20ms") as server:
        command = Batchgen(tmp_path, server.url)
        manifest = dunes(tmp_path, 4)

        def look(question: str) -> None:
            if question == "Send the rest?":
                seen["status"] = command("status", f"out/{manifest.stem}").stdout

        questions = [("Send them?", "y"), ("Send the rest?", "y")]
        code, _ = on_a_terminal(command, "run", manifest, "--canary", 1, answers=questions, before_answer=look)
        assert (code, len(server.charged)) == (0, 4)
    told = " ".join(seen["status"].split())
    assert "waiting for an answer in the terminal of this run: send the rest, 3 more rows, at most $0.09?" in told
    assert "nothing has ended yet" not in told
