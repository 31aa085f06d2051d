"""The columns of a data set: what each is called, holds and means. The same in every format and in `records`.

Text that is absent is empty, never null; a number that is absent is null. Inputs and `meta.*` are open: a data set
has a column for every name its run has, always text, and what is not text (numbers, lists) stands as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from batchgen.core.job import Job, SavedFile
from batchgen.core.money import usd
from batchgen.core.row import json_encoder, published_input
from batchgen.core.text import prompt_of
from batchgen.results.export.sources import Source

Record: TypeAlias = dict[str, Any]
"""One line of a data set: a value, or None, by column."""


class Column(NamedTuple):
    kind: Literal["text", "whole", "decimal"]
    meaning: str


COLUMNS: Mapping[str, Column] = {
    "row_id": Column("text", "the row of the manifest"),
    "attempt": Column("whole", "which attempt at the row made it, from 1"),
    "output": Column("whole", "which output of the request it is, from 0"),
    "file": Column("text", "where the original lies, relative to the run folder"),
    "split": Column("text", "the part of the data set it belongs to"),
    "caption": Column("text", "the caption: the prompt, unless another was asked for"),
    "prompt": Column("text", "the prompt as it was sent"),
    "model": Column("text", "the model that made it"),
    "seed": Column("whole", "the seed that was asked for"),
    "request_id": Column("text", "the provider's name for the request"),
    "fingerprint": Column("text", "hash of the request"),
    "outputs": Column("whole", "how many outputs the request has"),
    "cost_usd": Column("decimal", "its share of the request's measured cost, so that sums are right"),
    "bytes": Column("whole", "size of the file"),
    "width": Column("whole", "pixels as shown, null where they are not known"),
    "height": Column("whole", "pixels as shown, null where they are not known"),
    "blank": Column("whole", "1 if all of it has one colour, 0 if not, null where it was not decoded"),
    "media_type": Column("text", "what the file is, by its content"),
    "sha256": Column("text", "hash of the file, the same as in the run folder"),
    "source_file": Column("text", "for an edit: the local input it was made from, as the manifest names it"),
    "source_sha256": Column("text", "for an edit: hash of that input"),
    "review": Column("text", "the review mark, such as accepted or rejected"),
    "generated_at": Column("text", "when the provider ended the job, UTC"),
}
OPEN = ("input.", "meta.")
"""Beginnings of the open columns: one for each field of the request and each `meta.` column of the manifest."""

as_json = json_encoder()
"""One encoder for every line of every file: to make one for each line takes as long as the line."""

_INT64 = 2**63


def column(name: str) -> Column:
    """What the column *name* is, the open ones included."""
    if name.startswith(OPEN):
        beginning, _, rest = name.partition(".")
        return Column("text", f"the request's {rest}" if beginning == "input" else f"the manifest's {name}")
    return COLUMNS[name]


def in_order(open_names: Iterable[str]) -> list[str]:
    """All columns of a data set with these open ones."""
    return [*COLUMNS, *sorted(open_names)]


def blank(columns: Iterable[str]) -> Record:
    """A line in which every one of *columns* is absent."""
    return {name: "" if column(name).kind == "text" else None for name in columns}


def record_of(job: Job, index: int, file: SavedFile, source: Source | None, review: str, place: str) -> Record:
    """The line of one output, which lies at *place* in the run folder. It is in no split yet and captioned by its
    prompt; open columns that its row does not have are left out.
    """
    prompt = prompt_of(job.input)
    record: Record = {
        "row_id": job.row_id,
        "attempt": job.n,
        "output": index,
        "file": place,
        "split": "",
        "caption": prompt,
        "prompt": prompt,
        "model": job.model,
        "seed": _seed(job.input.get("seed")),
        "request_id": job.request_id or "",
        "fingerprint": job.fingerprint,
        "outputs": len(job.saved),
        "cost_usd": None if job.cost_micro is None else (usd(job.cost_micro) or 0.0) / len(job.saved),
        "bytes": file.bytes,
        "width": file.width,
        "height": file.height,
        "blank": int(file.blank) if file.checked == "decoded" else None,
        "media_type": file.media_type,
        "sha256": file.sha256,
        "source_file": source.name if source else "",
        "source_sha256": source.sha256 if source else "",
        "review": review,
        "generated_at": _utc(job.ended_at),
    }
    for name, value in job.input.items():
        record[f"input.{name}"] = _text(published_input(value))
    for name, value in job.meta.items():
        record[f"meta.{name}"] = _text(value)
    return record


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else as_json(value)


def _seed(value: Any) -> int | None:
    """Seeds that no table can hold stay in `input.seed`."""
    return value if type(value) is int and -_INT64 <= value < _INT64 else None


def _utc(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
