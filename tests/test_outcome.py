"""One exit code for a run: the first that applies, in the order that is promised."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from batchgen.core.errors import Exit
from batchgen.core.job import State
from batchgen.core.money import Money
from batchgen.providers.contract import Cause
from batchgen.runner.outcome import Report, exit_code

IN_ORDER = [9, 3, 4, 5, 6, 75, 7, 130, 1, 0]
CAUSES = {9: Cause.DISK, 3: Cause.TOKEN, 4: Cause.BALANCE, 5: Cause.PROVIDER, 6: Cause.BUDGET}


def counts(**rows: int) -> dict[State, int]:
    return {state: rows.get(state.value, 0) for state in State}


def code(rows: dict[str, int], cause: Cause | None = None, by_user: bool = False, missing: bool = False) -> int:
    """The exit code; *rows* by state, and `unsent` for those in scope that could not be sent."""
    return int(exit_code(counts(**rows), cause, by_user, model_missing=missing, unsent="unsent" in rows))


@pytest.mark.parametrize(("expected", "cause"), CAUSES.items())
def test_what_stopped_a_run_goes_before_how_its_rows_stand(expected: int, cause: Cause) -> None:
    assert code({"in_doubt": 1, "submitted": 1, "failed": 1}, cause, by_user=True) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({"in_doubt": 1, "submitted": 1, "failed": 1}, 75),
        ({"in_doubt": 1, "ready": 1}, 75),
        ({"in_doubt": 1, "failed": 1, "pending": 1, "unsent": 1}, 7),
        ({"submitting": 1, "failed": 1}, 75),
        ({"submitted": 1, "failed": 1}, 75),
        ({"ready": 1, "cancelled": 1}, 75),
        ({"failed": 1, "collected": 1}, 1),
        ({"cancelled": 1, "collected": 1}, 1),
        ({"unsent": 1, "pending": 1}, 1),
        ({"collected": 1}, 0),
        ({"collected": 1, "pending": 1}, 0),
        ({}, 0),
    ],
)
def test_a_run_that_came_to_its_end_is_told_by_its_rows(rows: dict[str, int], expected: int) -> None:
    assert code(rows) == expected


@pytest.mark.parametrize(("rows", "expected"), [({"in_doubt": 1}, 7), ({"submitted": 1}, 75), ({"failed": 1}, 130)])
def test_a_user_who_stopped_it_is_told_what_is_still_live_first(rows: dict[str, int], expected: int) -> None:
    assert code(rows, by_user=True) == expected


def test_a_missing_model_goes_before_the_budget_and_after_the_account() -> None:
    assert code({"in_doubt": 1}, missing=True) == 5
    assert code({}, Cause.BUDGET, missing=True) == 5
    assert code({}, Cause.BALANCE, missing=True) == 4


def test_every_combination_gives_the_first_of_its_codes() -> None:
    for cause, missing, doubt, live, by_user, failed in product([None, *Cause], *[[False, True]] * 5):
        applies = {0} | {number for number, known in CAUSES.items() if known is cause}
        applies |= {number for number, on in {5: missing, 7: doubt, 75: live, 130: by_user, 1: failed}.items() if on}
        expected = min(applies, key=IN_ORDER.index)
        got = code({"in_doubt": int(doubt), "submitted": int(live), "failed": int(failed)}, cause, by_user, missing)
        assert got == expected, (cause, missing, doubt, live, by_user, failed)


def test_a_report_names_every_state_its_exit_and_its_money() -> None:
    ran = Report(Path("out"), counts(in_doubt=1), ["a"], Money(possibly=40_000), 10**6, Exit.IN_DOUBT)
    told = ran.as_json()
    assert set(told["rows"]) == {state.value for state in State}
    assert (told["exit"], told["out"], told["in_doubt"]) == (7, "out", ["a"])
    assert told["cost"] == {"charged": 0.0, "reserved": 0.0, "possibly": 0.04, "budget": 1.0}
