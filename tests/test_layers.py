"""The map of the house: which room may use which, and where each effect lives. Change it on purpose, in its own commit.

A room is a folder (or a module) directly below the package. Imports inside functions and for types alone count as well.
"""

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
from batchgen.state import open_state
from batchgen.storage.paths import RunFolder

PACKAGE = Path(batchgen.__file__).parent

LAYERS = (
    ("core", "simulator"),
    ("models", "providers", "storage"),
    ("manifest", "state", "collector"),
    ("scheduler", "results"),
    ("runner",),
    ("cli", "api", "verify"),
    ("__init__", "__main__"),
)
"""From the ground up. A room uses only what lies below it, never a room beside it."""

MAY_USE = {
    room: frozenset(rooms.split())
    for room, rooms in {
        "core": "",
        "simulator": "",
        "models": "core",
        "providers": "core",
        "storage": "core",
        "manifest": "core models",
        "state": "core storage",
        "collector": "core storage",
        "scheduler": "collector core providers state storage",
        "results": "core models state storage",
        "runner": "collector core manifest models providers results scheduler simulator state storage",
        "cli": "core manifest models providers results runner scheduler simulator state storage",
        "verify": "collector",
        "api": "providers results runner",
        "__init__": "api core results runner",
        "__main__": "cli",
    }.items()
}

# Decides without asking the world: clock, chance, files and threads come in as arguments.
PURE = (
    "core/",
    "providers/contract.py",
    "runner/outcome.py",
    "runner/seeds.py",
    "scheduler/pacing/",
)
IMPURE = {
    "core/children.py": "lists what of the environment a child process may know",
    "core/pictures.py": "Pillow, within bounds",
    "core/hosts.py": "reads the spellings of addresses that the system's own parser takes",
    "core/log.py": "knows which row is at work, and hands lines to whoever listens",
    "core/proxies.py": "reads the environment's proxies, as every other client does",
    "core/templates.py": "Jinja",
}
CLOCKS_AND_CHANCE = frozenset({"time", "random", "os", "asyncio", "socket", "subprocess", "threading", "shutil"})

# Import -> the only files, or folders, that may hold it.
HOMES = {
    "sqlite3": ("state/",),
    "filelock": ("state/",),
    "threading": ("state/", "api.py", "collector/workers/"),
    "aiohttp": (
        "providers/http.py",
        "providers/httpanswer.py",
        "collector/download.py",
        "collector/reach.py",
        "collector/collect.py",
        "simulator/",
        "models/media_probe.py",
        "models/media_check.py",
        "results/report/live.py",
        "runner/notify.py",
        "runner/load.py",  # names the session it hands on, opens none
    ),
    "aiofiles": ("collector/",),
    "pandas": ("manifest/", "results/export/", "api.py"),  # api.py names the frame it hands on
    "pyarrow": ("manifest/", "results/export/"),
    "yaml": ("manifest/",),
    "jinja2": ("core/templates.py", "results/report/"),
    "PIL": ("core/pictures.py", "simulator/", "results/"),
    "numpy": ("simulator/",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "signal": ("cli/", "runner/notify.py", "simulator/server.py"),
    "subprocess": (
        "runner/keep_awake.py",
        "runner/notify.py",
        "collector/workers/",
        "cli/commands/report.py",
        "cli/completion.py",
    ),
    "pickle": ("collector/workers/",),  # it runs what it reads: between our own processes only
    "logging": ("core/log.py",),
}


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the package by its path, as a syntax tree."""
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def modules() -> dict[str, str]:
    """Path of every module by its dotted name below the package; the package itself is ""."""
    return {path.removesuffix(".py").removesuffix("__init__").strip("/").replace("/", "."): path for path in sources()}


def room_of(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def imported(tree: ast.Module) -> Iterator[str]:
    """Every imported module by its full dotted name, wherever in the file it is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_modules(path: str) -> set[str]:
    """The paths of our modules that one of them imports."""
    names = {name.removeprefix("batchgen.") for name in imported(sources()[path]) if name.startswith("batchgen.")}
    used = {modules().get(name) or modules().get(name.rpartition(".")[0]) for name in names}
    return {module for module in used if module is not None} - {path}


@pytest.mark.parametrize("path", sources())
def test_a_module_uses_only_the_rooms_below_its_own(path: str) -> None:
    room = room_of(path)
    assert room in MAY_USE, f"{path} is in no room of the map"
    assert {room_of(used) for used in own_modules(path)} - {room} <= MAY_USE[room]


def test_the_map_is_what_the_code_does_and_points_down() -> None:
    used = {
        (room_of(path), room_of(other))
        for path in sources()
        for other in own_modules(path)
        if room_of(other) != room_of(path)
    }
    assert used == {(room, other) for room, rooms in MAY_USE.items() for other in rooms}
    floor = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
    assert [(room, other) for room, other in used if floor[other] >= floor[room]] == []


def test_no_module_comes_back_to_itself() -> None:
    """Raises CycleError with the way round."""
    TopologicalSorter({path: own_modules(path) for path in sources()}).prepare()


@pytest.mark.parametrize("path", [path for path in sources() if path.startswith(PURE) and path not in IMPURE])
def test_what_decides_has_neither_clock_nor_chance_nor_files(path: str) -> None:
    roots = {name.split(".")[0] for name in imported(sources()[path])}
    assert not roots & (CLOCKS_AND_CHANCE | set(HOMES))


@pytest.mark.parametrize("effect", HOMES)
def test_an_effect_has_one_home(effect: str) -> None:
    holders = [path for path, tree in sources().items() if effect in {name.split(".")[0] for name in imported(tree)}]
    assert holders
    assert [path for path in holders if not path.startswith(HOMES[effect])] == []


def test_sql_is_asked_in_the_state_alone() -> None:
    """Elsewhere a question is a method of Reader: neither a statement is executed, nor a connection passed around."""
    asking = {"execute", "executemany", "executescript", "_connection"}
    askers = {
        path
        for path, tree in sources().items()
        if any(isinstance(node, ast.Attribute) and node.attr in asking for node in ast.walk(tree))
    }
    assert "state/reader.py" in askers
    assert {path for path in askers if not path.startswith("state/")} == set()


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
