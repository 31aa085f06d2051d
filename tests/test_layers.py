"""The map of the house: who may import whom, and where each effect lives. Change it on purpose, in its own commit."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import batchgen
from batchgen.runfolder import RunFolder
from batchgen.statefile import open_state

PACKAGE = Path(batchgen.__file__).parent

# Unit -> the units it may import. A unit is a module or a package directly under batchgen. Two modules are units of
# their own: `providers.contract` holds nothing but the words that providers and the loop speak, and
# `rehearsal.rehearse` is a client of the server beside it.
MAY_IMPORT: dict[str, frozenset[str]] = {
    unit: frozenset(allowed.split())
    for unit, allowed in {
        # pure: no clock, no chance, no I/O
        "exits": "",
        "inside": "",
        "children": "",
        "descriptors": "",
        "job": "redaction",
        "request": "",
        "hosts": "",
        "links": "",
        "proxies": "exits",
        "redaction": "",
        "pictures": "",
        "verify": "pictures",
        "pacing": "",
        "budget": "job",
        "canary": "budget job statefile",
        "providers.contract": "job",
        "outcome": "budget exits job providers.contract",
        "seeds": "exits job request schema",
        "wording": "",
        "spreadsheet": "",
        # small edges
        "alarm": "",
        "awake": "children",
        "token": "exits",
        "runfolder": "exits inside",
        "logs": "exits redaction wording",
        "expand": "",
        "inputs": "job",
        "notify": "budget children exits outcome proxies",
        # the edges, one effect each
        "schema": "exits hosts request",
        "manifest": "exits expand hosts request schema spreadsheet",
        "statefile": "budget exits inside job request runfolder",
        "collector": "budget children hosts job links logs proxies redaction request runfolder verify",
        "providers": "budget exits job logs providers.contract proxies redaction",
        "catalogue": "budget schema",
        "history": "job runfolder schema",
        "pricing": "budget catalogue job schema statefile",
        "rehearsal": "",
        "rehearsal.rehearse": "billing children exits opened options outcome rehearsal runfolder runner statefile",
        "report": "audit budget exits inside job marks pictures request runfolder statefile wording",
        "datasets": "budget exits expand job marks pictures redaction request runfolder schema statefile",
        # what is made of them
        "failed": "job runfolder spreadsheet statefile",
        "marks": "job runfolder statefile",
        "audit": "budget job runfolder statefile",
        "books": "audit runfolder spreadsheet statefile",
        "story": "exits job runfolder statefile",
        "standing": "budget job runfolder scheduler statefile wording",
        "problems": "request wording",
        "gathering": "catalogue links manifest problems request schema statefile",
        "billing": "budget catalogue exits history marks pacing pricing problems request runfolder schema statefile "
        "wording",
        "scheduler": "alarm budget collector inputs job logs pacing providers.contract statefile",
        "reconcile": "exits job providers providers.contract request statefile",
        "takeback": "collector exits job statefile",
        "cancelling": "job providers providers.contract statefile",
        "lookup": "catalogue providers schema token",
        "options": "billing budget canary job exits providers runfolder scheduler schema statefile",
        "opened": "awake budget canary catalogue collector exits failed history job logs marks options outcome pacing "
        "pricing providers providers.contract runfolder scheduler standing statefile",
        "renewal": "gathering opened providers statefile wording",
        "neighbours": "runfolder",
        "runner": "billing budget catalogue collector exits gathering history job manifest marks neighbours "
        "opened options outcome pricing problems providers renewal request runfolder schema seeds statefile takeback "
        "token wording",
        "api": "billing datasets exits options outcome providers rehearsal.rehearse report runner standing token",
        "cli": "api audit billing books budget canary children cancelling datasets descriptors exits job logs lookup "
        "manifest notify opened options outcome pacing problems providers providers.contract reconcile redaction "
        "rehearsal rehearsal.rehearse "
        "report request runfolder runner scheduler schema standing statefile story token wording",
        "__init__": "api billing exits options outcome request runner standing",
        "__main__": "cli",
    }.items()
}

PURE = (
    "exits",
    "job",
    "request",
    "links",
    "redaction",
    "pacing",
    "budget",
    "providers.contract",
    "outcome",
    "seeds",
    "wording",
)
CLOCKS_AND_CHANCE = frozenset({"time", "random", "os", "asyncio", "socket", "subprocess", "threading", "shutil"})

# Import -> the only files, or folders, that may hold it.
HOMES = {
    "sqlite3": ("statefile/",),
    "filelock": ("statefile/",),
    "threading": ("statefile/", "api.py", "collector/shelver.py"),
    "aiohttp": (
        "providers/wire.py",
        "providers/httpanswer.py",
        "collector/download.py",
        "collector/reach.py",
        "collector/collect.py",
        "rehearsal/",
        "schema/probe.py",
        "schema/media.py",
        "report/live.py",
        "notify.py",
        "gathering.py",  # names the session it hands on, opens none
    ),
    "aiofiles": ("collector/",),
    "pandas": ("manifest/", "datasets/", "api.py"),  # api.py names the frame it hands on
    "pyarrow": ("manifest/", "datasets/"),
    "yaml": ("manifest/",),
    "jinja2": ("expand.py", "report/"),
    "PIL": ("pictures.py", "rehearsal/", "report/", "datasets/"),
    "numpy": ("rehearsal/",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "signal": ("cli/", "notify.py", "rehearsal/server.py"),
    "subprocess": ("awake.py", "notify.py", "collector/shelver.py", "collector/decoder.py", "cli/reporting.py"),
    "pickle": ("collector/shelver.py",),  # it runs what it reads: between our own processes only
    "logging": ("logs.py",),
}


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the package by its path, as a syntax tree."""
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def unit_of(dotted: str) -> str:
    """The unit that a dotted name below batchgen belongs to."""
    own = (unit for unit in ("providers.contract", "rehearsal.rehearse") if f"{dotted}.".startswith(f"{unit}."))
    return next(own, dotted.split(".")[0])


