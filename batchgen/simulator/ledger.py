"""What was charged for, so that "paid twice" and "lost" are counts."""

import asyncio
from collections import Counter
from typing import Any

from batchgen.simulator.account import CANCELLED, FAILED, SUCCEEDED, Job
from batchgen.simulator.catalog import MICRODOLLARS
from batchgen.simulator.files import output_path
from batchgen.simulator.gallery import SUFFIXES
from batchgen.simulator.malformed import KINDS
from batchgen.simulator.provider import Provider

AT_A_TIME = 500


async def ledger(provider: Provider, *, summary: bool) -> dict[str, Any]:
    """Every accepted job (left out in a *summary*), the totals, and the counters by route and fault."""
    provider.account.advance(provider.now_s())
    shown: dict[str, Any] = {} if summary else {"charged": await _lines(provider)}
    return {
        **shown,
        "totals": _totals(provider),
        "counters": dict(sorted(provider.counters.items())),
        "tokens_at_file_host": provider.tokens_at_file_host,
    }


async def _lines(provider: Provider) -> list[dict[str, Any]]:
    """One line a job; other requests are answered in between, as 100,000 lines take seconds."""
    lines = []
    for number, job in enumerate(list(provider.account)):
        lines.append(_line(provider, job))
        if number % AT_A_TIME == 0:
            await asyncio.sleep(0)
    return lines


def _line(provider: Provider, job: Job) -> dict[str, Any]:
    return {
        "request_id": job.request_id,
        "model_id": job.model_id,
        "body_sha256": job.body_sha256,
        "cost_usd": job.charged_micro / MICRODOLLARS,
        "submitted_at": job.submitted_at_s,
        "started_at": job.started_at_s,
        "ended_at": job.ended_at_s,
        "state": job.state,
        "answered": job.answered,
        "malformed": list(job.malformed),
        "must_fail": must_fail(job),
        "outputs": [_output(provider, job, i) for i in range(job.made)] if job.state == SUCCEEDED else [],
    }


def must_fail(job: Job) -> bool:
    """Whether nothing of *job* can be downloaded, as far as its answers have told."""
    answered = (name.partition(".") for name in job.malformed)
    return job.state == FAILED or any(KINDS[of][kind].costs_the_row for of, _, kind in answered)


def _output(provider: Provider, job: Job, index: int) -> dict[str, Any]:
    """sha256 and bytes are null for a picture that nobody asked for yet: it is not drawn."""
    drawn = provider.gallery.known(job, index)
    media_type = provider.gallery.media_type(job)
    return {
        "url_path": output_path(job, index, SUFFIXES[media_type]),
        "sha256": drawn.sha256 if drawn else None,
        "bytes": drawn.size if drawn else None,
        "media_type": media_type,
    }


def _totals(provider: Provider) -> dict[str, Any]:
    account, counters = provider.account, provider.counters
    paid: Counter[str] = Counter()
    surplus_micro = 0
    for job in account:
        if job.state != CANCELLED:
            paid[f"{job.model_id}:{job.body_sha256}"] += 1
            if paid[f"{job.model_id}:{job.body_sha256}"] > 1:
                surplus_micro += job.charged_micro
    return {
        "posts": counters["submit"],
        "accepted": counters["submit.accepted"],
        "refused": counters["submit.refused"],
        "charged_usd": account.charged_micro / MICRODOLLARS,
        "wallet_usd": None if account.wallet_micro is None else account.wallet_micro / MICRODOLLARS,
        "duplicates": sum(1 for times in paid.values() if times > 1),
        "duplicate_jobs": sum(times - 1 for times in paid.values()),
        "duplicates_usd": surplus_micro / MICRODOLLARS,
        "in_queue": account.in_queue,
        "in_progress": account.in_progress,
        "ended": len(account.jobs) - account.in_queue - account.in_progress,
        "max_in_progress": account.max_in_progress,
        "max_posts_open": provider.max_posts_open,
    }
