"""Rows that end for one cause, one after another: the model pauses, one row at a time is tried, the rest waits."""

from __future__ import annotations

import pytest

from batchgen.core.text import cause_of
from batchgen.scheduler.pacing import SameCauseBreaker

REASON = "HTTP 422: 'tall' is not one of the sizes (request 7b1c9e22-aa01-4f00-9b1e-aaaaaaaaaaaa)"


def failing(times: int, breaker: SameCauseBreaker | None = None, first: int = 0) -> SameCauseBreaker:
    breaker = breaker or SameCauseBreaker()
    for key in range(first, first + times):
        breaker.sent("model", key)
        breaker.failed("model", key, REASON)
    return breaker


def test_seven_in_a_row_close_nothing_and_after_the_eighth_one_row_at_a_time_is_tried() -> None:
    breaker = failing(7)
    breaker.sent("model", 100)
    assert breaker.closed == {}
    failing(1, breaker, first=7)
    assert breaker.closed == {}
    breaker.sent("model", 101)
    assert list(breaker.closed) == ["model"]
    assert breaker.trying


def test_a_success_between_starts_the_count_anew() -> None:
    breaker = failing(7)
    breaker.succeeded("model")
    failing(7, breaker, first=7)
    breaker.sent("model", 100)
    assert breaker.closed == {}


def test_another_cause_between_starts_the_count_anew() -> None:
    breaker = failing(7)
    breaker.failed("model", 50, "out of memory")
    failing(7, breaker, first=60)
    breaker.sent("model", 100)
    assert breaker.closed == {}


def test_a_trial_that_ends_well_opens_the_model() -> None:
    breaker = failing(8)
    breaker.sent("model", 100)
    breaker.succeeded("model")
    assert breaker.closed == {}
    assert not breaker.trying


def test_three_trials_for_the_same_cause_close_the_model_for_this_run() -> None:
    breaker = failing(8)
    told = []
    for key in (100, 101, 102):
        breaker.sent("model", key)
        told.append(breaker.failed("model", key, REASON))
    assert told == [None, None, cause_of(REASON)]
    assert list(breaker.closed) == ["model"]
    assert not breaker.trying


def test_a_trial_that_ends_for_another_cause_opens_the_model() -> None:
    breaker = failing(8)
    breaker.sent("model", 100)
    assert breaker.failed("model", 100, "out of memory") is None
    assert breaker.closed == {}


def test_rows_that_were_sent_before_the_model_closed_decide_nothing_by_failing() -> None:
    breaker = failing(8)
    breaker.sent("model", 100)
    for key in range(8, 60):
        assert breaker.failed("model", key, REASON) is None
    assert breaker.trying


def test_a_trial_row_that_came_back_unsent_leaves_its_place_to_another() -> None:
    breaker = failing(8)
    breaker.sent("model", 100)
    breaker.undecided("model", 100)
    assert breaker.closed == {}
    breaker.sent("model", 101)
    assert breaker.trying


def test_another_model_goes_on() -> None:
    breaker = failing(8)
    breaker.sent("model", 100)
    breaker.sent("another", 101)
    assert list(breaker.closed) == ["model"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("image 3 of row 17 is too large", "image 1 of row 4 is too large"),
        ("cannot fetch https://example.com/a.png?x=1", "cannot fetch https://example.com/b.png"),
        ("'tall' is not a size", "'wide' is not a size"),
        ("request 7b1c9e22-aa01-4f00-9b1e-aaaaaaaaaaaa failed", "request 00000000-bb01-4f00-9b1e-bbbbbbbbbbbb failed"),
    ],
)
def test_a_cause_is_a_reason_without_what_differs_from_row_to_row(one: str, other: str) -> None:
    assert cause_of(one) == cause_of(other)


def test_two_causes_stay_two() -> None:
    assert cause_of("the prompt was rejected") != cause_of("out of memory")
