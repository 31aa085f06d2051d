"""README and docs say what the code does, and their links lead somewhere."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import get_args

import pytest

import batchgen
from batchgen.core.errors import MEANING, Exit
from batchgen.core.job import TRANSITIONS, Event, State
from batchgen.results.export.columns import COLUMNS
from batchgen.results.reviews import marks_file
from batchgen.storage.paths import RunFolder
from tests.cli.commands import commands
from tests.processes import Batchgen

PROJECT = Path(__file__).parent.parent
README = PROJECT / "README.md"
DOCS = sorted((PROJECT / "docs").glob("*.md"))
PAGES = [README, PROJECT / "CHANGELOG.md", *DOCS, *sorted((PROJECT / ".github").glob("*.md"))]
USERS_PAGES = [README, *DOCS]

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def page(name: str) -> str:
    return (PROJECT / "docs" / name).read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    return [code for kind, code in _FENCED.findall(text) if kind == language]


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below *heading*, without its head."""
    section = re.split(rf"^#+ {re.escape(heading)}\n", text, maxsplit=1, flags=re.MULTILINE)[1]
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert lines is not None, f"no table below {heading!r}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]


def anchors(text: str) -> set[str]:
    """What a link can name of a page: its headings, spelled as GitHub and MkDocs both spell them."""
    headings = _HEADING.findall(_FENCED.sub("", text))
    plain = (unicodedata.normalize("NFKC", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


def test_the_state_table_is_the_codes_table_of_moves() -> None:
    rows = table(page("states-and-events.md"), "States")
    documented = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[2])) for row in rows}
    moves = {state.value: set[str]() for state in State}
    for (state, _), after in TRANSITIONS.items():
        if after is not state:
            moves[state.value].add(after.value)
    assert documented == moves


def test_the_command_table_lists_every_command_and_no_other() -> None:
    documented = {row[0].strip("`") for row in table(page("commands.md"), "Commands")}
    assert documented == {*commands()}


def test_the_exit_code_table_lists_every_code_with_its_meaning() -> None:
    rows = table(page("commands.md"), "Exit codes")
    assert {int(row[0]): row[1] for row in rows} == {int(code): MEANING[code] for code in Exit}


def test_the_event_table_lists_every_event_and_no_other() -> None:
    documented = {row[0].strip("`") for row in table(page("states-and-events.md"), "Events")}
    assert documented == {event.__name__ for event in get_args(Event)} | {"breaker"}


def test_the_column_table_lists_every_column_of_a_data_set_with_its_meaning() -> None:
    rows = {row[0].strip("`"): row[1] for row in table(page("datasets.md"), "Columns")}
    assert {name: rows.get(name) for name in COLUMNS} == {name: of.meaning for name, of in COLUMNS.items()}
    assert set(rows) - set(COLUMNS) == {"input.*", "meta.*"}


def test_every_file_of_a_run_folder_is_explained() -> None:
    listing = blocks(page("folder.md"), "text")[0]
    folder = RunFolder.at(Path("out"))
    paths = [getattr(folder, name) for name, of in vars(RunFolder).items() if isinstance(of, property)]
    paths += [marks_file(folder), folder.parts("row", 1).parent]
    names = {path.name for path in paths if isinstance(path, Path)}
    assert {"state.db", "rows", "parts", "marks.jsonl"} <= names
    assert {name for name in names if name not in listing} == set()


def test_the_manifests_that_are_shown_have_no_problems(tmp_path: Path) -> None:
    manifests = {
        f"{place.stem}-{number}.{kind}": text
        for place in USERS_PAGES
        for kind in ("csv", "yaml")
        for number, text in enumerate(blocks(place.read_text("utf-8"), kind))
    }
    assert len(manifests) >= 3
    for name, text in manifests.items():
        (tmp_path / name).write_text(text, "utf-8")
        ended = Batchgen(tmp_path, token=None)("plan", name, "--offline", "--json")
        assert ended.exit == 0, ended.stderr
        assert ended.json["problems"] == []


def test_every_command_that_is_shown_has_the_flags_it_is_shown_with() -> None:
    code = "\n".join(block for place in USERS_PAGES for block in blocks(place.read_text("utf-8"), "sh"))
    shown = re.findall(r"^(?:\.venv/bin/)?batchgen (\w+)(.*?)(?: {2,}#.*)?$", code, re.MULTILINE)
    texts = (_FENCED.sub("", place.read_text("utf-8")) for place in USERS_PAGES)
    inline = (code for text in texts for code in re.findall(r"`([^`]+)`", text))
    in_text = [found for code in inline for found in re.findall(r"^(?:\.venv/bin/)?batchgen\s([a-z]+)(.*)", code, re.S)]
    assert len(shown) >= 8
    assert len(in_text) >= 8
    for verb, arguments in shown + in_text:
        flags = {name for parameter in commands()[verb].params for name in parameter.opts}
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", arguments)) <= flags, f"batchgen {verb}{arguments}"


def test_every_flag_that_is_named_exists() -> None:
    parameters = [parameter for command in commands().values() for parameter in command.params]
    flags = {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)}
    flags |= {"--help", "--version", "--install-completion"}
    for place in USERS_PAGES:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", _FENCED.sub("", place.read_text("utf-8"))))
        assert named <= flags, place.name


@pytest.mark.parametrize("place", PAGES, ids=lambda place: place.name)
def test_every_relative_link_leads_to_a_file_or_heading_that_exists(place: Path) -> None:
    text = _FENCED.sub("", place.read_text("utf-8"))
    for link in _LINK.findall(text):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = place.parent / name if name else place
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), link


def test_the_api_reference_has_every_public_name_and_no_other() -> None:
    assert set(re.findall(r"^::: batchgen\.(\w+)$", page("api.md"), re.MULTILINE)) == set(batchgen.__all__)


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = set(_LINK.findall(page("index.md")))
    assert {place.name for place in DOCS} - contents == {"index.md"}
