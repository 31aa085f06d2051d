"""The README's tables say what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import typer.main

from batchgen.cli import app
from batchgen.core.errors import MEANING, Exit
from batchgen.core.job import TRANSITIONS, Event, State
from batchgen.results.reviews import marks_file
from batchgen.storage.paths import RunFolder
from tests.processes import Batchgen

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def table(heading: str) -> list[list[str]]:
    """The cells of the first table under *heading*, without its head."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_state_table_is_the_codes_table_of_moves() -> None:
    told = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[2])) for row in table("States")}
    moves = {state.value: set[str]() for state in State}
    for (state, _), after in TRANSITIONS.items():
        if after is not state:
            moves[state.value].add(after.value)
    assert told == moves


def test_the_command_table_lists_every_command_and_no_other() -> None:
    assert {row[0].strip("`") for row in table("Commands")} == set(typer.main.get_group(app).commands)


def test_the_exit_code_table_lists_every_code_with_its_meaning() -> None:
    assert {int(row[0]): row[1] for row in table("Exit codes")} == {int(code): MEANING[code] for code in Exit}


def test_the_event_table_lists_every_event_and_no_other() -> None:
    assert {row[0].strip("`") for row in table("Events")} == {event.__name__ for event in get_args(Event)} | {"breaker"}


def test_every_file_of_a_run_folder_is_explained() -> None:
    section = README.split("\n### The folder after\n", 1)[1].split("```text\n", 1)[1].split("```", 1)[0]
    folder = RunFolder.at(Path("out"))
    known = [getattr(folder, name) for name, of in vars(RunFolder).items() if isinstance(of, property)]
    known += [marks_file(folder), folder.parts("row", 1).parent]
    names = {path.name for path in known if isinstance(path, Path)}
    assert {"state.db", "rows", "parts", "marks.jsonl"} <= names
    assert {name for name in names if name not in section} == set()


def test_the_manifests_in_the_readme_have_no_problems(tmp_path: Path) -> None:
    for kind, name in (("csv", "ads.csv"), ("yaml", "ads.yaml")):
        text = README.split(f"```{kind}\n", 1)[1].split("```", 1)[0]
        (tmp_path / name).write_text(text, "utf-8")
        ended = Batchgen(tmp_path, token=None)("plan", name, "--offline", "--json")
        assert ended.exit == 0, ended.stderr
        assert ended.json["problems"] == []


def test_every_command_in_the_readme_has_the_flags_it_shows() -> None:
    commands = typer.main.get_group(app).commands
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    shown = re.findall(r"^(?:\.venv/bin/)?batchgen (\w+)(.*?)(?: {2,}#.*)?$", blocks, re.MULTILINE)
    assert len(shown) >= 8
    for verb, arguments in shown:
        known = {name for parameter in commands[verb].params for name in parameter.opts}
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", arguments)) <= known, f"batchgen {verb}{arguments}"
