"""Before an attempt is begun without its manifest: what the manifest says of the row now."""

from __future__ import annotations

import asyncio
from pathlib import Path

from batchgen.core.text import counted
from batchgen.providers.runcomfy.model_api import is_loopback
from batchgen.runner.load import gather
from batchgen.runner.session import Session
from batchgen.state import Scope


async def take_newest_wording(opened: Session) -> list[str]:
    """Word the rows of *opened* as their manifest does now: links signed again, files touched. What it changed
    otherwise stays to `run`. Answers with what is sent otherwise than the manifest says, in sentences.
    """
    source = opened.state.reader.meta("manifest_path")
    if source is None:  # taken in by an earlier version
        return []
    if not await asyncio.to_thread(Path(source).exists):
        return [f"{source} is not there any more: rows are sent as they were taken in from it"]
    is_local = is_loopback(opened.options.base)
    scratch, problems = await gather(Path(source), opened.catalogue, opened.state.reader, is_local=is_local)
    try:
        faults = [problem for problem in problems if problem.severity == "error"]
        if faults:
            return [
                f"{source} has problems now, so rows are sent as they were taken in from it; the first: {faults[0]}"
            ]
        await opened.state.renew(scratch)
        changed = opened.state.reader.comparison(scratch, Scope()).diff().all.changed
    finally:
        scratch.close()
    if not changed:
        return []
    return [
        f"{counted(changed, 'row')} of {source} asked for something else when they were taken in, and are sent as they "
        "were then; `batchgen run` takes the change in, and says what it costs"
    ]
