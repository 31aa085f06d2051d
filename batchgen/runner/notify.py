"""Who is told that a command has ended: a URL of the user's, a command of theirs, or both.

They are told how many rows stand where, what it cost and with which code it ended: no prompt, no row, no token. What a
hook does changes nothing about the end, and it is not waited for longer than the bounds below.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batchgen.core.children import environ_of_children
from batchgen.core.errors import MEANING, Exit
from batchgen.core.money import dollars, usd
from batchgen.core.proxies import proxy_for
from batchgen.core.version import __version__
from batchgen.runner.outcome import Report

URL_S = 10.0
COMMAND_S = 30.0


@dataclass(frozen=True, slots=True)
class EndOfRun:
    """How a command ended in the run folder *out*. *report* is None where it ended before anything was run."""

    command: str
    out: Path
    exit: Exit
    report: Report | None

    def as_json(self) -> dict[str, Any]:
        """What the hooks are told. `text` and `content` are the sentence that chat services show."""
        told: dict[str, Any] = {"run": self.out.name, "command": self.command, "exit": int(self.exit)}
        told |= {"meaning": MEANING[self.exit], "text": self.sentence, "content": self.sentence}
        full = {"rows": {}, "cost": {}} if self.report is None else self.report.as_json()
        return told | {"rows": full["rows"], "cost": full["cost"]}

    @property
    def sentence(self) -> str:
        sentence = f"{self.out.name}: {MEANING[self.exit]}"
        if self.report is None:
            return sentence
        counted = [f"{count:,} {state.value.replace('_', ' ')}" for state, count in self.report.rows.items() if count]
        return f"{sentence} ({', '.join(counted) or 'no rows'}; {dollars(usd(self.report.money.charged))} charged)"

    def as_variables(self) -> dict[str, str]:
        told = self.as_json()
        counts = {f"BATCHGEN_ROWS_{state.upper()}": str(count) for state, count in told["rows"].items()}
        costs = {f"BATCHGEN_COST_{kind.upper()}": str(cost) for kind, cost in told["cost"].items() if cost is not None}
        return {"BATCHGEN_EXIT": str(told["exit"]), "BATCHGEN_OUT": str(self.out), **counts, **costs}


def tell(
    end: EndOfRun, url: str | None, command: str | None, url_s: float = URL_S, command_s: float = COMMAND_S
) -> Iterator[str]:
    """Tell *url* and *command*, each for at most so many seconds. Yields a sentence for each that did not go well."""
    told = end.as_json()
    if url is not None and (wrong := _posted(url, told, url_s)) is not None:
        yield f"--notify-url ({urlsplit(url).hostname}) {wrong}"
    if command is not None:
        report = json.dumps(told | {"out": str(end.out)}, ensure_ascii=False).encode()
        if (wrong := _ran(command, environ_of_children() | end.as_variables(), report, command_s)) is not None:
            yield f"--on-finish {wrong}"


def no_web_address(url: str) -> str | None:
    """What is wrong with *url*, without a word of it: it may hold a secret. None if it can be posted to."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        fine = False
    return None if fine and url.isprintable() and " " not in url else "is no web address (https://...)"


def no_command(command: str) -> str | None:
    """What is wrong with *command*, as far as can be told before it is needed; None if it can be started."""
    try:
        return None if _arguments(command) else "is empty"
    except ValueError as error:
        return f"cannot be read as a command line: {error}"


# ── a URL ───────────────────────────────────────────────────────────────────────────────────────────────


def _posted(url: str, told: Mapping[str, Any], timeout_s: float) -> str | None:
    """Post *told* to *url*, once. Answers what went wrong, without the URL; None if nothing did."""
    try:
        status = asyncio.run(_post(url, told, timeout_s))
    except TimeoutError:
        return f"did not answer in {timeout_s:.0f} s"
    except KeyboardInterrupt:
        return "was not waited for"
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has ended well without it
        return f"was not reached ({type(error).__name__})"  # its own words may hold the URL
    return None if 200 <= status < 300 else f"answered HTTP {status}"


async def _post(url: str, told: Mapping[str, Any], timeout_s: float) -> int:
    """The status of the answer. A redirect is not followed: what is told is told to that address alone."""
    import aiohttp
    from yarl import URL

    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers={"User-Agent": f"batchgen/{__version__}"}) as session,
        session.post(URL(url, encoded=True), json=told, allow_redirects=False, proxy=proxy_for(url)) as answer,
    ):
        return answer.status


# ── a command ───────────────────────────────────────────────────────────────────────────────────────────


def _arguments(command: str) -> list[str] | str:
    """No shell: what stands in *command* is one program and its arguments. Windows splits a command line itself."""
    return command.strip() if sys.platform == "win32" else shlex.split(command)


def _ran(command: str, environ: Mapping[str, str], report: bytes, timeout_s: float) -> str | None:
    """Run *command* with *report* on its stdin; what it prints goes to stderr. Answers what went wrong, if anything."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own command
            _arguments(command), env=environ, stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True
        )
    except (OSError, ValueError) as error:
        return f"could not be started: {error}"
    try:
        process.communicate(report, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _end(process)
        return f"was not done after {timeout_s:.0f} s and was ended"
    except KeyboardInterrupt:
        _end(process)
        return "was interrupted"
    return None if process.returncode == 0 else f"ended with {process.returncode}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End *process*, and what it started where the system has groups."""
    if sys.platform == "win32":
        process.kill()
    elif process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
