"""`POST /v1/models/{model_id}`: the one request that costs money, and every way it can go wrong."""

import asyncio
import hashlib
import json
from typing import Any

from aiohttp import web

from batchgen.simulator.account import Job, Submission
from batchgen.simulator.answers import (  # fmt: skip
    cut,
    error_answer,
    guru_meditation,
    handed_over,
    html_answer,
    json_answer,
    overloaded,
    reset,
    server_error,
    too_many,
)
from batchgen.simulator.catalog import Model
from batchgen.simulator.faults import Strike
from batchgen.simulator.malformed import malformed_answer
from batchgen.simulator.provider import Provider

REDIRECTS = (301, 302, 307)
JSON_TYPE = {"Content-Type": "application/json"}


async def submit(provider: Provider, request: web.BaseRequest, owner: str, model_id: str) -> web.StreamResponse:
    """Make and charge a job, or say why not; a fault of the plan may come before or after that."""
    provider.posts_open += 1
    provider.max_posts_open = max(provider.max_posts_open, provider.posts_open)
    try:
        return await _submit(provider, request, owner, model_id)
    finally:
        provider.posts_open -= 1


async def _submit(provider: Provider, request: web.BaseRequest, owner: str, model_id: str) -> web.StreamResponse:
    body = await request.read()
    digest = hashlib.sha256(body).hexdigest()
    nth = provider.posts_of_body[digest]
    provider.posts_of_body[digest] += 1
    strike = provider.plan.strike("submit", digest, nth)
    if strike is not None:
        provider.counters[f"fault.{strike.name}"] += 1
        answer = _refusal(provider, request, strike)
        if answer is not None:
            return _refused(provider, strike.name, answer)
    submission = _examined(provider, owner, model_id, body)
    if isinstance(submission, web.Response):
        return submission
    job = provider.account.accept(submission, provider.plan, provider.latency, provider.now_s())
    provider.counters["submit.accepted"] += 1
    if strike is not None:
        return await _lost_or_late(provider, request, strike, job)
    return await _accepted(provider, request, job)


def _refused(provider: Provider, why: str, answer: web.Response) -> web.Response:
    provider.counters["submit.refused"] += 1
    provider.counters[f"refused.{why.removeprefix('submit.')}"] += 1
    return answer


def _refusal(provider: Provider, request: web.BaseRequest, strike: Strike) -> web.Response | None:
    """The answer of a fault that strikes before a job is made; None if *strike* comes only after that."""
    occasion = provider.counters[f"fault.{strike.name}"] - 1
    match strike.name:
        case "submit.drop_before":
            return reset(request)
        case "submit.5xx_before":
            return server_error(occasion)
        case "submit.redirect":
            headers = {"Location": "http://127.0.0.1:9/v1/elsewhere"}
            return web.Response(status=REDIRECTS[occasion % len(REDIRECTS)], headers=headers)
        case "submit.html":
            return html_answer()
        case "submit.408" | "submit.409":
            return json_answer({"message": "rehearsal fault"}, int(strike.name[-3:]))
        case "submit.429":
            return too_many(1.0)
        case "submit.429_bare":
            return too_many(None)
        case "submit.503_retry_after":
            return overloaded(1.0)
        case "submit.refuse":
            return json_answer({"detail": [{"loc": ["body"], "msg": "refused by the fault plan"}]}, 422)
        case "submit.error_in_200":
            code = int(strike.argument or 403001)
            return json_answer({"error_code": code, "error_message": "rehearsal fault"})
    return None


