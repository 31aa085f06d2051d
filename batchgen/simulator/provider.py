"""The provider as a whole: what it was told, its account, its faults and its counters. No I/O but body spooling."""

import difflib
import time
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from batchgen.simulator.account import Account, Job
from batchgen.simulator.catalog import MICRODOLLARS, Catalogue
from batchgen.simulator.faults import FaultPlan, Strike, roll
from batchgen.simulator.gallery import Gallery
from batchgen.simulator.malformed import kind_name
from batchgen.simulator.options import ServeOptions
from batchgen.simulator.timing import Bucket, Latency, rate_per_s

CHANGEABLE = (
    "token", "other_account_token", "faults", "latency", "concurrency", "max_queued", "submit_rate", "retry_after",
    "wallet_usd",
)  # fmt: skip
KEPT_IN_MEMORY_BYTES = 65_536


class Provider:
    """One state that every route reads and writes, always on the event loop."""

    def __init__(self, options: ServeOptions, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self._epoch_s = time.time() - time.monotonic()
        self.catalogue = Catalogue()
        self.gallery = Gallery(options.draw, self.catalogue, folder)
        self.account = Account(options.seed, options.concurrency, micro(options.wallet_usd))
        self.counters: Counter[str] = Counter()
        self.posts_of_body: Counter[str] = Counter()
        self.downloads_of_path: Counter[str] = Counter()
        self.posts_open = 0
        self.max_posts_open = 0
        self.tokens_at_file_host = 0
        self.api_url = ""
        self.files_url = ""
        self._follow(options)

    def _follow(self, options: ServeOptions) -> None:
        plan = FaultPlan.parse(options.faults, options.seed)
        latency = Latency.parse(plan.setting("latency") or options.latency)
        bucket = Bucket(rate_per_s(options.submit_rate), self.now_s()) if options.submit_rate else None
        self.options, self.plan, self.latency, self.bucket = options, plan, latency, bucket
        self.expire_s, self.forget_s = plan.setting_s("expire"), plan.setting_s("forget")
        self.owners = {options.token: "first"}
        if options.other_account_token:
            self.owners[options.other_account_token] = "other"

    def now_s(self) -> float:
        """Seconds since the epoch, by a clock that never jumps."""
        return self._epoch_s + time.monotonic()

    def change(self, changes: dict[str, Any]) -> None:
        """Go on with other options. Changing *faults* starts counting occasions anew. Raises ValueError, and then
        nothing has changed."""
        for name in changes:
            if name not in CHANGEABLE:
                near = difflib.get_close_matches(name, CHANGEABLE, n=1)
                raise ValueError(
                    f"no '{name}' to change; " + (f"did you mean {near[0]}?" if near else ", ".join(CHANGEABLE))
                )
        before = self.plan
        self._follow(replace(self.options, **changes))
        if "faults" not in changes:
            self.plan = before
        self.account.set_concurrency(self.options.concurrency, self.now_s())
        if "wallet_usd" in changes:
            self.account.wallet_micro = micro(self.options.wallet_usd)

    def shown_options(self) -> dict[str, Any]:
        return {name.name: getattr(self.options, name.name) for name in fields(self.options)}

    def find(self, request_id: str, owner: str) -> Job | None:
        """The job of this id, unless it is someone else's or forgotten."""
        now_s = self.now_s()
        job = self.account.find(request_id, owner, now_s)
        if job is not None and self.forget_s is not None and now_s - job.submitted_at_s > self.forget_s:
            return None
        return job

    def malformed(self, job: Job, strike: Strike) -> str:
        """The kind of malformed value that *strike* brings, noted for the ledger. One job gets the same one always."""
        of = strike.name.partition(".")[0]
        kind = kind_name(of, strike.argument, roll(self.options.seed, strike.name, "kind", job.request_id))
        if f"{of}.{kind}" not in job.malformed:
            job.malformed += (f"{of}.{kind}",)
            self.counters[f"malformed.{of}.{kind}"] += 1
        return kind

    def keep_body(self, body: bytes, name: str) -> bytes | Path:
        """Bodies with whole pictures in them wait on disk: thousands may be queued."""
        if len(body) <= KEPT_IN_MEMORY_BYTES:
            return body
        path = self.folder / f"body-{name}"
        path.write_bytes(body)
        return path


def micro(usd: float | None) -> int | None:
    return None if usd is None else round(usd * MICRODOLLARS)
