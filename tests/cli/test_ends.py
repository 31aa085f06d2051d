"""How commands end, and that what they print is harmless."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
import typer

from batchgen.cli.ends import refusals, say
from batchgen.exits import Exit
from batchgen.redaction import hide
from tests.cli.conftest import Shell, table

HOSTILE = "\x1b[2J\x1b]0;owned\x07 a dune \u202eevil"


def test_a_fault_of_our_own_ends_with_9_and_says_that_the_run_can_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    hide("secret-5150")
    with pytest.raises(typer.Exit) as ended, refusals():
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
    with pytest.raises(typer.Exit) as ended, refusals():
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
