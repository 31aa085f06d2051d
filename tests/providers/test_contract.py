"""What every provider promises, and every line of RunComfy's answer tables, over real loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from batchgen.core.job import Output
from batchgen.providers.answers import outputs_of, retry_after_s
from batchgen.providers.contract import (
    AccountBlocked,
    Busy,
    Cancelled,
    CancelOutcome,
    Cause,
    Failure,
    Lost,
    ModelMissing,
    NoNews,
    NotSent,
    Over,
    Provider,
    Rejected,
    Success,
    Taken,
    Unknown,
    Waiting,
)
from batchgen.providers.http import AnswerLost
from batchgen.providers.runcomfy.model_api import NoAddress, RunComfy, api_base, base_of_environment, is_loopback
from tests.providers.fake import FakeProvider
from tests.providers.rawserver import (
    CLOSED_WITHOUT_AN_ANSWER,
    RESET_WITHOUT_AN_ANSWER,
    RawServer,
    Reply,
    closed_port,
    raw_server,
    reply,
)

TOKEN = "secret-4711"
MODEL = "bytedance/seedream-4-0/edit-sequential"
BODY = {"text": "a dune", "images": ["https://example.com/a.png"]}
ACCEPTED = {"request_id": "id-1", "status_url": "https://elsewhere.example/steal"}


async def nothing() -> None:
    """Nothing has to happen before sending."""


@asynccontextmanager
async def answering(*replies: Reply) -> AsyncIterator[tuple[RunComfy, RawServer]]:
    async with raw_server(*replies) as server:
        provider = RunComfy(server.base, TOKEN)
        try:
            yield provider, server
        finally:
            await provider.close()


# ── what any provider promises ──────────────────────────────────────────────────────────────────────────

Bench = tuple[Provider, Callable[[], int]]
"""A provider that takes one request which ends at once, and how much of it has been sent so far."""


@pytest.fixture(params=["runcomfy", "fake"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        if request.param == "fake":
            fake = FakeProvider(time.time)
            yield fake, lambda: len(fake.posts)
            return
        output = {"request_id": "id-1", "status": "succeeded", "output": {"images": ["https://files.example/a.png"]}}
        server = await stack.enter_async_context(
            raw_server(
                reply(200, ACCEPTED),
                reply(200, {"request_id": "id-1", "status": "completed"}),
                reply(200, output),
                reply(202, {"request_id": "id-1", "status": "completed", "outcome": "not_cancellable"}),
                reply(404, {"error_code": 404001}),
            )
        )
        provider = RunComfy(server.base, TOKEN)
        stack.push_async_callback(provider.close)
        yield provider, lambda: server.bytes_in


async def test_a_request_is_taken_followed_and_read_and_then_an_unknown_id_is_unknown(bench: Bench) -> None:
    provider, sent = bench
    taken = await provider.submit(MODEL, BODY, nothing)
    assert isinstance(taken, Taken)
    assert taken.request_id
    assert sent() > 0
    assert isinstance(await provider.status(taken.request_id), Over)
    result = await provider.result(taken.request_id, MODEL)
    assert isinstance(result, Success)
    assert [output.key for output in result.outputs] == ["images"]
    assert await provider.cancel(taken.request_id) is CancelOutcome.NOT_CANCELLABLE
    assert isinstance(await provider.status("id-of-nobody"), Unknown)
    assert isinstance(await provider.result("id-of-nobody", MODEL), Unknown)


async def test_before_sending_is_awaited_to_its_end_before_anything_is_sent(bench: Bench) -> None:
    provider, sent = bench
    seen = []

    async def before_sending() -> None:
        await asyncio.sleep(0.05)
        seen.append(sent())

    assert isinstance(await provider.submit(MODEL, BODY, before_sending), Taken)
    assert seen == [0]
    assert sent() > 0


async def test_if_before_sending_raises_nothing_is_sent_and_its_exception_comes_through(bench: Bench) -> None:
    provider, sent = bench

    class DiskRefused(Exception):
        pass

    async def before_sending() -> None:
        raise DiskRefused("no room")

    with pytest.raises(DiskRefused, match="no room"):
        await provider.submit(MODEL, BODY, before_sending)
    await asyncio.sleep(0.02)
    assert sent() == 0
    assert isinstance(await provider.submit(MODEL, BODY, nothing), Taken)  # and the next one goes as ever


# ── a POST and its answers ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("failure", [OSError("disk"), TimeoutError("late"), ValueError("other")])
async def test_whatever_before_sending_raises_is_not_taken_for_a_network_error(failure: Exception) -> None:
    async def before_sending() -> None:
        raise failure

    async with answering(reply(200, ACCEPTED)) as (provider, server):
        with pytest.raises(type(failure), match=str(failure)) as raised:
            await provider.submit(MODEL, BODY, before_sending)
        assert raised.value is failure
        await asyncio.sleep(0.02)
        assert server.bytes_in == 0


async def test_before_sending_comes_first_on_a_connection_that_is_used_again_too() -> None:
    order: list[int] = []
    async with answering(reply(200, ACCEPTED)) as (provider, server):

        async def before_sending() -> None:
            await asyncio.sleep(0.02)
            order.append(len(server.seen))

        for _ in range(3):
            await provider.submit(MODEL, BODY, before_sending)
        assert (order, server.connections) == ([0, 1, 2], 1)


async def test_the_body_is_the_input_itself_under_the_models_own_path() -> None:
    async with answering(reply(200, ACCEPTED)) as (provider, server):
        await provider.submit(MODEL, BODY, nothing)
        (post,) = server.seen
        assert (post.method, post.target, post.json) == ("POST", f"/v1/models/{MODEL}", BODY)
        assert post.headers["authorization"] == f"Bearer {TOKEN}"
        assert post.headers["content-type"].startswith("application/json")


HTML = b"<!doctype html><html><body>One moment, please</body></html>"

ANSWERS: list[tuple[str, Reply, Any]] = [
    ("200 with an id", reply(200, ACCEPTED), Taken("id-1")),
    ("202 with an id", reply(202, {"request_id": "id-1", "status": "in_queue"}), Taken("id-1")),
    ("an id in a 500", reply(500, {"request_id": "id-1", "message": "internal error"}), Taken("id-1")),
    ("an id in a 429", reply(429, {"request_id": "id-1"}), Taken("id-1")),
    ("an id in a 302", reply(302, {"request_id": "id-1"}, Location="/elsewhere"), Taken("id-1")),
    ("an id beside an error_code", reply(200, {"request_id": "id-1", "error_code": 400002}), Taken("id-1")),
    ("an id that is a number", reply(200, {"request_id": 17}), Taken("17")),
    ("400002 as a number", reply(400, {"error_code": 400002}), (AccountBlocked, Cause.BALANCE)),
    ("400002 as a text", reply(400, {"error_code": "400002"}), (AccountBlocked, Cause.BALANCE)),
    ("400002 in a 200", reply(200, {"error_code": 400002}), (AccountBlocked, Cause.BALANCE)),
    ("402 alone", reply(402, b""), (AccountBlocked, Cause.BALANCE)),
    ("402 with a page", reply(402, HTML), (AccountBlocked, Cause.BALANCE)),
    ("400004", reply(400, {"error_code": 400004}), (AccountBlocked, Cause.TOKEN)),
    ("400004 under another name", reply(400, {"code": 400004, "error": "User"}), (AccountBlocked, Cause.TOKEN)),
    ("403001 in a 200", reply(200, {"error_code": 403001}), (AccountBlocked, Cause.TOKEN)),
    ("401 alone", reply(401, b""), (AccountBlocked, Cause.TOKEN)),
    ("403 with a page", reply(403, HTML), (AccountBlocked, Cause.TOKEN)),
    ("400001", reply(400, {"error_code": 400001}), ModelMissing),
    ("404001", reply(404, {"error_code": 404001}), ModelMissing),
    ("404001 in a 200", reply(200, {"error_code": "404001"}), ModelMissing),
    ("429 alone", reply(429, b""), (Busy, None)),
    ("429 with a hint", reply(429, {"message": "slow"}, Retry_After="7"), (Busy, 7.0)),
    ("429 with a date", reply(429, b"", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"), (Busy, None)),
    ("429 with nonsense", reply(429, b"", Retry_After="-5"), (Busy, None)),
    ("503 of the API", reply(503, {"error_message": "busy"}, Retry_After="30"), (Busy, 30.0)),
    ("503 of the API without a hint", reply(503, {"detail": [{"msg": "busy"}]}), (Busy, None)),
    ("503 with a code and no more", reply(503, {"error_code": 503001}), (Busy, None)),
    ("503 with a hint and no word", reply(503, b"", Retry_After="30"), Lost),
    ("503 with a page", reply(503, HTML, Retry_After="30"), Lost),
    ("503 with others' JSON", reply(503, {"message": "Service Unavailable"}, Retry_After="30"), Lost),
    ("503 whose words are empty", reply(503, {"detail": None, "error_message": ""}, Retry_After="30"), Lost),
    ("503 with a list", reply(503, ["error_code"], Retry_After="30"), Lost),
    ("503 without anything", reply(503, b""), Lost),
    ("400 with JSON", reply(400, {"message": "bad"}), Rejected),
    ("413 with JSON", reply(413, {"message": "too large"}), Rejected),
    ("415 with JSON", reply(415, {"message": "type"}), Rejected),
    ("422 with a detail list", reply(422, {"detail": [{"loc": ["text"], "msg": "too long"}]}), Rejected),
    ("422 with a bare list", reply(422, [{"msg": "too long"}]), Rejected),
    ("422 with a code nobody documented", reply(422, {"error_code": 422001}), Rejected),
    ("400 with a page", reply(400, HTML), Lost),
    ("422 without a body", reply(422, b""), Lost),
    ("413 with a page", reply(413, HTML), Rejected),
    ("414 with a page", reply(414, HTML), Rejected),
    ("415 without a body", reply(415, b""), Rejected),
    ("431 with a page", reply(431, HTML), Rejected),
    ("404 without a code", reply(404, {"message": "no such route"}), ModelMissing),
    ("404 with a page", reply(404, HTML), ModelMissing),
    ("405 without a body", reply(405, b""), ModelMissing),
    ("410", reply(410, {"message": "gone"}), Lost),
    ("408", reply(408, {"message": "time"}), Lost),
    ("409", reply(409, {"message": "conflict"}), Lost),
    ("500 with a code", reply(500, {"error_code": 400002}), Lost),
    ("502 with a page", reply(502, HTML), Lost),
    ("301", reply(301, b"", Location="/elsewhere"), Lost),
    ("302", reply(302, b"", Location="/elsewhere"), Lost),
    ("307", reply(307, b"", Location="/elsewhere"), Lost),
    ("200 with a page", reply(200, HTML), Lost),
    ("200 without a body", reply(200, b""), Lost),
    ("200 without an id", reply(200, {"status": "in_queue"}), Lost),
    ("200 with an empty id", reply(200, {"request_id": ""}), Lost),
    ("200 with a blank id", reply(200, {"request_id": "  "}), Lost),
    ("200 with null for an id", reply(200, {"request_id": None}), Lost),
    ("200 with a list", reply(200, ["id-1"]), Lost),
    ("200 with a code of class 401", reply(200, {"error_code": 401001}), (AccountBlocked, Cause.TOKEN)),
    ("200 with a code of class 403", reply(200, {"error_code": 403003}), (AccountBlocked, Cause.TOKEN)),
    ("202 with the code 403", reply(202, {"error_code": 403}), (AccountBlocked, Cause.TOKEN)),
    ("200 with a code of class 402", reply(200, {"error_code": "402009"}), (AccountBlocked, Cause.BALANCE)),
    ("200 with 10001", reply(200, {"error_code": 10001.0}), (AccountBlocked, Cause.BALANCE)),
    ("200 with a code of class 404", reply(200, {"error_code": 404017}), ModelMissing),
    ("200 with a code of class 400", reply(200, {"error_code": 400099}), Rejected),
    ("200 with the code 422", reply(200, {"error_code": 422}), Rejected),
    ("200 with a code of class 429", reply(200, {"error_code": 429001}), Lost),
    ("200 with a code of class 500", reply(200, {"error_code": 500001}), Lost),
    ("200 with a code of no class", reply(200, {"error_code": 40}), Lost),
    ("200 with a code that is a word", reply(200, {"error_code": "forbidden"}), Lost),
    ("302 with a code of class 403", reply(302, {"error_code": 403003}), Lost),
    ("a cut body", reply(200, b'{"request_id": "id', then="close", length=400), Lost),
    ("a body that was reset", reply(200, b'{"request_id": "id', then="reset", length=400), Lost),
    ("no answer", CLOSED_WITHOUT_AN_ANSWER, Lost),
    ("no answer but a reset", RESET_WITHOUT_AN_ANSWER, Lost),
    ("what is not HTTP", Reply(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "close"), Lost),
]


@pytest.mark.parametrize(("answer", "means"), [line[1:] for line in ANSWERS], ids=[line[0] for line in ANSWERS])
async def test_an_answer_to_the_post_means_what_the_table_says_and_is_never_asked_for_twice(
    answer: Reply, means: Any
) -> None:
    async with answering(answer) as (provider, server):
        got = await provider.submit(MODEL, BODY, nothing)
        if isinstance(means, Taken):
            assert got == means
        elif isinstance(means, tuple):
            kind, detail = means
            assert isinstance(got, kind)
            assert detail == (got.cause if isinstance(got, AccountBlocked) else got.retry_after_s)
        else:
            assert isinstance(got, means)
            assert got.reason
        assert len(server.seen) == 1
        assert TOKEN not in repr(got)


async def test_where_nobody_listens_nothing_was_sent_and_no_intent_was_made() -> None:
    base = f"http://127.0.0.1:{closed_port()}"
    provider, intents = RunComfy(base, TOKEN), []

    async def before_sending() -> None:
        intents.append(1)

    try:
        answer = await provider.submit(MODEL, BODY, before_sending)
    finally:
        await provider.close()
    assert isinstance(answer, NotSent)
    assert base in answer.reason
    assert intents == []


async def test_a_host_without_an_address_is_a_post_that_was_not_sent() -> None:
    provider = RunComfy("http://no-such-host.invalid", TOKEN)
    try:
        assert isinstance(await provider.submit(MODEL, BODY, nothing), NotSent)
    finally:
        await provider.close()


async def test_a_connection_that_the_server_closed_while_idle_is_not_used_again() -> None:
    async with answering(reply(200, ACCEPTED, then="close")) as (provider, server):
        for _ in range(3):
            assert isinstance(await provider.submit(MODEL, BODY, nothing), Taken)
            await asyncio.sleep(0.02)
        assert len(server.seen) == 3


async def test_no_more_than_32_posts_are_on_the_wire_at_once_and_all_of_those_are() -> None:
    waiting, most, full, let_go = 0, 0, asyncio.Event(), asyncio.Event()

    async def before_sending() -> None:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        if most == 32:
            full.set()
        await let_go.wait()
        waiting -= 1

    async with answering(reply(200, ACCEPTED)) as (provider, server):
        posts = [asyncio.create_task(provider.submit(MODEL, BODY, before_sending)) for _ in range(40)]
        await asyncio.wait_for(full.wait(), 10.0)
        await asyncio.sleep(0.05)
        assert most == 32
        let_go.set()
        assert all(isinstance(answer, Taken) for answer in await asyncio.gather(*posts))
        assert len(server.seen) == 40


# ── the key ─────────────────────────────────────────────────────────────────────────────────────────────

Call = Callable[[RunComfy], Awaitable[object]]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "call",
    [
        lambda provider: provider.submit(MODEL, BODY, nothing),
        lambda provider: provider.status("id-1"),
        lambda provider: provider.result("id-1", MODEL),
        lambda provider: provider.cancel("id-1"),
        lambda provider: provider.echoed_input("id-1"),
        lambda provider: provider.balance_micro(),
    ],
    ids=["submit", "status", "result", "cancel", "echo", "balance"],
)
async def test_the_key_never_follows_a_redirect(status: int, call: Call) -> None:
    async with raw_server(reply(200, {})) as elsewhere:
        away = reply(status, b"", Location=f"{elsewhere.base}/v1/stolen")
        async with answering(away) as (provider, server):
            await call(provider)
            assert (len(server.seen), elsewhere.seen) == (1, [])


async def test_urls_in_an_answer_are_not_where_the_key_goes() -> None:
    async with raw_server(reply(200, {})) as elsewhere:
        urls = {f"{verb}_url": f"{elsewhere.base}/{verb}" for verb in ("status", "result", "cancel")}
        async with answering(reply(200, {"request_id": "id-1", "status": "in_queue", **urls})) as (provider, server):
            await provider.submit(MODEL, BODY, nothing)
            await provider.status("id-1")
            await provider.result("id-1", MODEL)
            await provider.cancel("id-1")
            assert elsewhere.seen == []
            assert [one.target for one in server.seen[1:]] == [
                "/v1/requests/id-1/status",
                "/v1/requests/id-1/result?include_cost=true",
                "/v1/requests/id-1/cancel",
            ]


async def test_an_id_never_becomes_a_path() -> None:
    async with answering(reply(404, {"error_code": 404001})) as (provider, server):
        await provider.status("../models/x?y#z")
        assert server.seen[0].target == "/v1/requests/..%2Fmodels%2Fx%3Fy%23z/status"
        await provider.result("..", MODEL)
        await provider.cancel("..")
        assert [one.target for one in server.seen[1:]] == [
            "/v1/requests/../result?include_cost=true",
            "/v1/requests/../cancel",
        ]


async def test_a_base_may_hold_what_has_to_be_quoted() -> None:
    async with raw_server(reply(200, {"status": "in_queue"})) as server:
        provider = RunComfy(api_base(f"{server.base}/our gate/v1"), "key")
        assert isinstance(await provider.status("id-1"), Waiting)
        await provider.close()
        assert server.seen[0].target == "/our%20gate/v1/requests/id-1/status"


async def test_cookies_of_the_provider_are_not_kept() -> None:
    answer = reply(200, {"request_id": "id-1", "status": "in_queue"}, Set_Cookie="tracked=1; Path=/")
    async with raw_server(answer) as server:
        provider = RunComfy(server.base.replace("127.0.0.1", "localhost"), "key")  # an address has no cookies
        for _ in range(2):
            await provider.submit(MODEL, BODY, nothing)
            await provider.status("id-1")
        await provider.close()
        assert len(server.seen) == 4
        assert not any("cookie" in one.headers for one in server.seen)


# ── status and result ───────────────────────────────────────────────────────────────────────────────────

STATUSES: list[tuple[str, Reply, Any]] = [
    *((word, reply(200, {"status": word}), Waiting(False, word)) for word in ("in_queue", "queued", "pending")),
    *((word, reply(200, {"status": word}), Waiting(True, word)) for word in ("in_progress", "processing", "running")),
    ("IN_PROGRESS", reply(200, {"status": "IN_PROGRESS"}), Waiting(True, "in_progress")),
    ("a word nobody knows", reply(200, {"status": "warming_up"}), Waiting(None, "warming_up")),
    *((word, reply(200, {"status": word}), Over(word)) for word in ("completed", "succeeded", "cancelled", "canceled")),
    ("failed", reply(200, {"status": "failed", "error": {"m": 1}}), Over("failed", '{"m": 1}')),
    ("404001", reply(404, {"error_code": 404001}), Unknown),
    ("404 alone", reply(404, HTML), Unknown),
    ("403", reply(403, {"error_code": 403001}), Unknown),
    ("403001 in a 200", reply(200, {"error_code": 403001}), Unknown),
    ("401", reply(401, b""), AccountBlocked),
    ("400004", reply(400, {"error_code": 400004}), AccountBlocked),
    ("429", reply(429, b""), NoNews),
    ("500", reply(500, {"status": "failed"}), NoNews),
    ("503 with a page", reply(503, HTML), NoNews),
    ("a page", reply(200, HTML), NoNews),
    ("nothing", reply(200, b""), NoNews),
    ("a list", reply(200, ["completed"]), NoNews),
    ("no word", reply(200, {"request_id": "id-1"}), NoNews),
    ("a redirect", reply(302, b"", Location="/login"), NoNews),
    ("its own id", reply(200, {"request_id": "id-1", "status": "completed"}), Over("completed")),
    ("another id", reply(200, {"request_id": "id-2", "status": "completed"}), NoNews),
    ("another id that is a number", reply(200, {"request_id": 1, "status": "completed"}), NoNews),
    ("a list of ids", reply(200, {"request_id": ["id-1"], "status": "completed"}), NoNews),
    ("a cut body", reply(200, b'{"status": "comp', then="close", length=99), NoNews),
    ("no answer", CLOSED_WITHOUT_AN_ANSWER, NoNews),
]


@pytest.mark.parametrize(("answer", "means"), [line[1:] for line in STATUSES], ids=[line[0] for line in STATUSES])
async def test_a_status_is_read_in_both_vocabularies_and_trouble_is_no_news(answer: Reply, means: Any) -> None:
    async with answering(answer) as (provider, _):
        got = await provider.status("id-1")
    assert isinstance(got, means) if isinstance(means, type) else got == means


A = "https://files.example/a.png"
OUTPUT = {"images": [A]}
DONE = (Output("images", A),)
FINISHED = {"status": "succeeded", "output": OUTPUT}

RESULTS: list[tuple[str, Reply, Any]] = [
    ("succeeded", reply(200, {"status": "succeeded", "output": OUTPUT, "cost": 0.12}), Success(DONE, 120_000)),
    ("completed", reply(200, {"status": "completed", "output": OUTPUT}), Success(DONE, None)),
    ("a cost of nothing", reply(200, {"status": "succeeded", "output": OUTPUT, "cost": 0}), Success(DONE, 0)),
    ("a cost that is none", reply(200, {"status": "succeeded", "output": OUTPUT, "cost": -1}), Success(DONE, None)),
    ("no output", reply(200, {"status": "succeeded"}), Success((), None)),
    ("output beside failure", reply(200, {"status": "failed", "output": OUTPUT, "error": "no"}), Failure("no", None)),
    ("failed, a list", reply(200, {"status": "failed", "error": [{"e": 5}], "cost": 1}), Failure('[{"e": 5}]', 10**6)),
    ("failed, null", reply(200, {"status": "failed", "error": None}), Failure("the provider gave no reason", None)),
    ("cancelled", reply(200, {"status": "cancelled", "cost": 0}), Cancelled(0)),
    ("canceled", reply(200, {"status": "canceled"}), Cancelled(None)),
    ("its state", reply(200, {"status": "in_queue"}), Waiting(False, "in_queue")),
    ("400005", reply(400, {"error_code": 400005}), Waiting(None, "not ready")),
    ("a word nobody knows", reply(200, {"status": "thawing", "output": OUTPUT}), Waiting(None, "thawing")),
    ("404001", reply(404, {"error_code": 404001}), Unknown),
    ("401", reply(401, b""), AccountBlocked),
    ("502", reply(502, HTML), NoNews),
    ("its own id and model", reply(200, {**FINISHED, "request_id": "id-1", "model_id": MODEL}), Success(DONE, None)),
    ("no id and no model", reply(200, {**FINISHED, "request_id": None, "model_id": None}), Success(DONE, None)),
    ("another id", reply(200, {**FINISHED, "request_id": "id-2"}), NoNews),
    ("an empty id", reply(200, {**FINISHED, "request_id": ""}), NoNews),
    ("another model", reply(200, {**FINISHED, "request_id": "id-1", "model_id": "other/model"}), NoNews),
    ("another failure", reply(200, {"request_id": "id-2", "status": "failed"}), NoNews),
    ("another cancel", reply(200, {"request_id": "id-2", "status": "cancelled"}), NoNews),
    ("no word", reply(200, {"output": OUTPUT}), NoNews),
    ("an error in a 200", reply(200, {"error_code": 500001, "status": "succeeded", "output": OUTPUT}), NoNews),
    ("no answer", RESET_WITHOUT_AN_ANSWER, NoNews),
]


@pytest.mark.parametrize(("answer", "means"), [line[1:] for line in RESULTS], ids=[line[0] for line in RESULTS])
async def test_success_is_the_results_word_in_both_vocabularies(answer: Reply, means: Any) -> None:
    async with answering(answer) as (provider, _):
        got = await provider.result("id-1", MODEL)
    assert isinstance(got, means) if isinstance(means, type) else got == means


async def test_no_news_says_whether_there_was_contact_at_all() -> None:
    async with answering(reply(502, HTML), CLOSED_WITHOUT_AN_ANSWER) as (provider, _):
        over_the_line, cut_off = await provider.status("id-1"), await provider.status("id-1")
    assert isinstance(over_the_line, NoNews)
    assert isinstance(cut_off, NoNews)
    assert (over_the_line.contact, cut_off.contact) == (True, False)


B, C = "https://files.example/b.png", "http://files.example/c.mp4"


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ({"image": A}, [("image", A)]),
        ({"images": [A, B]}, [("images", A), ("images", B)]),
        ({"video": C}, [("video", C)]),
        ({"videos": [C]}, [("videos", C)]),
        ({"audios": [A]}, [("audios", A)]),
        ({"audio": {"url": A}}, [("audio", A)]),
        (A, [("output", A)]),
        ([A, B], [("output", A), ("output", B)]),
        ({"image": A, "videos": [C, B]}, [("image", A), ("videos", C), ("videos", B)]),
        ({"images": [{"url": A, "width": 7}, {"url": B}]}, [("images", A), ("images", B)]),
        ({"images": [A, A]}, [("images", A)]),
        ({"image": "not a link", "seed": 7, "ok": True, "none": None}, []),
        ({"image": "data:image/png;base64,AAAA"}, [("image", "data:image/png;base64,AAAA")]),
        ({"image": "HTTPS://FILES.example/a.png"}, [("image", "HTTPS://FILES.example/a.png")]),
        ({"image": "http://[::1/a.png"}, [("image", "http://[::1/a.png")]),
        ({"images": ["http:\\\\files\\a.png"]}, [("images", "http:\\\\files\\a.png")]),
        ({"image": "/files/a b.png?x=1", "page": "/gallery/today"}, [("image", "/files/a b.png?x=1")]),
        ({"image": "//files.example/a.png"}, [("image", "//files.example/a.png")]),
        ({"image": "a.png", "kind": "image/png", "note": "data: 3, 4", "see": "// a note"}, []),
        ({"info": "see https://docs.example.com for details", "name": "http"}, []),
        ("succeeded", []),
        (None, []),
        ({}, []),
        ([], []),
    ],
)
def test_every_link_of_the_output_is_found_under_its_key_once_and_in_order(
    output: object, found: list[tuple[str, str]]
) -> None:
    assert outputs_of(output) == tuple(Output(key, url) for key, url in found)


def test_links_are_kept_byte_for_byte() -> None:
    url = "https://files.example/YWJj%3D/ZGVm%3D%2B/output/x%20y_output.png?sig=a%2Fb"
    assert outputs_of({"image": url})[0].url == url


async def test_links_without_scheme_or_host_lead_on_from_the_api_base() -> None:
    links = {"images": ["/f/a.png", "//files.example/b.png", " https://files.example/c.png", "//[::1/d.png"]}
    async with answering(reply(200, {"status": "succeeded", "output": links})) as (provider, server):
        result = await provider.result("id-1", MODEL)
    assert isinstance(result, Success)
    assert [output.url for output in result.outputs] == [
        f"{server.base}/f/a.png",
        "http://files.example/b.png",
        "https://files.example/c.png",
        "//[::1/d.png",
    ]


async def test_an_echoed_input_is_not_an_output() -> None:
    echoing = reply(200, {"status": "succeeded", "input": {"images": [B]}, "status_url": C, "output": OUTPUT})
    async with answering(echoing) as (provider, _):
        assert await provider.result("id-1", MODEL) == Success(DONE, None)
        assert await provider.echoed_input("id-1") == {"images": [B]}


# ── cancel, catalogue, balance, addresses ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(202, {"status": "completed", "outcome": "cancelled"}), CancelOutcome.CANCELLED),
        (reply(202, {"status": "completed", "outcome": "not_cancellable"}), CancelOutcome.NOT_CANCELLABLE),
        (reply(200, {"status": "cancelled"}), CancelOutcome.CANCELLED),
        (reply(202, {"status": "completed"}), CancelOutcome.UNKNOWN),
        (reply(404, {"error_code": 404001}), CancelOutcome.UNKNOWN),
        (reply(500, HTML), CancelOutcome.UNKNOWN),
        (CLOSED_WITHOUT_AN_ANSWER, CancelOutcome.UNKNOWN),
    ],
)
async def test_a_cancel_is_read_by_its_outcome_and_not_by_its_status(answer: Reply, outcome: CancelOutcome) -> None:
    async with answering(answer) as (provider, _):
        assert await provider.cancel("id-1") is outcome


async def test_a_catalogue_entry_comes_whole_and_an_unknown_model_is_none() -> None:
    entry = {"model_id": MODEL, "input_schema": {"type": "object"}}
    async with answering(reply(200, entry), reply(400, {"error_code": 400001}), reply(502, HTML)) as (provider, _):
        assert await provider.catalogue_entry(MODEL) == entry
        assert await provider.catalogue_entry("no/such") is None
        with pytest.raises(AnswerLost, match="502"):
            await provider.catalogue_entry(MODEL)


@pytest.mark.parametrize(
    ("body", "held"),
    [({"balance_microdollars": 5_000_000}, 5_000_000), ({"balance_microdollars": -3}, -3), ({}, None), (["x"], None)],
)
async def test_the_balance_may_be_nothing_or_less_and_an_odd_answer_is_not_known(
    body: object, held: int | None
) -> None:
    async with answering(reply(200, body)) as (provider, server):
        assert await provider.balance_micro() == held
        assert server.seen[0].target == "/prod/v2/balance"


async def test_dropped_connections_are_replaced_by_new_ones() -> None:
    async with answering(reply(200, {"status": "in_queue"})) as (provider, server):
        await provider.status("id-1")
        await provider.status("id-1")
        assert server.connections == 1
        await provider.drop_connections()
        await provider.status("id-1")
        assert server.connections == 2


@pytest.mark.parametrize(
    ("given", "base"),
    [
        (None, "https://model-api.runcomfy.net"),
        ("https://a.example/v1", "https://a.example"),
        ("https://a.example/v1/", "https://a.example"),
        (" https://a.example/ ", "https://a.example"),
        ("https://a.example/gate/v1", "https://a.example/gate"),
    ],
)
def test_the_base_may_be_given_with_or_without_v1(given: str | None, base: str) -> None:
    assert api_base(given) == base


@pytest.mark.parametrize(
    "given",
    [
        "", "  ", "/", "a.example", "localhost:8000", "ftp://a", "http://", "https://a:port", "http://a\u2028b", "http://\ud83d.x",
        "tok-5150", "http://tok-5150@a", "https://me:tok-5150@a.example/v1", "http://a/?key=tok-5150", "http://a?", "http://a/#v1",
    ],
)  # fmt: skip
def test_a_base_without_scheme_or_host_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(NoAddress, match="write it with https://") as refused:
        api_base(given)
    assert given.strip(" /") in ("", "http:") or given not in str(refused.value)


@pytest.mark.parametrize(
    ("environ", "base"),
    [
        ({}, None),
        ({"RUNCOMFY_MODEL_API_BASE": "http://a"}, "http://a"),
        ({"RUNCOMFY_MODEL_API_BASE": "http://a", "BATCHGEN_API_BASE": "http://b"}, "http://b"),
        ({"RUNCOMFY_MODEL_API_BASE": "http://a", "BATCHGEN_API_BASE": ""}, ""),
        ({"RUNCOMFY_MODEL_API_BASE": " "}, " "),
    ],
)
def test_the_first_base_variable_that_is_set_counts_also_where_it_is_empty(
    environ: dict[str, str], base: str | None
) -> None:
    assert base_of_environment(environ) == base


@pytest.mark.parametrize(
    ("base", "loopback"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://localhost", True),
        ("http://LOCALHOST:1", True),
        ("http://[::1]:8000", True),
        ("http://127.9.9.9", True),
        ("https://model-api.runcomfy.net", False),
        ("https://localhost.example.com", False),
        ("https://10.0.0.1", False),
        ("https://127.0.0.1.example.com", False),
        ("https://127.example.com", False),
    ],
)
def test_only_this_machine_is_loopback(base: str, loopback: bool) -> None:
    assert is_loopback(base) is loopback


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("1.5", 1.5), ("-1", None), ("inf", None), ("soon", None)])
def test_retry_after_is_a_number_of_seconds_or_nothing(text: str, seconds: float | None) -> None:
    assert retry_after_s({"Retry-After": text}) == seconds
