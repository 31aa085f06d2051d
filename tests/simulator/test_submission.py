"""The POST over real HTTP: what is accepted, what is refused, and every way an answer gets lost."""

import asyncio
import base64
import contextlib
import io
import json
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.simulator.client import MODEL, Start


async def test_an_accepted_post_answers_the_four_documented_fields_and_urls_of_this_server(start: Start) -> None:
    client = await start()
    answer = await client.post()
    base = f"{client.server.url}/v1/requests/{answer.json['request_id']}"
    assert answer.status == 200
    assert answer.json == {
        "request_id": answer.json["request_id"],
        "status_url": f"{base}/status",
        "result_url": f"{base}/result",
        "cancel_url": f"{base}/cancel",
    }


async def test_the_vendors_mock_form_is_a_switch(start: Start) -> None:
    client = await start(faults="accept=202")
    answer = await client.post()
    assert (answer.status, answer.json["status"]) == (202, "in_queue")


@pytest.mark.parametrize("path", ["/v1/models", f"/v1/models/{MODEL}", "/v1/requests/x/status", "/prod/v2/balance"])
async def test_every_call_needs_the_token(start: Start, path: str) -> None:
    client = await start()
    client.token = "wrong"
    answer = await client.api("GET", path)
    assert (answer.status, answer.json["error_code"]) == (401, 400004)


async def test_a_model_nobody_offers_is_400001(start: Start) -> None:
    client = await start()
    answer = await client.api("POST", "/v1/models/some/other/model", json={})
    assert (answer.status, answer.json["error_code"]) == (400, 400001)


async def test_an_input_against_the_schema_is_422_with_details_and_costs_nothing(start: Start) -> None:
    client = await start()
    answer = await client.post(image_size="huge")
    assert answer.status == 422
    assert answer.json["detail"][0]["loc"] == ["body", "image_size"]
    totals = (await client.ledger())["totals"]
    assert (totals["posts"], totals["accepted"], totals["refused"], totals["charged_usd"]) == (1, 0, 1, 0)


async def test_the_schema_may_be_checked_in_the_job_or_never(start: Start) -> None:
    late, never = await start(faults="validate=job"), await start(faults="validate=off")
    failed = await late.result(await late.accepted(image_size="huge"))
    assert (failed.json["status"], failed.json["cost"]) == ("failed", 0.03)
    assert "did not match the schema" in failed.json["error"]
    assert (await never.result(await never.accepted(image_size="huge"))).json["status"] == "succeeded"


@pytest.mark.parametrize("status", [402, 400])
async def test_an_empty_wallet_answers_400002_and_a_filled_one_goes_on(start: Start, status: int) -> None:
    client = await start(wallet_usd=0.05, faults=f"no_balance={status}")
    await client.accepted("one")
    refused = await client.post("two")
    assert (refused.status, refused.json["error_code"]) == (status, 400002)
    assert (await client.api("GET", "/prod/v2/balance")).json["balance_microdollars"] == 20_000
    assert (await client.control(wallet_usd=1)).status == 200
    assert (await client.post("two")).status == 200


