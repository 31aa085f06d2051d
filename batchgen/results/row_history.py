"""One row's story: every attempt, and every event in time order, as the journal tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.core.errors import Refusal
from batchgen.core.job import Job
from batchgen.state import open_reader
from batchgen.storage.paths import RunFolder


class NoSuchRow(Refusal):
    """The folder has no row of that id."""


@dataclass(frozen=True, slots=True)
class Story:
    """*events* are journal lines of the row, oldest first."""

    attempts: tuple[Job, ...]
    events: tuple[dict[str, Any], ...]

    def new_seed(self, n: int) -> Any:
        """The seed that a retry gave to attempt *n*; None if it has the one of the attempt it came from."""
        by_n = {job.n: job for job in self.attempts}  # a repair may have found the later ones alone
        job, came_from = by_n[n], by_n.get(n - 1)
        if came_from is None or came_from.fingerprint != job.fingerprint:
            return None
        return job.input.get("seed") if job.input.get("seed") != came_from.input.get("seed") else None


def story(out: Path, row_id: str) -> Story:
    """What happened to one row. Raises NoSuchRow, and StateUnusable if *out* is not a run folder."""
    folder = RunFolder.at(out)
    with closing(open_reader(folder)) as reader:
        attempts = tuple(reader.attempts(row_id))
    if not attempts:
        raise NoSuchRow(f"{folder.path} has no row {row_id!r}; rows are called as in the manifest, and in rows/")
    return Story(attempts, tuple(_events(folder, row_id)))


def _events(folder: RunFolder, row_id: str) -> Iterator[dict[str, Any]]:
    """Lines about *row_id*; all others are passed over without being parsed."""
    mark = json.dumps({"row": row_id}, separators=(",", ":")).encode()[1:-1]
    with folder.reading(folder.journal) as stream:
        for raw in stream:
            if mark in raw and raw.endswith(b"\n") and (line := json.loads(raw)).get("row") == row_id:
                yield line
