"""What a run may be told, whoever tells it: a flag, a variable or a script."""

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
    """What a run may be told. Money in USD, rates per minute, times in seconds, sizes in bytes."""

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
