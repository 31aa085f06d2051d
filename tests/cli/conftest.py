"""The real command against a real server; no command may ever let the token out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.processes import TOKEN, Batchgen, Ended, Server, serving


@dataclass
class Shell:
    """A user in one folder: every command they ran is remembered."""

    command: Batchgen
    ended: list[Ended] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.command.folder

    def __call__(self, *arguments: object, **environ: str) -> Ended:
        """Run the command to its end, with further variables set."""
        command = replace(self.command, environ=self.command.environ | environ)
        self.ended.append(command(*arguments))
        return self.ended[-1]

    def without(self, **changes: Any) -> Shell:
        """The same user with another token or server."""
        return Shell(replace(self.command, **changes), self.ended)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for tests that only count what they add to it."""
    with serving(latency="fixed:20ms") as running:
        yield running


At = Callable[[Server], Shell]


@pytest.fixture
def at(tmp_path: Path) -> Iterator[At]:
    """A user of a given server. Nothing they were shown and no file they were left with holds the token."""
    ended: list[Ended] = []
    yield lambda server: Shell(Batchgen(tmp_path, server.url), ended)
    assert not [one for one in ended if TOKEN in one.stdout + one.stderr]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


@pytest.fixture
def shell(at: At, server: Server) -> Shell:
    return at(server)


def posts(server: Server) -> int:
    return int(server.ledger(summary=True)["totals"]["posts"])


def table(*rows: str) -> str:
    """A manifest of the seed model, `id|text` a row."""
    lines = ["id,text,images"]
    lines += ["{},{},https://example.com/a.png".format(*row.split("|")) for row in rows]
    return "\n".join(lines) + "\n"
