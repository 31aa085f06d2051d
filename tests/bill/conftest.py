"""A user with a real server: what they are told before, between and after they pay."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchgen.cli.app import app
from tests.processes import Batchgen, Ended, Server, serving

SEED = "bytedance/seedream-4-0/edit-sequential"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose account holds 25 dollars, for tests that count what they add to it."""
    with serving(latency="fixed:20ms", wallet_usd=25) as started:
        yield started


Shell = Callable[..., Ended]


@pytest.fixture
def at(tmp_path: Path) -> Callable[[Server], Shell]:
    """The command in a folder of its own, against a given server; keywords are variables of the environment."""

    def of(server: Server) -> Shell:
        command = Batchgen(tmp_path, server.url)

        def shell(*arguments: object, **environ: str) -> Ended:
            asked = replace(command, environ=environ)
            return planned_here(asked, *arguments) if arguments[0] == "plan" else asked(*arguments)

        return shell

    return of


def planned_here(command: Batchgen, *arguments: object) -> Ended:
    """`plan` in this process, with the folder and the environment of *command*: a process of its own takes two seconds
    to import what is here already."""
    with chdir(command.folder), pytest.MonkeyPatch.context() as patch:
        environment = command.environment()
        for name in {*os.environ} - {*environment}:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def shell(at: Callable[[Server], Shell], server: Server) -> Shell:
    return at(server)


def posts(server: Server) -> int:
    """How many POSTs have reached *server*."""
    return int(server.ledger(summary=True)["totals"]["posts"])


def dunes(folder: Path, rows: int, outputs: int = 1, name: str = "ads.csv", url: str = "https://e.com/a.png") -> Path:
    """A manifest of *rows* rows, `row-000` and so on, that ask for *outputs* pictures each; *name* makes them new."""
    lines = ["id,text,images,sequential_image_generation_options"]
    lines += [f"row-{number:03d},{name} in {folder.name} {number},{url},{outputs}" for number in range(rows)]
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path