async def test_a_full_queue_and_a_fast_client_are_told_when_to_come_back(start: Start) -> None:
    full = await start(latency="fixed:1h", concurrency=1, max_queued=1)
    answers = [await full.post(f"row {n}") for n in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) > 3500
    fast = await start(submit_rate="2/s", retry_after=False)
    answers = [await fast.post(f"row {n}") for n in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert "Retry-After" not in answers[2].headers


MADE_AND_LOST = [
    "submit.drop_reply", "submit.drop_midreply", "submit.5xx_after", "submit.503_after", "submit.empty", "submit.no_id",
]  # fmt: skip
NOT_MADE = {
    "submit.5xx_before": 500,
    "submit.redirect": 301,
    "submit.html": 200,
    "submit.408": 408,
    "submit.409": 409,
    "submit.429": 429,
    "submit.429_bare": 429,
    "submit.503_retry_after": 503,
    "submit.refuse": 422,
    "submit.error_in_200": 200,
}


@pytest.mark.parametrize("fault", MADE_AND_LOST)
async def test_a_lost_answer_leaves_a_charged_job_that_nobody_was_told_of(start: Start, fault: str) -> None:
    client = await start(faults=f"{fault}=#1")
    request_id: Any = None
    with contextlib.suppress(aiohttp.ClientError, TypeError):
        request_id = ((await client.post()).json or {}).get("request_id")
    ledger = await client.ledger()
    assert request_id is None
    assert [(line["cost_usd"], line["answered"]) for line in ledger["charged"]] == [(0.03, False)]
    assert ledger["counters"][f"fault.{fault}"] == 1


@pytest.mark.parametrize(("fault", "status"), NOT_MADE.items())
async def test_a_refusing_fault_makes_no_job(start: Start, fault: str, status: int) -> None:
    client = await start(faults=f"{fault}=#1")
    answer = await client.post()
    assert answer.status == status
    assert ("Retry-After" in answer.headers) == (fault in ("submit.429", "submit.503_retry_after"))
    assert (await client.ledger())["totals"]["accepted"] == 0
    assert (await client.post()).status == 200


async def test_a_503_of_a_cache_and_one_of_the_api_differ_in_their_body_alone(start: Start) -> None:
    client = await start(faults="submit.503_after=#1,submit.503_retry_after=#2")
    of_a_cache, of_the_api = await client.post("a"), await client.post("b")
    assert [(one.status, "Retry-After" in one.headers) for one in (of_a_cache, of_the_api)] == [(503, True)] * 2
    assert of_a_cache.json is None
    assert of_the_api.json["error_message"]
    assert (await client.ledger())["totals"]["accepted"] == 1


async def test_a_connection_may_break_before_the_job_is_made(start: Start) -> None:
    client = await start(faults="submit.drop_before=#1")
    with pytest.raises(aiohttp.ClientError):
        await client.post()
    assert (await client.ledger())["totals"]["accepted"] == 0


async def test_an_id_may_hide_in_the_body_of_a_500(start: Start) -> None:
    client = await start(faults="submit.id_in_500=100%")
    answer = await client.post()
    assert answer.status == 500
    assert (await client.ledger())["charged"][0]["request_id"] == answer.json["request_id"]


async def test_a_client_that_died_waiting_has_still_bought_the_job(start: Start) -> None:
    client = await start(faults="submit.slow=100%:300ms")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(client.post(), 0.1)
    await asyncio.sleep(0.4)
    assert [line["answered"] for line in (await client.ledger())["charged"]] == [False]


async def test_paid_twice_is_a_count(start: Start) -> None:
    client = await start()
    for text in ("a", "b", "a", "a"):
        await client.accepted(text, seed=7)
    totals = (await client.ledger())["totals"]
    assert (totals["duplicates"], totals["duplicate_jobs"], totals["duplicates_usd"]) == (1, 2, 0.06)


async def test_a_body_is_the_same_whatever_the_order_of_its_keys(start: Start) -> None:
    client = await start()
    body = {"images": ["https://example.com/a.png"], "text": "x"}
    for order in (body, dict(reversed(body.items()))):
        await client.api("POST", f"/v1/models/{MODEL}", data=json.dumps(order, indent=2))
    assert (await client.ledger())["totals"]["duplicates"] == 1


async def test_control_refuses_what_it_does_not_know_and_changes_nothing(start: Start) -> None:
    client = await start()
    answer = await client.control(concurency=3)
    assert (answer.status, answer.json["message"]) == (400, "no 'concurency' to change; did you mean concurrency?")
    assert (await client.control(faults="submit.nope=1%", concurrency=1)).status == 400
    assert client.server.provider.options.concurrency == 40


async def test_a_revoked_token_is_refused_in_the_middle_of_a_run(start: Start) -> None:
    client = await start()
    request_id = await client.accepted()
    await client.control(token="new")
    assert (await client.status(request_id)).status == 401
    client.token = "new"
    assert (await client.status(request_id)).status == 200


def inlined(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def png() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(file, "PNG")
    return file.getvalue()


def flipped(picture: bytes, at: int) -> bytes:
    return picture[:at] + bytes([picture[at] ^ 0xFF]) + picture[at + 1 :]


DAMAGED = {
    "a wrong checksum": flipped(png(), 200),
    "a wrong header": flipped(png(), 18),
    "cut": png()[:100],
    "a head and no more": png()[:8],
    "no picture": b"hello",
    "empty": b"",
}


@pytest.mark.parametrize("picture", DAMAGED.values(), ids=DAMAGED)
async def test_a_damaged_picture_in_the_body_is_refused_and_no_job_is_made(start: Start, picture: bytes) -> None:
    client = await start(draw="full")
    refused = await client.post(images=[inlined(png()), inlined(picture)])
    assert (refused.status, refused.json["detail"][0]["loc"]) == (422, ["body", "images"])
    assert (await client.ledger())["totals"]["accepted"] == 0
    assert (await client.post(images=[inlined(png())])).status == 200


@pytest.mark.parametrize("picture", DAMAGED.values(), ids=DAMAGED)
async def test_a_server_that_checks_nothing_draws_something_in_the_place_of_a_damaged_picture(
    start: Start, picture: bytes
) -> None:
    client = await start(draw="full", faults="validate=off")
    (link,) = await client.links(await client.accepted(images=[inlined(picture)], image_size="1024:1024 (1:1)"))
    drawn = await client.download(link)
    assert drawn.status == 200
    Image.open(io.BytesIO(drawn.body)).load()
