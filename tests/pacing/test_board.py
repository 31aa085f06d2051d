"""One place knows what keeps rows from being sent: what opens, who tries, and what is told of it."""

from __future__ import annotations

from batchgen.scheduler.pacing import CircuitBoard, Position, Which


def told(breakers: CircuitBoard, now: float) -> list[str]:
    return [f"{one.which.value} {one.position.value}" for one in breakers.changes(now)]


def test_each_change_is_told_once() -> None:
    breakers = CircuitBoard(waits_for_balance=True)
    breakers.no_balance(100.0, 1.0, "empty")
    assert told(breakers, 100.0) == ["balance opened"]
    assert told(breakers, 101.0) == []
    assert told(breakers, 160.0) == ["balance half-open"]
    breakers.taken("model")
    assert told(breakers, 161.0) == ["balance closed"]
    assert breakers.states(161.0) == []


def test_an_open_breaker_keeps_its_beginning_and_tells_its_last_reason() -> None:
    breakers = CircuitBoard(waits_for_balance=True)
    breakers.no_balance(100.0, 1.0, "empty")
    told(breakers, 100.0)
    breakers.no_balance(160.0, 1.0, "still empty")
    (state,) = breakers.states(160.0)
    assert (state.since, state.reason, state.until) == (100.0, "still empty", 280.0)


def test_half_open_lets_one_row_try_and_holds_the_others() -> None:
    breakers = CircuitBoard(waits_for_balance=True)
    breakers.no_balance(100.0, 1.0, "empty")
    assert breakers.hold(159.9, sending=False, polling=True) is not None
    assert breakers.hold(160.0, sending=False, polling=True) is None
    assert breakers.hold(160.0, sending=True, polling=True) is not None


def test_a_single_lost_connection_pauses_for_a_moment_and_is_not_told() -> None:
    breakers = CircuitBoard()
    breakers.not_reached(100.0, 1.0, "reset")
    assert breakers.hold(100.1, sending=False, polling=True) is not None
    assert told(breakers, 100.1) == []
    breakers.not_reached(100.5, 1.0, "reset")
    assert told(breakers, 100.5) == ["provider opened"]


def test_four_errors_in_a_row_are_nothing_and_five_are_a_storm_that_one_answer_ends() -> None:
    breakers = CircuitBoard()
    for _ in range(4):
        breakers.server_error(100.0, "HTTP 502")
    assert breakers.states(100.0) == []
    breakers.server_error(100.0, "HTTP 502")
    (state,) = breakers.states(100.0)
    assert (state.which, state.position) == (Which.ERRORS, Position.HALF_OPEN)
    assert breakers.hold(100.0, sending=False, polling=True) is not None
    assert breakers.hold(100.0, sending=False, polling=False) is None  # nobody else asks: a row tries
    breakers.answered()
    assert breakers.states(100.0) == []


def test_a_missing_model_holds_its_own_rows_only_and_is_tried_again() -> None:
    breakers = CircuitBoard(waits_for_provider=True)
    breakers.no_model("gone", 100.0, 1.0, "no such model")
    assert breakers.hold(100.0, sending=True, polling=True) is None
    assert breakers.closed_to("gone", 100.0)
    assert not breakers.closed_to("other", 100.0)
    assert breakers.closed_models(100.0, sending=[]) == ["gone"]
    assert breakers.closed_models(160.0, sending=[]) == []
    assert breakers.closed_models(160.0, sending=["gone"]) == ["gone"]
    assert (breakers.models_given_up, CircuitBoard().models_given_up) == ([], [])


def test_without_the_flag_a_missing_model_is_no_reason_to_go_on() -> None:
    breakers = CircuitBoard()
    breakers.no_model("gone", 100.0, 1.0, "no such model")
    assert breakers.models_given_up == ["gone"]


def test_a_state_reads_as_a_sentence() -> None:
    breakers = CircuitBoard()
    breakers.disk_is_low(100.0, "only 3 MiB are free")
    (state,) = breakers.states(100.0)
    assert state.in_words(lambda at: f"{at:.0f}") == "disk nearly full since 100 (only 3 MiB are free): nothing is sent"
    assert state.as_json()["breaker"] == "disk"
