"""How commands end, and that what they print is harmless."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from batchgen.cli.output import refusals, say
from batchgen.core.errors import Exit
from batchgen.core.redaction import hide
from tests.cli.conftest import Shell, table

HOSTILE = "\x1b[2J\x1b]0;owned\x07 a dune \u202eevil"


def test_a_fault_of_our_own_ends_with_9_and_says_that_the_run_can_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    hide("secret-5150")
    with pytest.raises(click.exceptions.Exit) as ended, refusals():
        raise KeyError("with secret-5150 in it")
    told = capsys.readouterr().err
    file = Path(re.findall(r"the traceback is in (\S+)", told)[0])
    traceback = file.read_text("utf-8")
    file.unlink()
    assert ended.value.exit_code == Exit.STATE
    assert "the same command goes on where it was" in told
    assert "Traceback" not in told
    assert "Traceback" in traceback
    assert "secret-5150" not in told + traceback


def test_what_the_disk_refuses_is_told_with_its_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(click.exceptions.Exit) as ended, refusals():
        (tmp_path / "not-there" / "x").read_bytes()
    told = capsys.readouterr().err
    assert ended.value.exit_code == Exit.STATE
    assert f"{tmp_path / 'not-there' / 'x'}: " in told
    assert "Errno" not in told


def test_what_is_said_has_no_escape_sequence_and_no_turned_text(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"row: {HOSTILE}", "two\nlines")
    told = capsys.readouterr().err
    assert told == "row: \\x1b[2J\\x1b]0;owned\\x07 a dune \\u202eevil\ntwo\nlines\n"


@pytest.mark.parametrize("command", [["serve"], ["watch"]])
def test_a_port_that_is_taken_is_named_with_what_to_do(shell: Shell, command: list[str]) -> None:
    if command == ["watch"]:
        manifest = shell.write("ads.csv", table("port-a|dune"))
        assert shell("run", manifest, "-y", "-q").exit == 0
        command = ["watch", str(shell.folder / "out" / "ads")]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = shell(*command, "--port", port)
    assert ended.exit == 2
    assert f"port {port} on 127.0.0.1 is in use; choose another" in ended.stderr


def test_a_hostile_prompt_is_shown_as_harmless_text(shell: Shell) -> None:
    manifest = shell.write("ads.csv", table(f"hostile-a|{HOSTILE}"))
    assert shell("run", manifest, "-y", "-v").exit == 0
    out = shell.folder / "out" / "ads"
    shown = shell("show", out, "hostile-a")
    assert "a dune" in shown.stdout
    assert f"folder   {out / 'rows' / 'hostile-a'}" in shown.stdout
    assert re.search(r"cost +\$\d\.\d\d measured", shown.stdout)
    told = "".join(one.stdout + one.stderr for one in [*shell.ended, shell("status", out)])
    assert not {"\x1b", "\x07", "\u202e"} & set(told)


# ── readers who leave ───────────────────────────────────────────────────────────────────────────────────


def left_alone(shell: Shell, *arguments: object) -> int:
    """The exit code of a command whose stdout and stderr nobody reads, from its start on."""
    process = shell.command.start(*arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    return process.wait(60)


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["words", "json"])
def test_a_command_that_nobody_reads_ends_with_its_own_exit_code(shell: Shell, flags: list[str]) -> None:
    broken = shell.write("broken.csv", table("a|dune", "a|hill"))
    whole = shell.write("whole.csv", table("a|dune"))
    commands: list[list[object]] = [
        ["plan", broken],
        ["plan", whole],
        ["status", shell.folder / "not-here"],
        ["models", "show", "no/such"],
    ]
    read = [shell(*command, *flags).exit for command in commands]
    assert set(read) == {0, 2, 9}
    assert [left_alone(shell, *command, *flags) for command in commands] == read


@pytest.mark.skipif(os.name == "nt", reason="signals of a pipe are POSIX")
@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["words", "json"])
def test_watching_ends_when_its_reader_has_left(shell: Shell, flags: list[str]) -> None:
    assert shell("run", shell.write("ads.csv", table("a|dune")), "-y", "-q").exit == 0
    assert left_alone(shell, "status", shell.folder / "out" / "ads", "--watch", *flags) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_an_answer_that_the_disk_does_not_take_is_no_success(shell: Shell) -> None:
    manifest = shell.write("ads.csv", table("a|dune"))
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "batchgen", "plan", manifest, "--json"],
            cwd=shell.folder,
            env=shell.command.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert ended.returncode == 9
    assert "No space left" in ended.stderr
