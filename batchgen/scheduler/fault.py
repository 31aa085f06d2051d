"""Faults of our own: what nobody foresaw in one row's step ends that step, and is told; the run goes on."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from batchgen.core import log
from batchgen.core.job import Job, State

_NAMED = 5
_DONE_TO_IT = {State.SUBMITTED: "asked about", State.READY: "downloaded"}


def in_words(error: Exception) -> str:
    """What kind of fault, and where in batchgen. Its own text may hold objects, paths and links: it goes to the log."""
    frames = (
        frame.f_globals.get("__name__", "") + f":{line}" for frame, line in traceback.walk_tb(error.__traceback__)
    )
    places = [place for place in frames if place.startswith("batchgen.")]
    return f"a fault of batchgen's own, {type(error).__name__}" + (f" at {places[-1]}" if places else "")


class Faults:
    """Every fault of a run, a note for each kind and step; *notes* are what the run says of itself."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        self._rows: dict[tuple[str, str], list[str]] = {}
        self._note_of: dict[tuple[str, str], int] = {}

    def met(self, job: Job, error: Exception) -> None:
        """*job* goes no further in this run because of *error*."""
        what, step = in_words(error), _DONE_TO_IT.get(job.state, "sent")
        log.warn("fault", reason=what, traceback="".join(traceback.format_exception(error)))
        rows = self._rows.setdefault((what, step), [])
        rows.append(job.row_id)
        note = (
            f"{what}, while {_some(rows)} {'was' if len(rows) == 1 else 'were'} {step}: that went no further, nothing "
            "is sent twice, and the others go on; please report it, --log has all of it"
        )
        place = self._note_of.setdefault((what, step), len(self._notes))
        self._notes[place:] = [note, *self._notes[place + 1 :]]


def _some(row_ids: Sequence[str]) -> str:
    rest = len(row_ids) - _NAMED
    named = ", ".join(row_ids[:_NAMED])
    return f"{named} and {rest:,} more" if rest > 0 else named
