"""Review marks, as the run folder's `marks.jsonl` holds them: one a line, the last word counts."""

from __future__ import annotations

import json
from typing import TypeAlias

from batchgen.runfolder import RunFolder

Marks: TypeAlias = dict[tuple[str, str, str], str]
"""(row id, file name, sha256) to accepted or rejected: a mark holds for the bytes that were looked at."""


def read_marks(folder: RunFolder) -> Marks:
    """Every mark that was not taken back. What is no mark, such as a line half written, is passed over."""
    marks: Marks = {}
    path = folder.path / "marks.jsonl"
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            told = json.loads(line)
            output, mark = (told["row"], told["file"], told["sha256"]), told["mark"]
        except (ValueError, KeyError, TypeError):
            continue
        if mark in ("accepted", "rejected"):
            marks[output] = mark
        elif mark == "none":
            marks.pop(output, None)
    return marks
