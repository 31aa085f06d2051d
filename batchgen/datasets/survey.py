"""What a run folder holds, told in one pass, before anything is chosen."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from batchgen.budget import usd
from batchgen.datasets.columns import open_columns
from batchgen.job import State
from batchgen.request import published_input
from batchgen.statefile import Reader


@dataclass(frozen=True, slots=True)
class Survey:
    """*manifest* is the hash of all row ids and requests, in manifest order; money is that of the whole run."""

    open_columns: frozenset[str]
    outputs: int
    rows: Mapping[str, int]
    failures: Mapping[str, int]
    charged_usd: float
    manifest: str
    rehearsal: bool


def survey(reader: Reader) -> Survey:
    names: set[str] = set()
    outputs = 0
    failures: Counter[str] = Counter()
    manifest = hashlib.sha256()
    for job in reader.jobs([*State]):
        manifest.update(f"{job.row_id}\n{job.fingerprint}\n".encode())
        if job.state is State.FAILED:
            failures[_shareable(job.reason or "no reason was given")] += 1
        if job.state is not State.COLLECTED:
            continue
        names |= open_columns(job)
        outputs += len(job.saved)
    return Survey(
        open_columns=frozenset(names),
        outputs=outputs,
        rows={state.value: count for state, count in reader.counts().items() if count},
        failures=dict(failures.most_common(10)),
        charged_usd=usd(reader.money().charged) or 0.0,
        manifest=manifest.hexdigest(),
        rehearsal=reader.meta("rehearsal") == "yes",
    )


def _shareable(reason: str) -> str:
    """A reason as the card may show it: URLs without their signatures, not too long."""
    return " ".join(str(published_input(word)) for word in reason.split())[:200]
