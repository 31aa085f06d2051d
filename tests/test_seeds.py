"""A new seed: within what the schema takes, new to its row, and the same however often it is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.job import Job, State
from batchgen.models import ModelSchema, shipped, shipped_model_ids
from batchgen.runner.seeds import NoNewSeed, new_seed, new_seeds


def model(**seed: Any) -> ModelSchema:
    return ModelSchema("maker/model", {"type": "object", "properties": {"text": {"type": "string"}, "seed": seed}})


def attempts(row_id: str, *seeds: Any) -> list[Job]:
    """One attempt for each of *seeds*; None is one that had none."""
    inputs = [{"text": "a dune"} | ({} if seed is None else {"seed": seed}) for seed in seeds]
    return [
        Job(7, row_id, n, State.COLLECTED, "maker/model", sent, (), "f" * 64) for n, sent in enumerate(inputs, start=1)
    ]


@given(row_id=st.text(min_size=1), earlier=st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=5))
def test_the_same_attempt_at_a_row_is_given_the_same_seed_and_none_that_it_had(row_id: str, earlier: list[Any]) -> None:
    seed = new_seed(attempts(row_id, *earlier), model(type="integer", minimum=0, maximum=9))
    assert seed == new_seed(attempts(row_id, *earlier), model(type="integer", minimum=0, maximum=9))
    assert seed not in earlier
    assert 1 <= seed <= 9, "0 is any seed to some models"


def test_rows_and_attempts_are_given_seeds_of_their_own() -> None:
    anything = model(type="integer")
    rows = [attempts(f"row-{number}", *range(tries)) for number in range(20) for tries in (1, 2, 3)]
    assert len({new_seed(row, anything) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("field", "takes"),
    [
        ({"type": "integer", "minimum": -1, "maximum": 3}, {1, 2, 3}),
        ({"type": "integer", "exclusiveMinimum": 4, "exclusiveMaximum": 7}, {5, 6}),
        ({"type": "integer", "enum": [3, 5]}, {3, 5}),
        ({"type": "string", "enum": ["3", "5"]}, {"3", "5"}),
        ({"anyOf": [{"type": "integer", "minimum": 8, "maximum": 9}, {"type": "null"}]}, {8, 9}),
        ({"type": "float", "minimum": 1.0, "maximum": 2.0}, {1, 2}),
    ],
)
def test_every_seed_that_a_schema_takes_is_used_up_before_a_row_is_refused(field: Any, takes: set[Any]) -> None:
    used: list[Any] = [None]
    for _ in takes:
        used.append(new_seed(attempts("dune", *used), model(**field)))
    assert set(used[1:]) == takes
    with pytest.raises(NoNewSeed, match="did not have yet"):
        new_seed(attempts("dune", *used), model(**field))


@pytest.mark.parametrize("model_id", shipped_model_ids())
def test_every_shipped_model_takes_its_new_seed_or_has_none(model_id: str) -> None:
    schema = shipped(model_id)
    assert schema is not None
    if "seed" not in schema.fields:
        with pytest.raises(NoNewSeed, match=f"{model_id} has no field 'seed'"):
            new_seed(attempts("dune", None), schema)
        return
    seed = new_seed(attempts("dune", None), schema)
    assert [fault for fault in schema.faults({"seed": seed}) if "seed" in fault.path] == []


def test_all_rows_that_can_have_no_new_seed_are_named_together() -> None:
    seedless = ModelSchema("maker/model", {"type": "object", "properties": {"text": {"type": "string"}}})
    with pytest.raises(NoNewSeed, match=r"has no field 'seed' \(a, b\)\. Nothing was sent"):
        new_seeds([attempts("a", None), attempts("b", None)], lambda model_id: seedless)
