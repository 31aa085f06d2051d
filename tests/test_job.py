"""The table of states: every legal move goes, every other is refused and changes nothing."""

from __future__ import annotations

from copy import deepcopy
from typing import get_args

import pytest

from batchgen.core.job import (
    ENDED,
    RESERVED,
    TRANSITIONS,
    Accepted,
    Adopted,
    Billed,
    Collected,
    ContactLost,
    CostKnown,
    Deferred,
    Event,
    FilesLost,
    GivenUp,
    IllegalMove,
    Intent,
    Job,
    JobCancelled,
    JobFailed,
    LinksExpired,
    Output,
    PriceKnown,
    Refused,
    SavedFile,
    State,
    Succeeded,
    TakenBack,
    advance,
)

SAVED = SavedFile("images-00.png", 3, "ab", "image/png", 1, 1)
OUTPUT = Output("images", "https://files.example/a.png")
EVENTS: dict[type, Event] = {
    type(event): event
    for event in (
        Intent(10.0, 40_000),
        Accepted(11.0, "id-1"),
        Deferred(11.0, "busy", 41.0),
        Refused(11.0, "a bad field"),
        ContactLost(11.0, "reset"),
        Adopted(12.0, "id-2"),
        GivenUp(12.0, "nobody found it"),
        Succeeded(20.0, (OUTPUT,), 50_000),
        JobFailed(20.0, "the model refused", Billed.YES, None),
        JobCancelled(20.0, "cancelled", 0),
        LinksExpired(21.0),
        Collected(22.0, (SAVED,)),
        TakenBack(22.5, (SAVED,), None),
        FilesLost(23.0, "images-00.png is missing"),
        CostKnown(24.0, 60_000),
        PriceKnown(24.0, 50_000),
    )
}

# The design's table of states, written a second time on purpose.
LEGAL: dict[State, dict[type, State]] = {
    State.PENDING: {Intent: State.SUBMITTING, Refused: State.FAILED},
    State.SUBMITTING: {
        Accepted: State.SUBMITTED,
        Deferred: State.PENDING,
        Refused: State.FAILED,
        ContactLost: State.IN_DOUBT,
    },
    State.IN_DOUBT: {Adopted: State.SUBMITTED, GivenUp: State.FAILED, PriceKnown: State.IN_DOUBT},
    State.SUBMITTED: {
        Succeeded: State.READY,
        JobFailed: State.FAILED,
        JobCancelled: State.CANCELLED,
        CostKnown: State.SUBMITTED,
        PriceKnown: State.SUBMITTED,
    },
    State.READY: {
        Collected: State.COLLECTED,
        LinksExpired: State.SUBMITTED,
        JobFailed: State.FAILED,
        CostKnown: State.READY,
        PriceKnown: State.READY,
    },
    State.COLLECTED: {
        Collected: State.COLLECTED,
        TakenBack: State.COLLECTED,
        FilesLost: State.SUBMITTED,
        CostKnown: State.COLLECTED,
        PriceKnown: State.COLLECTED,
    },
    State.FAILED: {TakenBack: State.COLLECTED, CostKnown: State.FAILED, PriceKnown: State.FAILED},
    State.CANCELLED: {CostKnown: State.CANCELLED, PriceKnown: State.CANCELLED},
}


def job(state: State) -> Job:
    request_id = None if state in (State.PENDING, State.SUBMITTING, State.IN_DOUBT) else "id-1"
    return Job(1, "dune", 1, state, "model", {"text": "dune"}, (), "f" * 64, request_id=request_id)


def test_the_sample_has_every_event_there_is() -> None:
    assert set(EVENTS) == set(get_args(Event))


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("state", State)
def test_a_move_goes_where_the_table_says_or_is_refused_and_changes_nothing(state: State, kind: type) -> None:
    before = job(state)
    kept = deepcopy(before)
    to = LEGAL[state].get(kind)
    if to is None:
        with pytest.raises(IllegalMove, match="dune"):
            advance(before, EVENTS[kind])
    else:
        assert advance(before, EVENTS[kind]).state is to
    assert before == kept


def test_the_code_has_exactly_these_moves() -> None:
    assert dict(TRANSITIONS) == {(state, kind): to for state, moves in LEGAL.items() for kind, to in moves.items()}


@pytest.mark.parametrize("state", sorted(ENDED))
def test_nothing_brings_an_ended_job_back_to_the_wire(state: State) -> None:
    assert all(to not in (State.PENDING, State.SUBMITTING) for (at, _), to in TRANSITIONS.items() if at is state)


