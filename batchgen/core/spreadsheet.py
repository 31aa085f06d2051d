"""Cells of a table that people open in a spreadsheet, which runs what looks like a formula. Pure.

A cell that begins as a formula does gets an apostrophe before it, as a person would type it. So does one that already
has apostrophes there, so that taking one away again gives every cell back as it was.
"""

from __future__ import annotations

import re
from typing import Any

_BEGINS_A_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def shown_as_text(cell: Any) -> Any:
    """*cell* so that a spreadsheet takes it for text; what is a number, or no text at all, stays as it is."""
    if isinstance(cell, str) and _BEGINS_A_FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def as_it_was(cell: str) -> str:
    """What a cell that `shown_as_text` made was made of."""
    return cell[1:] if cell.startswith("'") and _BEGINS_A_FORMULA.match(cell) else cell
