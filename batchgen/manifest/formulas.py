"""Cells that a spreadsheet could not compute, or was to compute: no text of a person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from batchgen.models import Fault
from batchgen.models.fault import shown

_BEGINNINGS = frozenset("#=LE")
_ERROR = re.compile(r"#[¡¿]?(?=[^\W\d_])[^\Wa-z]+(?:[ /.][^\Wa-z]+){0,3}[!?]|#N/[AD]|#N[VD]|#GETTING_DATA")
"""As Excel, Sheets and LibreOffice write them, each in the language of its user: #REF!, #BEZUG!, #¿NOMBRE?"""
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
    if _ERROR.fullmatch(text) or _LIBRE_OFFICE.fullmatch(text):
        return f"{shown(text)} is an error of the spreadsheet, not a text; mend the cell and export again"
    if text in _LOADING:
        return f"{shown(text)} is what a spreadsheet shows before it has a cell's value; export again when it has"
    if _HASHES.fullmatch(text):
        return f"{shown(text)} is what a spreadsheet shows in a column that is too narrow; widen it and export again"
    if _FORMULA.match(text):
        return f"{shown(text)} is a formula, not its result; export the values of the sheet"
    return None
