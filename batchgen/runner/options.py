"""Options of a run, whether they come from a flag, a variable or a script."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from batchgen.core.errors import Refusal
from batchgen.core.job import Job
from batchgen.core.money import micro
from batchgen.models import UnitPrice
from batchgen.providers.runcomfy.model_api import api_base, is_loopback
from batchgen.runner.bill import Consents
from batchgen.runner.canary import CanaryResult
from batchgen.scheduler import Limits, OnBreaker
from batchgen.state import OnMove, OnTrouble, Scope
from batchgen.storage.paths import RunFolder


def say_ids(reason: str, jobs: Sequence[Job]) -> None:
    """An id that the disk does not take was paid for: it goes to stderr, whoever began the run."""
    with suppress(OSError, ValueError, AttributeError):  # there may be no stderr
        for job in jobs:
            if job.request_id is not None:
                sys.stderr.write(f"{job.row_id} {job.request_id}\n")


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a run. Money in USD, rates per minute, times in seconds, sizes in bytes.

    Attributes:
        out: The run folder; `out/<manifest name>/` beside the manifest by default.
        api_base: Address of the API, with or without `/v1`; from the environment by default.
        token: From the environment or the official CLI's token file by default.
        rehearsal: The API is an embedded server, and the folder is marked as a rehearsal.
        offline: Take schemas from the cache or the package only.
        check_urls: Look at hosted input files, too, by a few bytes each.
        prices: USD by model, in place of the catalogue's prices.
        canary: Send this many rows first; *after_canary* then decides about the rest.
        in_flight: Jobs at the provider at once; None learns how many it runs.
        downloads: Rows downloaded at once.
        collect_workers: Processes that decode downloads; by default one fewer than processors, at most 8.
        submit_rate: Most submits a minute.
        poll_rate: Most status requests a minute, over all jobs.
        budget_usd: Most money the folder may ever cost; stays in force until another is given.
        limit: Send at most this many rows now.
        only: Ids of the only rows to carry.
        job_timeout_s: A job older than this is overdue: waited for, and never sent again.
        min_free_bytes: Stop submitting when less disk than this is free.
        inline_files: Send local input files inside the request.
        rerun_changed: Pay again for rows that were paid for and have changed.
        keep_changed: Keep changed rows as they were paid for.
        new_rows: Rows are new although they look like rows that were paid for.
        wait_for_balance: Out of balance, wait and try a row now and then, and do not end.
        wait_for_provider: With the provider or a model out of reach, wait and try a row now and then.
        after_canary: Is given what the canary came to, and says whether to go on.
        on_trouble: Is given a reason, and the jobs whose ids the disk does not take.
        on_move: Is given each job and event, once they are on disk.
        on_breaker: Is given each change of what keeps rows from being sent.
    """

    out: str | Path | None = None
    api_base: str | None = None
    token: str | None = None
    rehearsal: bool = False
    offline: bool = False
    check_urls: bool = False
    prices: Mapping[str, UnitPrice | Decimal] = field(default_factory=dict)
    canary: int | None = None
    in_flight: int | None = None
    downloads: int = 16
    collect_workers: int | None = None
    submit_rate: float | None = None
    poll_rate: float | None = None
    budget_usd: float | None = None
    limit: int | None = None
    only: frozenset[str] | None = None
    job_timeout_s: float = 7200.0
    min_free_bytes: int = 1024**3
    inline_files: bool = False
    rerun_changed: bool = False
    keep_changed: bool = False
    new_rows: bool = False
    wait_for_balance: bool = False
    wait_for_provider: bool = False

    after_canary: Callable[[CanaryResult], bool] = field(default=lambda result: result.promising)
    on_trouble: OnTrouble = field(default=say_ids)
    on_move: OnMove | None = None
    on_breaker: OnBreaker = field(default=lambda state: None)

    @property
    def budget_micro(self) -> int | None:
        """None if no budget is given. Raises Refusal for what is no amount of money: it is not the same as none."""
        budget_micro = micro(self.budget_usd)
        if budget_micro is None and self.budget_usd is not None:
            raise Refusal(f"{self.budget_usd!r} is no budget; give an amount of USD from 0 to 1e12, such as 25")
        return budget_micro

    @property
    def limits(self) -> Limits:
        return Limits(
            in_flight=self.in_flight,
            downloads=self.downloads,
            submits_per_min=self.submit_rate,
            rows=self.limit,
            job_timeout_s=self.job_timeout_s,
            min_free_bytes=self.min_free_bytes,
            wait_for_balance=self.wait_for_balance,
            wait_for_provider=self.wait_for_provider,
        )

    def scope(self, manifest: Path, folder: RunFolder) -> Scope:
        return Scope(folder.holds(manifest), self.rerun_changed, self.only, self.limit)

    @property
    def consents(self) -> Consents:
        inline_files = self.inline_files or is_loopback(self.base)
        return Consents(self.rerun_changed, self.keep_changed, self.new_rows, inline_files, self.out is not None)

    @property
    def base(self) -> str:
        return api_base(self.api_base)

    def folder(self, manifest: Path) -> RunFolder:
        return RunFolder.at(self.out) if self.out is not None else RunFolder.beside(manifest)
