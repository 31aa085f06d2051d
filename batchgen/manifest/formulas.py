"""Cells that a spreadsheet could not compute, or was to compute: no text of a person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from batchgen.models import Fault
from batchgen.models.fault import shown

_BEGINNINGS = frozenset("#=LE")
_ERRORS = frozenset({
    "#REF!", "#NAME?", "#VALUE!", "#N/A", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!",
    "#CONNECT!", "#BUSY!", "#UNKNOWN!", "#GETTING_DATA", "#ERROR!", "#EXTERNAL!", "#PYTHON!", "#TIMEOUT!",
})  # fmt: skip
_LOADING = frozenset({"Loading...", "Loading…"})
_LIBRE_OFFICE = re.compile(r"Err:5\d\d")
_FORMULA = re.compile(r"=\s*(\"|[-+(]*[A-Za-z_][\w.]*\s*\(|[-+(]*\$?[A-Za-z]{1,3}\$?\d+\b|'?[\w ]+'?!)")
_HASHES = re.compile(r"#{4,}")


def uncomputed(fields: Mapping[str, Any]) -> list[Fault]:
    """A fault for each of *fields* that holds a spreadsheet's error or formula."""
    return [
        Fault(f"$.{name}", why)
        for name, cell in fields.items()
        if isinstance(cell, str) and cell[:1] in _BEGINNINGS and (why := _why(cell))
    ]


def _why(cell: str) -> str | None:
    text = cell.strip()
    if text in _ERRORS or _LIBRE_OFFICE.fullmatch(text):
        return f"{shown(text)} is an error of the spreadsheet, not a text; mend the cell and export again"
    if text in _LOADING:
        return f"{shown(text)} is what a spreadsheet shows before it has a cell's value; export again when it has"
    if _HASHES.fullmatch(text):
        return f"{shown(text)} is what a spreadsheet shows in a column that is too narrow; widen it and export again"
    if _FORMULA.match(text):
        return f"{shown(text)} is a formula, not its result; export the values of the sheet"
    return None
