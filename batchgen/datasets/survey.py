"""What a run folder holds, told in one pass, before anything is chosen."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from batchgen.budget import usd
from batchgen.datasets.columns import open_columns
from batchgen.datasets.sources import source_of
from batchgen.job import State
from batchgen.statefile import Reader


@dataclass(frozen=True, slots=True)
class Survey:
    """*manifest* is the hash of all row ids and requests, in manifest order; *pairs* whether any output is an edit
    of a file that can be had; money is that of the whole run.
    """

    open_columns: frozenset[str]
    pairs: bool
    outputs: int
    rows: Mapping[str, int]
    failures: Mapping[str, int]
    charged_usd: float
    manifest: str
    rehearsal: bool


def survey(reader: Reader, kinds: frozenset[str]) -> Survey:
    """*kinds* are the media that could be half of a pair."""
    names: set[str] = set()
    pairs, outputs = False, 0
    failures: Counter[str] = Counter()
    manifest = hashlib.sha256()
    for job in reader.jobs([*State]):
        manifest.update(f"{job.row_id}\n{job.fingerprint}\n".encode())
        if job.state is State.FAILED:
            failures[(job.reason or "no reason was given")[:200]] += 1
        if job.state is not State.COLLECTED:
            continue
        names |= open_columns(job)
        outputs += len(job.saved)
        media = {file.media_type for file in job.saved if file.media_type.partition("/")[0] in kinds}
        pairs = pairs or any(source_of(job, media_type) for media_type in media)
    return Survey(
        open_columns=frozenset(names),
        pairs=pairs,
        outputs=outputs,
        rows={state.value: count for state, count in reader.counts().items() if count},
        failures=dict(failures.most_common(10)),
        charged_usd=usd(reader.money().charged) or 0.0,
        manifest=manifest.hexdigest(),
        rehearsal=reader.meta("rehearsal") == "yes",
    )
