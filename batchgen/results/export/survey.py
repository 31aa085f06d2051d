"""What a run folder holds, told in one pass, before anything is chosen."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from batchgen.core.money import usd
from batchgen.core.redaction import as_reason
from batchgen.core.row import published_input
from batchgen.state import Reader


@dataclass(frozen=True, slots=True)
class Survey:
    """*manifest* is the hash of all row ids and requests, in manifest order; money is that of the whole run."""

    open_columns: list[str]
    rows: Mapping[str, int]
    failures: Mapping[str, int]
    charged_usd: float
    manifest: str
    rehearsal: bool


def survey(reader: Reader) -> Survey:
    """Asked of the state file as sums: to read every job, as the plan does after it, would take as long again."""
    failures: Counter[str] = Counter()
    for reason, count in reader.failures():
        failures[_shareable(reason or "no reason was given")] += count
    manifest = hashlib.sha256()
    for row_id, fingerprint in reader.requests():
        manifest.update(f"{row_id}\n{fingerprint}\n".encode())
    return Survey(
        open_columns=open_columns(reader),
        rows={state.value: count for state, count in reader.counts().items() if count},
        failures=dict(failures.most_common(10)),
        charged_usd=usd(reader.money().charged) or 0.0,
        manifest=manifest.hexdigest(),
        rehearsal=reader.meta("rehearsal") == "yes",
    )


def open_columns(reader: Reader) -> list[str]:
    """The open columns that collected outputs have."""
    fields, meta = reader.collected_names()
    return [*(f"input.{name}" for name in fields), *(f"meta.{name}" for name in meta)]


def _shareable(reason: str) -> str:
    """A reason as the card may show it: URLs without their signatures, nothing of this machine, not too long."""
    return as_reason(" ".join(str(published_input(word)) for word in reason.split()))[:200]
