"""Another seed for a request that is to be made anew: the same one however often it is asked for. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from batchgen.core.errors import Refusal
from batchgen.core.job import Job
from batchgen.core.row import canonical
from batchgen.core.text import named
from batchgen.models import ModelSchema

FIELD = "seed"

_LOWEST = 1  # some models take 0 and -1 for "any seed", which nobody could ask for again
_HIGHEST = 2**31 - 1  # what every provider's integers hold


_NAMED = 10


class NoNewSeed(Refusal):
    """Rows that were to be made anew with another seed cannot be. Nothing was sent."""


def new_seeds(rows: Iterable[Sequence[Job]], schema_of: Callable[[str], ModelSchema]) -> dict[int, Any]:
    """A new seed for each of *rows* (all attempts at one, oldest first), by its key.

    Raises NoNewSeed, naming every row that cannot have one.
    """
    seeds: dict[int, Any] = {}
    refused: dict[str, list[str]] = {}
    for attempts in rows:
        job = attempts[-1]
        try:
            seeds[job.key] = new_seed(attempts, schema_of(job.model))
        except NoNewSeed as why:
            refused.setdefault(str(why), []).append(job.row_id)
    if refused:
        reasons = "; ".join(f"{why} ({named(row_ids, _NAMED)})" for why, row_ids in refused.items())
        raise NoNewSeed(
            f"no new seed can be given: {reasons}. Nothing was sent; retry these rows without --new-seed, and name "
            "the others with --only"
        )
    return seeds


def new_seed(attempts: Sequence[Job], schema: ModelSchema) -> Any:
    """The seed of the attempt that follows *attempts* at one row, as *schema* wants it.

    It follows from the row id and the attempt's number, and no earlier attempt had it. Raises NoNewSeed.
    """
    last = attempts[-1]
    if FIELD not in schema.fields:
        raise NoNewSeed(f"{schema.model_id} has no field {FIELD!r}")
    seeds = _seeds(schema.fields[FIELD])
    used = [canonical(job.input[FIELD]) for job in attempts if FIELD in job.input]
    start = int.from_bytes(hashlib.sha256(f"{last.row_id}\n{last.n + 1}".encode()).digest())
    for step in range(min(len(used) + 1, len(seeds))):
        seed = seeds[(start + step) % len(seeds)]
        if canonical(seed) not in used:
            return _as_wanted(seed, schema)
    raise NoNewSeed(f"{schema.model_id} takes no seed from {_LOWEST} to {_HIGHEST} that the row did not have yet")


def _as_wanted(seed: int, schema: ModelSchema) -> Any:
    """*seed* in the type that *schema* gives it."""
    typed_input, faults = schema.typed({FIELD: seed})
    faults += [fault for fault in schema.faults(typed_input) if fault.path == f"$.{FIELD}"]
    if faults:
        raise NoNewSeed(f"{schema.model_id} does not take the seed {seed}: {faults[0].message}")
    return typed_input[FIELD]


def _seeds(field: Mapping[str, Any]) -> Sequence[int]:
    """The seeds to choose from that *field* (a JSON schema) takes."""
    said = dict(field)
    for option in (*field.get("anyOf", ()), *field.get("oneOf", ())):
        said |= {} if option.get("type") == "null" else option
    choices = [int(choice) for choice in said.get("enum") or () if str(choice).isdecimal()]
    if choices:
        return choices
    lowest = [_LOWEST, *_bounds(said, "minimum", "exclusiveMinimum", 1)]
    highest = [_HIGHEST, *_bounds(said, "maximum", "exclusiveMaximum", -1)]
    return range(max(lowest), min(highest) + 1)


def _bounds(field: Mapping[str, Any], inclusive: str, exclusive: str, inward: int) -> list[int]:
    """The whole numbers that *field* names as one end of its range and takes."""
    ends = [(field.get(inclusive), 0), (field.get(exclusive), inward)]
    return [int(end) + step for end, step in ends if isinstance(end, int | float) and not isinstance(end, bool)]
