"""`journal.jsonl`: the append-only second copy of every intent, id and outcome.

The first line names the API base; a line `Budget` is a budget that was given. Every other line is what an event
changed: `seq`, `at`, `row`, `n`, `event`, `state` and the fields that were learned; the first of an attempt also holds
the whole request. Replaying all lines in order gives every attempt as it last was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batchgen.core.job import Event, Job, Output, State
from batchgen.storage.inside import Inside

_REQUEST = ("model", "input", "files", "fingerprint", "meta", "outputs_asked", "units")
_TAIL_BYTES = 65_536
_encode = json.JSONEncoder(separators=(",", ":")).encode


def line_of(seq: int, before: Job, after: Job, event: Event) -> str:
    """The journal line for the move from *before* to *after*."""
    changed = {
        name: _plain(new)
        for name, was, new in zip(Job._fields, before, after, strict=True)
        if (new is not was and new != was) or name == "state"
    }
    request = _request(after) if before.state is State.PENDING else {}
    what = {"seq": seq, "at": event.at, "row": after.row_id, "n": after.n, "event": type(event).__name__}
    return _encode(what | changed | request)


def line_of_head(base: str, rehearsal: bool, fingerprint_version: str) -> str:
    """The first line: whom the folder belongs to, and by which rules its rows are named."""
    version = {"fingerprint_version": fingerprint_version}
    return _encode({"seq": 0, "event": "Opened", "base": base, "rehearsal": rehearsal} | version)


def line_of_budget(seq: int, budget_micro: int) -> str:
    """The folder's budget from here on. It is no move of a row, so it takes the number of the move before it."""
    return _encode({"seq": seq, "event": "Budget", "budget_micro": budget_micro})


def line_of_whole(seq: int, job: Job) -> str:
    """A line that holds all of *job*, for a journal that has fallen behind."""
    whole = {name: _plain(getattr(job, name)) for name in _CHANGING}  # None too: it takes back what was known
    return _encode({"seq": seq, "row": job.row_id, "n": job.n, "event": "Completed"} | whole | _request(job))


_CHANGING = tuple(name for name in Job._fields if name not in {"key", "row_id", "n", *_REQUEST})


def _request(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in _REQUEST}


def _plain(value: Any) -> Any:
    """Files are told by the names of their fields."""
    if not isinstance(value, tuple):
        return value
    return [(file.as_kept if isinstance(file, Output) else file)._asdict() for file in value]


class Journal:
    """The open journal. Holds its end, so that a write that failed half-way leaves no torn line behind."""

    def __init__(self, path: Path) -> None:
        self._descriptor = Inside(path.parent).descriptor(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._end = os.lseek(self._descriptor, 0, os.SEEK_END)
        self._is_torn = False

    @property
    def is_empty(self) -> bool:
        return self._end == 0

    def drop_torn_line(self) -> None:
        """Cut off a last line that a crash left unfinished."""
        tail = self._tail()
        whole = tail[: tail.rfind(b"\n") + 1]
        if len(whole) < len(tail):
            self._end -= len(tail) - len(whole)
            os.ftruncate(self._descriptor, self._end)
            os.fsync(self._descriptor)

    def last_seq(self) -> int:
        """The sequence number of the last line, 0 if there is none. Raises ValueError if it is unreadable."""
        tail = self._tail()
        lines = tail.rstrip(b"\n").rsplit(b"\n", 1)
        return int(json.loads(lines[-1])["seq"]) if lines[-1] else 0

    def append(self, lines: Iterable[str]) -> None:
        """Return once *lines* are on disk. Raises OSError and leaves the journal as it was."""
        content = "".join(f"{line}\n" for line in lines).encode()
        if self._is_torn:
            self._cut()
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError:
            self._is_torn = True
            self._cut()
            raise
        self._end += len(content)

    def close(self) -> None:
        os.close(self._descriptor)

    def _cut(self) -> None:
        """Take back what a failed write left; until that is done, nothing may be written after it. Raises OSError."""
        os.ftruncate(self._descriptor, self._end)
        self._is_torn = False

    def _tail(self) -> bytes:
        """The last bytes of the file, from the start of a line."""
        size = _TAIL_BYTES
        while True:
            start = max(self._end - size, 0)
            os.lseek(self._descriptor, start, os.SEEK_SET)
            tail = _read_exactly(self._descriptor, self._end - start)
            if start == 0:
                return tail
            first = tail.find(b"\n")
            if 0 <= first < len(tail) - 1 and b"\n" in tail[first + 1 :]:
                return tail[first + 1 :]
            size *= 8


def _read_exactly(descriptor: int, count: int) -> bytes:
    parts = []
    while count:
        part = os.read(descriptor, count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
