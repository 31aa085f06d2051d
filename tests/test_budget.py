"""What is reserved, charged and still allowed, at both sides of each limit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.job import Billed, Job, State
from batchgen.core.money import MICRO, NOTHING, Money, Price, cost_report, dollars, may_reserve, micro, money, usd


def job(state: State, **known: Any) -> Job:
    return Job(1, "dune", 1, state, "model", {}, (), "f" * 64, **known)


@pytest.mark.parametrize(
    ("told", "amount"),
    [
        (0, 0),
        (2.85, 2_850_000),
        ("0.04", 40_000),
        (Decimal("0.0000001"), 1),  # rounded up: never less than what is charged
        (0.1 + 0.2, 300_001),
        (10, 10 * MICRO),
        (-0.01, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ("free", None),
        ([1], None),
    ],
)
def test_an_amount_is_whole_micro_dollars_or_it_is_unknown(told: object, amount: int | None) -> None:
    assert micro(told) == amount


@given(st.integers(0, 10**12))
def test_dollars_and_micro_dollars_are_the_same_money(amount: int) -> None:
    assert micro(usd(amount)) == amount


@pytest.mark.parametrize(
    ("state", "known", "expected"),
    [
        (State.PENDING, {"estimate_micro": 40}, NOTHING),
        (State.SUBMITTING, {"estimate_micro": 40}, Money(reserved=40)),
        (State.IN_DOUBT, {"estimate_micro": 40}, Money(reserved=40)),
        (State.SUBMITTED, {"estimate_micro": 40}, Money(reserved=40)),
        (State.READY, {"estimate_micro": 40, "cost_micro": 30}, Money(reserved=30)),
        (State.READY, {"estimate_micro": 40, "cost_micro": 50}, Money(reserved=50)),
        (State.COLLECTED, {"estimate_micro": 40}, Money(charged=40)),
        (State.COLLECTED, {"estimate_micro": 40, "cost_micro": 30}, Money(charged=30)),
        (State.COLLECTED, {"estimate_micro": 40, "cost_micro": 0}, Money()),
        (State.FAILED, {"estimate_micro": 40, "billed": Billed.NO}, NOTHING),
        (State.FAILED, {"estimate_micro": 40, "billed": Billed.YES}, Money(charged=40)),
        (State.FAILED, {"estimate_micro": 40, "billed": Billed.UNKNOWN}, Money(charged=40)),
        (State.FAILED, {"estimate_micro": 40, "billed": Billed.POSSIBLY}, Money(possibly=40)),
        (State.CANCELLED, {"estimate_micro": 40, "billed": Billed.YES}, Money(charged=40)),
        (State.SUBMITTED, {}, Money(unpriced=1)),
        (State.COLLECTED, {}, Money(unpriced=1)),
    ],
)
def test_a_job_counts_as_what_it_is_known_to_cost(state: State, known: dict[str, Any], expected: Money) -> None:
    assert money(job(state, **known)) == expected


def test_sums_add_and_take_away() -> None:
    some = Money(1, 2, 3, 4)
    assert some + Money(10, 20, 30, 40) - Money(1, 1, 1, 1) == Money(10, 21, 32, 43)
    assert some.committed == 6


@pytest.mark.parametrize(
    ("price_micro", "budget_micro", "allowed"),
    [
        (40, 100, True),
        (41, 100, False),
        (0, 60, True),
        (1, 60, False),
        (10**9, None, True),
        (None, None, True),
        (None, 10**9, False),
    ],
)
def test_a_request_may_reach_the_budget_and_not_pass_it(
    price_micro: int | None, budget_micro: int | None, allowed: bool
) -> None:
    assert may_reserve(Money(charged=30, reserved=20, possibly=10), price_micro, budget_micro) is allowed


def test_nothing_is_reserved_while_something_was_sent_at_an_unknown_price() -> None:
    assert may_reserve(Money(charged=30, unpriced=1), 0, 10**9) is False
    assert may_reserve(Money(charged=30, unpriced=1), None, None) is True


def test_the_reserve_is_the_highest_price_for_the_units_asked() -> None:
    assert Price(20_000, 30_000).reserve_micro(3) == 90_000
    assert Price(None, None).reserve_micro(3) is None


def test_a_request_of_which_nobody_knows_the_units_has_no_price_and_tells_none() -> None:
    price = Price(20_000, 30_000)
    assert price.reserve_micro(0) is None
    assert price.having_seen(4_500_000, 0) is price


def test_a_price_beyond_all_sense_is_unknown_and_breaks_no_sum() -> None:
    assert Price(10**9, 10**9).reserve_micro(10**6) == 10**15
    assert Price(10**9, 10**9).reserve_micro(10**6 + 1) is None


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0.3, "$0.30"), (0.00011, "$0.0002"), (0.0001, "$0.0001"), (1234.56789, "$1,234.5679"), (1e-06, "$0.0001")],
)
def test_an_amount_is_never_shown_as_less_than_it_is(amount: float, shown: str) -> None:
    assert dollars(amount) == shown


def test_a_cost_above_the_reserve_raises_it_at_once_and_a_lower_one_never_lowers_it() -> None:
    price = Price(20_000, 20_000)
    assert price.having_seen(60_000, 3) is price
    raised = price.having_seen(60_001, 3)  # a fraction of a micro-dollar over 20,000 each
    assert raised.highest_unit_micro == 20_001
    assert raised.having_seen(3, 3) is raised
    assert raised.unit_micro == 20_000


def test_an_unknown_price_is_learned_from_the_first_cost() -> None:
    assert Price(None, None).having_seen(90_000, 3).reserve_micro(2) == 60_000


@given(st.integers(0, 10**9), st.integers(1, 15))
def test_what_was_seen_once_is_reserved_for_the_same_again(cost_micro: int, units: int) -> None:
    reserve = Price(1, 1).having_seen(cost_micro, units).reserve_micro(units)
    assert reserve is not None
    assert reserve >= cost_micro


def test_the_report_is_in_dollars_and_says_null_for_no_budget() -> None:
    assert cost_report(Money(1_500_000, 40_000, 1), None) == {
        "charged": 1.5,
        "reserved": 0.04,
        "possibly": 0.000001,
        "budget": None,
    }
