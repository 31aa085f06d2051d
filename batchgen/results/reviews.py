"""Review marks: what a person thought of each output, append-only in `marks.jsonl`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from batchgen.core.job import State
from batchgen.state import Reader, open_reader
from batchgen.storage.paths import RunFolder

Mark: TypeAlias = Literal["accepted", "rejected", "unsure", "none"]
"""`none` takes an earlier mark back."""

MARKS: tuple[str, ...] = get_args(Mark)

Output: TypeAlias = tuple[str, str, str]
"""Row id, file name, sha256: a mark holds for the bytes that were looked at."""

Marked: TypeAlias = dict[Output, str]
"""The latest mark of each output; outputs whose mark was taken back are not in it."""


def marks_file(folder: RunFolder) -> Path:
    return folder.path / "marks.jsonl"


def each_mark(folder: RunFolder) -> Iterator[tuple[Output, str]]:
    """Every mark in the order it was made. A line that was torn by a crash, or that is no mark, is passed over."""
    try:
        stream = folder.reading(marks_file(folder))
    except FileNotFoundError:
        return
    with stream:
        for line in stream:
            try:
                told = json.loads(line)
                output, mark = (told["row"], told["file"], told["sha256"]), told["mark"]
            except (ValueError, KeyError, TypeError):
                continue
            if mark in MARKS:
                yield output, mark


def read_marks(folder: RunFolder) -> Marked:
    """Every output that is marked."""
    marked: Marked = {}
    for output, mark in each_mark(folder):
        if mark == "none":
            marked.pop(output, None)
        else:
            marked[output] = mark
    return marked


def append_mark(folder: RunFolder, row_id: str, file: str, sha256: str, mark: Mark, at: float) -> None:
    """Return once the mark is on disk. After a torn line it begins a line of its own."""
    path = marks_file(folder)
    fresh = folder.stat(path) is None
    line = json.dumps({"at": at, "row": row_id, "file": file, "sha256": sha256, "mark": mark}, ensure_ascii=False)
    with folder.writing(path, "a+b") as stream:
        if stream.seek(0, os.SEEK_END) and (stream.seek(-1, os.SEEK_END), stream.read(1))[1] != b"\n":
            stream.write(b"\n")
        stream.write(line.encode("utf-8", "replace") + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    if fresh:
        folder.sync(folder.path)


def rejected_rows(folder: RunFolder) -> set[str]:
    """Rows of *folder* with a rejected output among the files they have now, or had when their new attempt was begun.

    A mark holds for the bytes that were looked at: a row that was made anew since counts as not yet reviewed.
    """
    rejected = {output for output, mark in read_marks(folder).items() if mark == "rejected"}
    if not rejected:
        return set()
    row_ids = {row_id for row_id, _, _ in rejected}
    with closing(open_reader(folder)) as reader:
        begun = [job.row_id for job in reader.jobs([State.PENDING], row_ids) if job.n > 1]
        came_from = [job for row_id in begun for job in reader.attempts(row_id)[-2:-1]]
        looked_at = [*reader.jobs([State.COLLECTED], row_ids), *came_from]
    return {job.row_id for job in looked_at for file in job.saved if (job.row_id, file.name, file.sha256) in rejected}


def accepted_outputs(
    folder: RunFolder, reader: Reader, among: Callable[[Collection[str]], Collection[str]]
) -> dict[str, int]:
    """How many accepted outputs rows have, all their attempts together; *among* chooses from the rows that are marked.

    A mark holds for the bytes that were looked at: one of a file that no attempt has is none.
    """
    accepted = {output for output, mark in read_marks(folder).items() if mark == "accepted"}
    if not accepted:
        return {}
    counts = {
        row_id: sum(
            (row_id, file.name, file.sha256) in accepted for job in reader.attempts(row_id) for file in job.saved
        )
        for row_id in among({row_id for row_id, _, _ in accepted})
    }
    return {row_id: count for row_id, count in counts.items() if count}
