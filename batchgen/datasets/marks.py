"""Review marks, as the run folder's `marks.jsonl` holds them: one JSON object a line, the last word counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from batchgen.exits import Refusal

MARKS = "marks.jsonl"


class MarksUnreadable(Refusal):
    """A line of marks.jsonl is not a mark."""


class Marks:
    """What people said of outputs: by row and file name, or of a whole row."""

    def __init__(self, marks: Mapping[tuple[str, str | None], str]) -> None:
        self._marks = marks

    def of(self, row_id: str, file_name: str) -> str:
        """The mark of one output, its row's if it has none of its own, else nothing."""
        return self._marks.get((row_id, file_name)) or self._marks.get((row_id, None)) or ""


def read_marks(path: Path) -> Marks:
    """The marks in *path*: lines `{"row": …, "file": …, "mark": …}`, where no file means all outputs of the row.

    A torn last line is passed over: somebody may be marking just now.
    """
    marks: dict[tuple[str, str | None], str] = {}
    if not path.exists():
        return Marks(marks)
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith("\n") or not line.strip():
                continue
            try:
                told = json.loads(line)
                marks[told["row"], told.get("file")] = told["mark"] or ""
            except (ValueError, KeyError, TypeError, AttributeError):
                raise MarksUnreadable(
                    f'{path}:{number}: this is not a mark; a mark is {{"row": …, "file": …, "mark": …}}'
                ) from None
    return Marks(marks)
