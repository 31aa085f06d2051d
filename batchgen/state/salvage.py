"""Attempts that nothing but their files tell of: what a repair takes from rows/, parts/, attempts/ and set-aside/."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from batchgen.core.job import ENDED, Job, SavedFile, State
from batchgen.core.money import micro
from batchgen.state.traces import SIDECAR, Trace, in_attempts, in_parts, in_rows, in_set_aside
from batchgen.storage.paths import RunFolder


@dataclass(slots=True)
class Found:
    """Every attempt that any source knows, by (row id, n), with the sequence number of what was known last.

    *salvaged* is how many of them neither the state nor the journal knew.
    """

    jobs: dict[tuple[str, int], tuple[int, Job]] = field(default_factory=dict)
    places: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    last_seq: int = 0
    salvaged: int = 0
    notes: list[str] = field(default_factory=list)

    def take(self, seq: int, job: Job) -> None:
        """The newest record of an attempt counts, but none that has no id before one that has: an id that was
        answered is never taken back.
        """
        known = self.jobs.get((job.row_id, job.n))
        if known is None:
            self.jobs[job.row_id, job.n] = (seq, job)
        elif (job.request_id is not None, seq) > (known[1].request_id is not None, known[0]):
            self.jobs[job.row_id, job.n] = (max(seq, known[0]), job)
        self.last_seq = max(self.last_seq, seq)

    def doubt(self, job: Job, reason: str) -> None:
        """*job* may have been paid for, and nobody knows its request_id: it waits for a person."""
        seq, _ = self.jobs[job.row_id, job.n]
        self.jobs[job.row_id, job.n] = (seq, job._replace(state=State.IN_DOUBT, reason=reason, billed=None))


def take_traces(folder: RunFolder, found: Found) -> None:
    """Add to *found* what the folders of outputs know beyond it."""
    ids = {job.request_id for _, job in found.jobs.values() if job.request_id is not None}
    strays: list[Trace] = []
    for trace in sorted(chain(in_rows(folder), in_attempts(folder)), key=lambda trace: trace.place):
        _take_sidecar(trace, State.COLLECTED, found, ids)
    for trace in sorted(chain(in_parts(folder), in_set_aside(folder)), key=lambda trace: trace.place):
        if _published(folder, trace):
            _take_sidecar(trace._replace(name=f"rows/{trace.row_id}"), State.COLLECTED, found, ids)
        elif trace.sidecar is not None:
            _take_sidecar(trace, State.SUBMITTED, found, ids)
        elif not trace.is_empty and not _doubted(trace, found):
            strays.append(trace)
    if strays:
        _keep_strays(folder, strays, found)


def _take_sidecar(trace: Trace, state: State, found: Found, ids: set[str]) -> None:
    """The attempts that a row.json names: its own, of which the files are here, and those before it."""
    told = trace.sidecar
    if told is None:
        if trace.folder.is_file(trace.place / SIDECAR):
            found.notes.append(f"{trace.place / SIDECAR} could not be read")
        return
    try:
        job = _job_of(told, state)
        every = [*_earlier(told, job), job]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        found.notes.append(f"{trace.place / SIDECAR} could not be read ({error!r})")
        return
    for one in every:
        if one.request_id is not None and one.request_id not in ids:
            ids.add(one.request_id)
            found.salvaged += 1
            _add(one, found)


def _add(job: Job, found: Found) -> None:
    """An attempt that was paid for. One that bears its number under another request_id was paid for as well: of the
    two the one that is still live becomes the row's latest.
    """
    known = found.jobs.get((job.row_id, job.n))
    if known is None:
        found.take(0, job)
        return
    seq, other = known
    if other.request_id is None:
        found.take(seq + 1, job._replace(estimate_micro=other.estimate_micro, units=other.units, files=other.files))
        return
    next_n = 1 + max(n for row_id, n in found.jobs if row_id == job.row_id)
    if other.state in ENDED:
        found.take(0, job._replace(n=next_n))
    else:
        found.jobs[job.row_id, job.n] = (seq, job)
        found.take(seq, other._replace(n=next_n))


def _job_of(told: Mapping[str, Any], state: State) -> Job:
    times = told["times"]
    return Job(
        key=0,
        row_id=told["row_id"],
        n=max(int(attempt["n"]) for attempt in told["attempts"]),
        state=state,
        model=told["model"],
        input=told["input"],
        files=(),
        fingerprint=told["fingerprint"],
        meta=told["meta"],
        outputs_asked=told.get("outputs_asked", 1),
        cost_micro=micro(told["cost_usd"]),
        request_id=told["request_id"],
        intent_at=times.get("sent_at"),
        submitted_at=times.get("accepted_at"),
        ended_at=times.get("ended_at"),
        saved=tuple(SavedFile(**file) for file in told["files"]) if state is State.COLLECTED else (),
    )


def _earlier(told: Mapping[str, Any], job: Job) -> list[Job]:
    """The attempts before *job*, of which row.json tells little but their ids; a live one cannot have had a next."""
    return [
        job._replace(
            n=int(attempt["n"]),
            state=State(attempt["state"]) if State(attempt["state"]) in ENDED else State.FAILED,
            reason="known from a later row.json alone",
            request_id=attempt["request_id"],
            cost_micro=micro(attempt.get("cost_usd")),
            intent_at=None,
            submitted_at=None,
            ended_at=None,
            saved=(),
        )
        for attempt in told["attempts"]
        if int(attempt["n"]) != job.n
    ]


def _published(folder: RunFolder, trace: Trace) -> bool:
    """Move a row folder that had arrived whole to rows/, unless one stands there; whether that was done."""
    told = trace.sidecar or {}
    target = folder.row(trace.row_id)
    if trace.place.parent != folder.all_parts or folder.stat(target) is not None or told.get("row_id") != trace.row_id:
        return False
    try:
        files = [SavedFile(**file) for file in told["files"]]
        if not files or not all(_is_whole(trace, file) for file in files):
            return False
    except (OSError, KeyError, TypeError):
        return False
    folder.make(folder.rows)
    folder.replace(trace.place, target)
    folder.sync(folder.rows)
    return True


def _is_whole(trace: Trace, file: SavedFile) -> bool:
    with trace.folder.reading(trace.place / file.name) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256


def _doubted(trace: Trace, found: Found) -> bool:
    """Whether the attempt of files without a row.json is known; one without a request_id is in doubt from here on."""
    known = found.jobs.get((trace.row_id, trace.n or 0))
    if known is None:
        return False
    if known[1].request_id is None:
        found.doubt(known[1], f"files of it are in {trace.place}, and its request_id is lost")
    return True


def _keep_strays(folder: RunFolder, strays: list[Trace], found: Found) -> None:
    """Put files of which nobody knows the request where they are kept and told."""
    place = folder.set_aside / f"strays.{time.strftime('%Y%m%d-%H%M%S')}"
    folder.make(place)
    for trace in strays:
        folder.replace(trace.place, place / trace.place.name)
    folder.sync(place)
    rows = ", ".join(sorted({trace.row_id for trace in strays}))
    found.notes.append(f"files without a known request are in {place}; look whether these rows were paid for: {rows}")