def _examined(provider: Provider, owner: str, model_id: str, body: bytes) -> Submission | web.Response:
    """The submission in *body*, or the answer that says why it is none."""

    def refused(why: str, answer: web.Response) -> web.Response:
        return _refused(provider, why, answer)

    wait_s = _wait_s(provider)
    if wait_s is not None:
        return refused("too_many", too_many(wait_s if provider.options.retry_after else None))
    model = provider.catalogue.models.get(model_id)
    if model is None:
        return refused("model", error_answer(400001, f"no model '{model_id}'"))
    try:
        submitted = json.loads(body)
    except ValueError:
        return refused("json", json_answer({"message": "the body is not JSON"}, 400))
    if not isinstance(submitted, dict):
        return refused("json", json_answer({"message": "the body must be a JSON object"}, 400))
    validate = provider.plan.setting("validate")
    problems = _problems(model, submitted) if validate != "off" else []
    if problems and validate == "submit":
        return refused("schema", json_answer({"detail": problems}, 422))
    price_micro = model.price_micro(submitted)
    if not provider.account.can_pay(price_micro):
        status = int(provider.plan.setting("no_balance"))
        return refused("balance", error_answer(400002, "the balance does not cover this request", status))
    rejected_later = "input did not match the schema: " + problems[0]["msg"] if problems else None
    return _submission(provider, owner, model, submitted, price_micro, rejected_later)


def _problems(model: Model, submitted: dict[str, Any]) -> list[dict[str, Any]]:
    """What the schema has against *submitted*, and the pictures in it that cannot be read."""
    problems = model.problems(submitted)
    if problems or not any(map(_holds_a_file, submitted.values())):
        return problems
    from batchgen.simulator.pictures import damaged_fields  # Pillow only where there is something to look at

    damaged = damaged_fields(submitted, model.properties)
    return [{"loc": ["body", field], "msg": "the picture is damaged, or is none"} for field in damaged]


def _holds_a_file(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(isinstance(one, str) and one.startswith("data:") for one in values)


def _submission(
    provider: Provider,
    owner: str,
    model: Model,
    submitted: dict[str, Any],
    price_micro: int,
    rejected_later: str | None,
) -> Submission:
    canonical = json.dumps(submitted, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    digest = hashlib.sha256(canonical).hexdigest()
    kept = provider.keep_body(canonical, digest)
    asked = model.outputs_asked(submitted)
    return Submission(owner, model.model_id, digest, kept, asked, price_micro, rejected_later)


def _wait_s(provider: Provider) -> float | None:
    """How long the client should hold back; None if it may go ahead."""
    now_s = provider.now_s()
    account, room = provider.account, provider.options.max_queued
    if room is not None:
        account.advance(now_s)
        if account.in_progress >= account.concurrency and account.in_queue >= room:
            return max(0.0, (account.next_end_s() or now_s) - now_s)
    if provider.bucket is not None:
        wait_s = provider.bucket.wait_s(now_s)
        return wait_s if wait_s > 0 else None
    return None


def accepted_body(provider: Provider, job: Job) -> dict[str, Any]:
    """What an accepted POST is answered with."""
    base = f"{provider.api_url}/v1/requests/{job.request_id}"
    body = {
        "request_id": job.request_id,
        "status_url": f"{base}/status",
        "result_url": f"{base}/result",
        "cancel_url": f"{base}/cancel",
    }
    return {**body, "status": "in_queue"} if provider.plan.setting("accept") == "202" else body


async def _accepted(provider: Provider, request: web.BaseRequest, job: Job) -> web.StreamResponse:
    answer = json_answer(accepted_body(provider, job), int(provider.plan.setting("accept")))
    job.answered = await handed_over(request, answer)
    return answer


async def _lost_or_late(provider: Provider, request: web.BaseRequest, strike: Strike, job: Job) -> web.StreamResponse:
    """The answer of a fault that strikes once the job is made and charged."""
    body = accepted_body(provider, job)
    match strike.name:
        case "submit.drop_reply":
            return reset(request)
        case "submit.drop_midreply":
            return await cut(request, json_answer(body).body, 200, JSON_TYPE)  # type: ignore[arg-type]
        case "submit.5xx_after":
            return server_error(provider.counters["fault.submit.5xx_after"] - 1)
        case "submit.503_after":
            return guru_meditation()
        case "submit.empty":
            return web.Response(headers=JSON_TYPE)
        case "submit.no_id":
            return json_answer({"status": "in_queue"})
        case "submit.id_in_500":
            answer = json_answer({**body, "message": "internal error"}, 500)
            job.answered = await handed_over(request, answer)
            return answer
        case "submit.malformed":
            return malformed_answer("submit", provider.malformed(job, strike), body)
        case "submit.slow":
            await asyncio.sleep(strike.wait_s())
    return await _accepted(provider, request, job)
