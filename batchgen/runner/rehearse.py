"""The same run against the embedded server, in its own process and in a folder nobody can take for a paid one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

from batchgen.core.children import environ_of_our_own
from batchgen.runner.bill import Refused
from batchgen.runner.commands import Consent, run
from batchgen.runner.options import Options
from batchgen.runner.outcome import Report
from batchgen.runner.session import Watch
from batchgen.simulator.options import SERVE_TOKEN
from batchgen.state import open_reader
from batchgen.storage.paths import RunFolder


async def rehearse(
    manifest: Path,
    options: Options,
    watch: Watch | None = None,
    consent: Consent = lambda plan: True,
    *,
    faults: str,
    latency: str,
    draw: str,
) -> Report:
    """Run *manifest* for free. Every rehearsal starts over: its server forgets when it ends."""
    folder = options.folder(manifest).rehearsal
    _clear(folder)
    async with _server(faults, latency, draw) as url:
        here = replace(options, out=folder.path, api_base=url, token=SERVE_TOKEN, rehearsal=True, inline_files=True)
        return await run(manifest, here, consent, watch)


def _clear(folder: RunFolder) -> None:
    """Remove an earlier rehearsal. Raises Refused for a folder that is anything else."""
    if not folder.path.exists():
        return
    if folder.state.exists():
        with closing(open_reader(folder)) as reader:
            rehearsal = reader.meta("rehearsal") == "yes"
        if rehearsal:
            for name in folder.names(folder.path):
                folder.remove(folder.path / name)
            return
    if any(folder.path.iterdir()):
        raise Refused(f"{folder.path} is not a rehearsal's folder; move it away, or choose another --out")


@asynccontextmanager
async def _server(faults: str, latency: str, draw: str) -> AsyncIterator[str]:
    """The embedded server in a process of its own; its URL."""
    command = [sys.executable, "-m", "batchgen", "serve", "--parent-pid", str(os.getpid())]
    command += ["--faults", faults, "--latency", latency, "--draw", draw]
    server = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env=environ_of_our_own(), start_new_session=True
    )
    assert server.stdout is not None
    try:
        first_line = await server.stdout.readline()
        if not first_line:
            raise Refused("the embedded server did not start; it says why above")
        yield str(json.loads(first_line)["url"])
    finally:
        if server.returncode is None:
            server.terminate()
        await server.wait()
