"""Failures by cause: reasons that differ only by an id, a number or a quoted text are one. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from batchgen.core.job import Billed, Job, State
from batchgen.core.text import cause_of

TROUBLED = frozenset({State.FAILED, State.CANCELLED, State.IN_DOUBT})
_MOST_NAMED = 40


def trouble_of(job: Job) -> str | None:
    """What *job* and others like it ended of; None for a row in no trouble."""
    if job.state not in TROUBLED:
        return None
    return f"{job.state.value}: {cause_of(job.reason or 'no reason given')}"


@dataclass(frozen=True, slots=True)
class Cause:
    """Rows that came to grief in the same way, with one reason in full and the command that goes on with them.

    *names_rows*: the command is for these rows alone; otherwise it is for all that ended in this state.
    """

    key: str
    state: State
    example: str
    row_ids: tuple[str, ...]
    billed: int
    command: str
    names_rows: bool


def causes(jobs: Iterable[Job], out: str) -> list[Cause]:
    """The causes among *jobs*, the most frequent first. *out* is the run folder as commands name it."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        if (key := trouble_of(job)) is not None:
            groups.setdefault(key, []).append(job)
    found = [_cause(key, group, out) for key, group in groups.items()]
    return sorted(found, key=lambda cause: (-len(cause.row_ids), cause.key))


def _cause(key: str, group: list[Job], out: str) -> Cause:
    state = group[0].state
    row_ids = tuple(job.row_id for job in group)
    names_rows = state is not State.IN_DOUBT and len(row_ids) <= _MOST_NAMED and all(map(_can_be_named, row_ids))
    return Cause(
        key=key,
        state=state,
        example=group[0].reason or "no reason given",
        row_ids=row_ids,
        billed=sum(job.billed not in (None, Billed.NO) for job in group),
        command=_command(state, row_ids if names_rows else (), out),
        names_rows=names_rows,
    )


def _command(state: State, row_ids: tuple[str, ...], out: str) -> str:
    """What goes on with *row_ids*, or with all if there are none. Doubtful ones are never simply sent again."""
    if state is State.IN_DOUBT:
        return shlex.join(["batchgen", "reconcile", out])
    return shlex.join(["batchgen", "retry", out, *(["--only", *row_ids] if row_ids else [])])


def _can_be_named(row_id: str) -> bool:
    """Not an id that reads as a flag, nor one that would show another command than it copies."""
    return row_id.isprintable() and not row_id.startswith("-")
