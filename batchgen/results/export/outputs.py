"""Which outputs a run has for a data set: those of its rows as they stand, and what was accepted before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from batchgen.core.job import Job, SavedFile
from batchgen.state import Reader
from batchgen.storage.paths import RunFolder

ReviewOf: TypeAlias = Callable[[str, str, str], str]
"""The review mark of an output by its row id, file name and sha256; empty without one."""


class Made(NamedTuple):
    """One output, the *number*th of its attempt from 0. *place* is where it lies now, relative to the run folder."""

    job: Job
    number: int
    file: SavedFile
    review: str
    place: str


def outputs(folder: RunFolder, reader: Reader, review_of: ReviewOf) -> Iterator[Made]:
    """In manifest order. An output that was accepted stays one, whatever later attempts at its row bring."""
    for job, is_latest in reader.collected():
        for number, file in enumerate(job.saved):
            review = review_of(job.row_id, file.name, file.sha256)
            if is_latest or review == "accepted":
                yield Made(job, number, file, review, place_of(folder, job.row_id, job.n, file.name))


def place_of(folder: RunFolder, row_id: str, n: int, name: str) -> str:
    """Where a file of attempt *n* lies: in its row's folder, or with the earlier attempts once a newer one took that
    place. Relative to *folder*, in plain text: a data set has many.
    """
    aside = f"attempts/{row_id}/{n}/{name}"
    return aside if folder.is_file(f"{folder.path}/{aside}") else f"rows/{row_id}/{name}"