def test_a_job_that_may_have_been_accepted_never_becomes_pending_again() -> None:
    accepted = {State.IN_DOUBT, State.SUBMITTED, State.READY, State.COLLECTED, State.FAILED, State.CANCELLED}
    assert [at for (at, _), to in TRANSITIONS.items() if to is State.PENDING] == [State.SUBMITTING]
    assert not any(to is State.SUBMITTING for (at, _), to in TRANSITIONS.items() if at in accepted)


def test_a_cost_belongs_only_to_a_job_with_an_id() -> None:
    refused = advance(job(State.PENDING), EVENTS[Refused])
    with pytest.raises(IllegalMove):
        advance(refused, EVENTS[CostKnown])


def test_a_price_that_became_known_sets_the_reserve_once_and_never_of_a_refused_job() -> None:
    priced = advance(job(State.SUBMITTED), EVENTS[PriceKnown])
    assert (priced.estimate_micro, priced.cost_micro) == (50_000, None)
    with pytest.raises(IllegalMove):
        advance(priced, EVENTS[PriceKnown])
    with pytest.raises(IllegalMove):
        advance(advance(job(State.PENDING), EVENTS[Refused]), EVENTS[PriceKnown])


def test_an_intent_sets_the_price_aside_and_forgets_why_the_row_had_waited() -> None:
    waiting = advance(advance(job(State.PENDING), EVENTS[Intent]), EVENTS[Deferred])
    assert (waiting.reason, waiting.again_at) == ("busy", 41.0)
    sending = advance(waiting, Intent(50.0, 40_000))
    assert (sending.intent_at, sending.estimate_micro, sending.reason, sending.again_at) == (50.0, 40_000, None, None)


@pytest.mark.parametrize(
    ("state", "kind", "billed"),
    [
        (State.PENDING, Refused, Billed.NO),
        (State.SUBMITTING, Refused, Billed.NO),
        (State.IN_DOUBT, GivenUp, Billed.POSSIBLY),
        (State.SUBMITTED, JobFailed, Billed.YES),
        (State.SUBMITTED, JobCancelled, Billed.YES),
    ],
)
def test_an_ending_says_whether_it_was_billed(state: State, kind: type, billed: Billed) -> None:
    assert advance(job(state), EVENTS[kind]).billed is billed


def test_an_absent_cost_leaves_the_one_that_was_known() -> None:
    ready = advance(job(State.SUBMITTED), EVENTS[Succeeded])
    asked_again = advance(ready, EVENTS[LinksExpired])
    assert advance(asked_again, Succeeded(30.0, (OUTPUT,), None)).cost_micro == 50_000


def test_lost_files_are_forgotten_and_the_id_is_kept() -> None:
    collected = advance(advance(job(State.SUBMITTED), EVENTS[Succeeded]), EVENTS[Collected])
    again = advance(collected, EVENTS[FilesLost])
    assert (again.saved, again.outputs, again.collected_at, again.request_id) == ((), (), None, "id-1")


def test_a_collected_row_says_what_it_lacks_until_that_has_come() -> None:
    lacks = advance(job(State.READY), Collected(22.0, (SAVED,), "images-01: HTTP 404"))
    assert (lacks.state, lacks.reason) == (State.COLLECTED, "images-01: HTTP 404")
    came = advance(lacks, Collected(30.0, (SAVED, SAVED)))
    assert (came.state, came.reason, len(came.saved)) == (State.COLLECTED, None, 2)


def test_a_row_whose_bytes_were_taken_back_is_collected_and_as_paid_for_as_before() -> None:
    failed = advance(job(State.SUBMITTED), JobFailed(20.0, "an error page, twice", Billed.YES, 30_000))
    taken = advance(failed, TakenBack(30.0, (SAVED,), "images-01: not there"))
    assert (taken.state, taken.saved, taken.reason) == (State.COLLECTED, (SAVED,), "images-01: not there")
    assert (taken.cost_micro, taken.billed, taken.request_id) == (30_000, None, "id-1")


def test_a_row_that_was_never_accepted_has_nothing_to_take_back() -> None:
    refused = advance(job(State.PENDING), Refused(20.0, "no such size"))
    with pytest.raises(IllegalMove):
        advance(refused, TakenBack(30.0, (SAVED,), None))


def test_everything_that_may_be_charged_is_reserved_until_it_ends() -> None:
    assert frozenset({State.SUBMITTING, State.IN_DOUBT, State.SUBMITTED, State.READY}) == RESERVED