def unit_of_file(path: str) -> str:
    return unit_of(path.removesuffix(".py").replace("/", "."))


def imported(tree: ast.Module) -> Iterator[str]:
    """Every imported module by its full dotted name, wherever in the file it is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(tree: ast.Module) -> set[str]:
    names = (name.removeprefix("batchgen.") for name in imported(tree) if name.startswith("batchgen."))
    return {unit_of(name) for name in names} - {"__version__"}


@pytest.mark.parametrize("path", sources())
def test_a_module_imports_only_what_the_map_allows(path: str) -> None:
    unit = unit_of_file(path)
    assert unit in MAY_IMPORT, f"{path} is not on the map"
    assert own_imports(sources()[path]) - {unit} <= MAY_IMPORT[unit]


def test_the_map_has_no_way_back() -> None:
    assert set(TopologicalSorter(MAY_IMPORT).static_order()) == set(MAY_IMPORT)


@pytest.mark.parametrize("unit", PURE)
def test_what_decides_has_neither_clock_nor_chance_nor_files(unit: str) -> None:
    trees = [tree for path, tree in sources().items() if unit_of_file(path) == unit]
    roots = {name.split(".")[0] for tree in trees for name in imported(tree)}
    assert trees
    assert not roots & (CLOCKS_AND_CHANCE | set(HOMES))


@pytest.mark.parametrize("effect", HOMES)
def test_an_effect_has_one_home(effect: str) -> None:
    holders = [path for path, tree in sources().items() if effect in {name.split(".")[0] for name in imported(tree)}]
    assert holders
    assert [path for path in holders if not path.startswith(HOMES[effect])] == []


def test_only_the_command_line_prints() -> None:
    def prints(tree: ast.Module) -> bool:
        return any(
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            for node in ast.walk(tree)
        )

    printing = {path for path, tree in sources().items() if prints(tree)}
    assert printing
    assert {path for path in printing if not path.startswith("cli/")} == set()


_SLOW = {"pandas", "numpy", "PIL", "aiohttp", "asyncio", "filelock", "jinja2", "pydantic", "rich.console", "yaml"}


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["status", "."], ["status", "out"]])
def test_quick_commands_load_nothing_that_takes_long(arguments: list[str], tmp_path: Path) -> None:
    open_state(RunFolder.at(tmp_path / "out"), "http://127.0.0.1:1", False, lambda reason, jobs: None).close()
    code = (
        "import sys\nfrom batchgen.cli import main\n"
        f"sys.argv = ['batchgen', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('loaded:', *sorted({_SLOW!r} & sys.modules.keys()), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert ended.stderr.splitlines()[-1] == "loaded:"
