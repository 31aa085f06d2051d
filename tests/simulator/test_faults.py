"""The fault plan: what it reads, when it strikes, and that it can be replayed."""

import re

import pytest

from batchgen.simulator.faults import FAULTS, FaultPlan, FaultProblem


def struck(plan: FaultPlan, kind: str, occasions: int) -> list[int]:
    """The occasions, from 1, on which something strikes."""
    return [n for n in range(1, occasions + 1) if plan.strike(kind, f"body {n}", 0)]


@pytest.mark.parametrize(
    ("when", "expected"), [("#3", [3]), ("#3-5", [3, 4, 5]), ("x2", [1, 2]), ("0%", []), ("100%", list(range(1, 8)))]
)
def test_an_occasion_is_hit_exactly(when: str, expected: list[int]) -> None:
    assert struck(FaultPlan.parse(f"submit.drop_reply={when}", 0), "submit", 7) == expected


def test_a_share_strikes_about_that_often_and_the_same_ones_again() -> None:
    first = struck(FaultPlan.parse("status.5xx=2%", 7), "status", 10_000)
    assert 150 <= len(first) <= 250
    assert struck(FaultPlan.parse("status.5xx=2%", 7), "status", 10_000) == first
    assert struck(FaultPlan.parse("status.5xx=2%", 8), "status", 10_000) != first


def test_the_dice_hang_on_what_is_asked_about_not_on_the_order() -> None:
    forwards, backwards = (FaultPlan.parse("download.404=30%", 1) for _ in range(2))
    names = [str(n) for n in range(200)]
    hit = {name for name in names if forwards.strike("download", name, 0)}
    assert {name for name in reversed(names) if backwards.strike("download", name, 0)} == hit


def test_the_next_attempt_at_the_same_thing_is_rolled_for_anew() -> None:
    plan = FaultPlan.parse("result.5xx=50%", 3)
    assert {bool(plan.strike("result", "one id", nth)) for nth in range(20)} == {True, False}


def test_an_argument_follows_a_colon() -> None:
    strike = FaultPlan.parse("submit.slow=100%:250ms", 0).strike("submit", "body", 0)
    assert strike is not None
    assert strike.wait_s() == 0.25


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("submit.drop_replay=1%", "did you mean submit.drop_reply?"),
        ("result.late_cost=1%", "did you mean job.late_cost?"),
        ("output.fewer=1%", "did you mean job.fewer?"),
        ("expires=60s", "did you mean expire?"),
        ("submit.5xx_after", "has no value"),
        ("submit.5xx_after=2", "write a share like 2%"),
        ("submit.5xx_after=101%", "write a share like 2%"),
        ("expire=soon", "is not a duration"),
        ("latency=normal:2s", "is not a job time"),
        ("words=french", "write one of documented, mixed"),
        ("job.late_cost=1%:long", "whole number of reads"),
    ],
)
def test_a_plan_that_cannot_be_read_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(FaultProblem, match=re.escape(says)):
        FaultPlan.parse(text, 0)


def test_all_problems_of_a_plan_come_together() -> None:
    with pytest.raises(FaultProblem, match=r"nope.*words=x"):
        FaultPlan.parse("nope=1%,words=x", 0)


def test_every_known_fault_can_be_asked_for() -> None:
    plan = FaultPlan.parse(",".join(f"{name}=1%" for name in FAULTS), 0)
    assert sum(len(rules) for rules in plan.rules.values()) == len(FAULTS)
