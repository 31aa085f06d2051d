"""Real processes for tests: the embedded server, and the batchgen command as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOKEN = "test-token-7f3a9c"
MODEL = "bytedance/seedream-4-0/edit-sequential"

# A user sets none of these; PYTHONUNBUFFERED alone hides what a command leaves unwritten at its end.
_MACHINES_OWN = ("RUNCOMFY", "BATCHGEN", "PYTHON")


@dataclass(frozen=True)
class Server:
    """A running embedded server."""

    url: str
    process: subprocess.Popen[bytes]
    files_url: str = ""

    def ledger(self, summary: bool = False) -> dict[str, Any]:
        """What the server charged for, as `/__ledger` tells it."""
        with urllib.request.urlopen(f"{self.url}/__ledger{'?summary=1' if summary else ''}", timeout=30) as answer:
            told: dict[str, Any] = json.load(answer)
            return told

    def control(self, **changes: Any) -> None:
        """Change the server in mid-run, such as its faults, its wallet or its token."""
        body = json.dumps(changes).encode()
        request = urllib.request.Request(f"{self.url}/__control", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()

    @property
    def charged(self) -> list[dict[str, Any]]:
        return list(self.ledger()["charged"])


@contextmanager
def serving(
    faults: str = "", latency: str = "fixed:50ms", draw: str = "tiny", token: str = TOKEN, **options: object
) -> Iterator[Server]:
    """An embedded server in a process of its own, on a free port; *options* are further flags of `serve`."""
    command = [sys.executable, "-m", "batchgen", "serve", "--port", "0", "--token", token, "--faults", faults]
    command += ["--latency", latency, "--draw", draw, "--parent-pid", str(os.getpid())]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        first_line = json.loads(process.stdout.readline())
        yield Server(first_line["url"], process, first_line["files_url"])
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


@dataclass(frozen=True)
class Ended:
    """A batchgen command that came to its end."""

    exit: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.stdout)
        return told


@dataclass(frozen=True)
class Batchgen:
    """The command in one working directory, against one server (or none), with a home of its own."""

    folder: Path
    base: str | None = None
    token: str | None = TOKEN
    environ: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Nothing of the machine's own tokens, caches or ways of running Python reaches the command."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_MACHINES_OWN)}
        home = self.folder / ".home"
        home.mkdir(exist_ok=True)
        kept |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "XDG_CONFIG_HOME": str(home / "config")}
        if self.base is not None:
            kept["RUNCOMFY_MODEL_API_BASE"] = self.base
        if self.token is not None:
            kept["RUNCOMFY_TOKEN"] = self.token
        return kept | self.environ

    def start(
        self, *arguments: object, before: Sequence[str] = (), pass_fds: Sequence[int] = ()
    ) -> subprocess.Popen[str]:
        """Start the command in a process group of its own and do not wait for it.

        *before* is what it runs under, such as a tracer.
        """
        return subprocess.Popen(
            [*before, sys.executable, "-m", "batchgen", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            pass_fds=pass_fds,
        )

    def __call__(self, *arguments: object, timeout_s: float = 90.0) -> Ended:
        """Run the command to its end."""
        process = self.start(*arguments)
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            raise AssertionError(f"batchgen {arguments} did not end in {timeout_s} s\n{stderr}") from None
        return Ended(process.returncode, stdout, stderr)


def kill_group(process: subprocess.Popen[str]) -> None:
    """kill -9 for *process* and everything it started."""
    with suppress(ProcessLookupError):  # it came to its end first
        os.killpg(process.pid, signal.SIGKILL)


def write_csv(path: Path, rows: int, outputs: int = 1, prefix: str = "row") -> Path:
    """A manifest of *rows* rows that ask for *outputs* pictures each; every request is another one."""
    lines = ["id,text,images,seed,sequential_image_generation_options"]
    lines += [
        f"{prefix}-{number:04d},Generate {outputs} images of dune {number},https://example.com/a.png,{number},{outputs}"
        for number in range(rows)
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
