"""`/v1/requests/{request_id}/...`: status, result and cancel of one job."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from batchgen.simulator.account import CANCELLED, FAILED, IN_QUEUE, SUCCEEDED, Job
from batchgen.simulator.answers import error_answer, html_answer, json_answer, reset, server_error, too_many
from batchgen.simulator.catalog import MICRODOLLARS
from batchgen.simulator.faults import roll
from batchgen.simulator.files import output_url
from batchgen.simulator.gallery import submitted_input
from batchgen.simulator.malformed import malformed_answer
from batchgen.simulator.provider import Provider

COST_ASKED = ("true", "1")


def gone(request_id: str) -> web.Response:
    return error_answer(404001, f"no request '{request_id}' for this account")


async def status(provider: Provider, request: web.BaseRequest, job: Job) -> web.StreamResponse:
    """The state of *job*; success or failure is the result's to say."""
    strike = provider.plan.strike("status", job.request_id, job.status_reads)
    job.status_reads += 1
    word = _status_word(provider, job)
    if strike is not None:
        provider.counters[f"fault.{strike.name}"] += 1
        match strike.name:
            case "status.5xx":
                return server_error(provider.counters["fault.status.5xx"] - 1)
            case "status.drop":
                return reset(request)
            case "status.html":
                return html_answer()
            case "status.404":
                return gone(job.request_id)
            case "status.429":
                return too_many(1.0)
            case "status.slow":
                await asyncio.sleep(strike.wait_s())
            case "status.unknown_word":
                word = strike.argument or "warming_up"
            case "status.malformed":
                kind = provider.malformed(job, strike)
                return malformed_answer("status", kind, _status_body(provider, job, word))
    return json_answer(_status_body(provider, job, word))


def _status_word(provider: Provider, job: Job) -> str:
    if job.state == FAILED and _speaks_otherwise(provider, job):
        return FAILED
    return "completed" if job.state in (SUCCEEDED, FAILED) else job.state


def _speaks_otherwise(provider: Provider, job: Job) -> bool:
    """With `words=mixed` half of the jobs use the words that only vendor mocks use."""
    return provider.plan.setting("words") == "mixed" and roll(provider.options.seed, "words", job.request_id) < 0.5


def _status_body(provider: Provider, job: Job, word: str) -> dict[str, Any]:
    base = f"{provider.api_url}/v1/requests/{job.request_id}"
    body: dict[str, Any] = {"request_id": job.request_id, "status": word}
    if job.state == IN_QUEUE:
        body["queue_position"] = provider.account.queue_position(job)
    if word == FAILED:
        body["error"] = job.error
    return {**body, "status_url": f"{base}/status", "result_url": f"{base}/result"}


async def result(provider: Provider, request: web.BaseRequest, job: Job) -> web.StreamResponse:
    """The outcome of *job* with fresh links, or its state while there is none."""
    strike = provider.plan.strike("result", job.request_id, job.result_reads)
    job.result_reads += 1
    if strike is not None:
        provider.counters[f"fault.{strike.name}"] += 1
        match strike.name:
            case "result.5xx":
                return server_error(provider.counters["fault.result.5xx"] - 1)
            case "result.drop":
                return reset(request)
            case "result.404":
                return gone(job.request_id)
            case "result.not_ready_400":
                return error_answer(400005, "the request has not ended")
    if not job.ended and provider.plan.setting("not_ready") == "400005":
        return error_answer(400005, "the request has not ended")
    body = _result_body(provider, job, with_cost=request.query.get("include_cost", "") in COST_ASKED)
    if strike is not None and strike.name == "result.malformed":
        return malformed_answer("result", provider.malformed(job, strike), body)
    if job.state == SUCCEEDED and (for_ever := job.strikes.get("job.malformed")) is not None:
        return malformed_answer("job", provider.malformed(job, for_ever), body)
    return json_answer(body)


def _result_body(provider: Provider, job: Job, *, with_cost: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "request_id": job.request_id,
        "status": job.state,
        "created_at": _iso(job.submitted_at_s),
    }
    if provider.plan.setting("echo") == "yes":
        body["input"] = submitted_input(job)
    if job.ended_at_s is None:
        return body
    body["finished_at"] = _iso(job.ended_at_s)
    if job.state == SUCCEEDED:
        if _speaks_otherwise(provider, job):
            body["status"] = "completed"
        body["output"] = _output(provider, job)
    if job.state == FAILED:
        body["error"] = job.error
    if with_cost:
        body["model_id"] = job.model_id
        if not _held_back(job, "job.late_cost", reads="1"):
            body["cost"] = job.charged_micro / MICRODOLLARS
    return body


def _held_back(job: Job, fault: str, reads: str) -> bool:
    """Whether *fault* still hides something of *job*; without an argument it does so for *reads* reads."""
    strike = job.strikes.get(fault)
    return strike is not None and job.result_reads <= float(strike.argument or reads)


def _output(provider: Provider, job: Job) -> Any:
    """The links in the shape and under the key that this model uses."""
    if _held_back(job, "job.no_outputs", reads="inf"):
        return {}
    now_s = provider.now_s()
    links = [output_url(provider, job, index, now_s) for index in range(job.made)]
    provider.gallery.hurry(job)
    shape = provider.plan.setting("shape")
    if shape == "list":
        return links
    if shape == "url" and len(links) == 1:
        return links[0]
    model = provider.catalogue.models[job.model_id]
    if model.count_field or len(links) > 1:
        return {f"{model.media}s": links}
    return {model.media: links[0]}


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="microseconds")


def cancel(provider: Provider, job: Job) -> web.Response:
    """Cancel a job that waits. `status` is "completed" either way: it speaks of the call, `outcome` of the job."""
    done = provider.account.cancel(job, provider.now_s())
    provider.counters["cancel.cancelled"] += done
    outcome = CANCELLED if done else "not_cancellable"
    return json_answer({"request_id": job.request_id, "status": "completed", "outcome": outcome}, 202)
