"""Cells that a spreadsheet would run are shown as text, and come back as they were."""

from __future__ import annotations

import pytest

from batchgen.core.spreadsheet import as_it_was, shown_as_text

FORMULAS = ["=1+1", "+cmd|'/C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "-", "--", "'=1", "''@x"]
TEXTS = ["", "a = b", "-1", "+1.5e3", "-.5", "'tis", "'", "it's", "007", " =1", "1-2", "…"]


@pytest.mark.parametrize("cell", FORMULAS)
def test_what_begins_as_a_formula_gets_an_apostrophe(cell: str) -> None:
    assert shown_as_text(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", [*TEXTS, None, -1, -2.5, True])
def test_everything_else_stays_as_it_is(cell: object) -> None:
    assert shown_as_text(cell) == cell


@pytest.mark.parametrize("cell", [*FORMULAS, *TEXTS, "'=1'", "'''"])
def test_every_cell_comes_back_as_it_was(cell: str) -> None:
    assert as_it_was(shown_as_text(cell)) == cell
