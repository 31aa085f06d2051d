"""What every kind of answer to the POST makes of the row and of the run, and how often it was sent."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from batchgen.core.job import Billed, State
from batchgen.providers.contract import Cause
from batchgen.scheduler import Scheduler
from tests.money.answering import ACCEPTED, ID, answering
from tests.money.here import attempts, hurried, ran
from tests.providers.rawserver import (
    CLOSED_WITHOUT_AN_ANSWER,
    RESET_WITHOUT_AN_ANSWER,
    Reply,
    closed_port,
    reply,
)

HTML = b"<!doctype html><html><body>One moment, please</body></html>"

ACCEPTING = {
    "an id": ACCEPTED,
    "an id in a 202": reply(202, {"request_id": ID, "status": "in_queue"}),
    "an id in a 500": reply(500, {"request_id": ID, "message": "internal error"}),
    "an id in a 429": reply(429, {"request_id": ID}),
    "an id beside an error code": reply(200, {"request_id": ID, "error_code": 400002}),
}

STOPPING = {
    "400002 in a 402": (reply(402, {"error_code": 400002}), 4),
    "400002 in a 400": (reply(400, {"error_code": 400002}), 4),
    "400002 in a 200": (reply(200, {"error_code": 400002}), 4),
    "a bare 402": (reply(402), 4),
    "400004 in a 401": (reply(401, {"error_code": 400004}), 3),
    "403001 in a 200": (reply(200, {"error_code": 403001}), 3),
    "a bare 401": (reply(401), 3),
    "a 403 page": (reply(403, HTML), 3),
    "400001 in a 400": (reply(400, {"error_code": 400001}), 5),
    "404001 in a 404": (reply(404, {"error_code": 404001}), 5),
    "404001 in a 200": (reply(200, {"error_code": 404001}), 5),
    "a bare 404": (reply(404), 5),
    "404 of a gateway": (reply(404, HTML), 5),
    "405 of a gateway": (reply(405, HTML), 5),
    "a code of class 403 in a 200": (reply(200, {"error_code": 403003}), 3),
    "a code of class 402 in a 202": (reply(202, {"error_code": "402007"}), 4),
    "10001 in a 200": (reply(200, {"error_code": 10001}), 4),
    "a code of class 404 in a 200": (reply(200, {"error_code": 404}), 5),
}

BUSY = {
    "429 that says when": reply(429, {"message": "slow"}, Retry_After="1"),
    "429 that does not": reply(429, HTML),
    "503 in the API's words": reply(503, {"error_code": 503001, "error_message": "busy"}, Retry_After="1"),
    "503 with a detail": reply(503, {"detail": "overloaded"}),
}

REFUSING = {
    **{str(status): reply(status, {"detail": "no"}) for status in (400, 413, 415, 422)},
    **{f"a {status} page": reply(status, HTML) for status in (413, 414, 415, 431)},
    "a code of class 422 in a 200": reply(200, {"error_code": 422001}),
    "a code of class 400 in a 200": reply(200, {"error_code": 400}),
}

DOUBTFUL = {
    "301": reply(301, Location="/v1/models/elsewhere"),
    "302": reply(302, Location="/v1/models/elsewhere"),
    "307": reply(307, Location="/v1/models/elsewhere"),
    "308": reply(308, Location="/v1/models/elsewhere"),
    "408": reply(408, {"message": "late"}),
    "409": reply(409, {"message": "conflict"}),
    "400 of a gateway": reply(400, HTML),
    "500": reply(500, {"message": "internal error"}),
    "500 with a code": reply(500, {"error_code": 400002}),
    "502": reply(502, b"upstream error"),
    "503 that says when": reply(503, b"busy", Retry_After="1"),
    "503 of a cache that says when": reply(503, HTML, Retry_After="5", Via="1.1 cache"),
    "503 of a gateway in JSON": reply(503, {"message": "Service Unavailable"}, Retry_After="1"),
    "503 that does not say when": reply(503, b"busy"),
    "a code of class 500 in a 200": reply(200, {"error_code": 500001}),
    "a code of class 429 in a 200": reply(200, {"error_code": 429001}),
    "421": reply(421, {"message": "misdirected"}),
    "425": reply(425, {"message": "too early"}),
    "504": reply(504, HTML),
    "a page in a 200": reply(200, HTML),
    "an empty 200": reply(200),
    "a 200 without an id": reply(200, {"status": "in_queue"}),
    "an empty id": reply(200, {"request_id": ""}),
    "no id at all": reply(200, {"request_id": None}),
    "a body cut short": reply(200, {"request_id": ID}, then="close", length=500),
    "a body reset": reply(200, {"request_id": ID}, then="reset", length=500),
    "a head cut short": Reply(b"HTTP/1.1 200 OK\r\nContent-", "close"),
    "no HTTP": Reply(b"hello\r\n\r\n", "close"),
    "closed without an answer": CLOSED_WITHOUT_AN_ANSWER,
    "reset without an answer": RESET_WITHOUT_AN_ANSWER,
}


@pytest.mark.parametrize("answer", ACCEPTING.values(), ids=ACCEPTING)
async def test_an_answer_with_an_id_is_an_accepted_job_which_is_never_sent_again(tmp_path: Path, answer: Reply) -> None:
    async with answering(answer) as server:
        for _ in range(2):
            report = await ran(tmp_path, server.base)
            assert report.exit == 1  # the server fails every job, with a text that says "timeout 429"
        (job,) = attempts(tmp_path)
        assert (job.state, job.request_id, job.billed) == (State.FAILED, ID, Billed.YES)
        assert len(server.posts) == 1


@pytest.mark.parametrize(("answer", "code"), STOPPING.values(), ids=STOPPING)
async def test_an_answer_about_the_account_or_the_model_leaves_the_row_pending_and_ends_the_run(
    tmp_path: Path, answer: Reply, code: int
) -> None:
    async with answering(answer) as server:
        report = await ran(tmp_path, server.base, rows=5)
        assert report.exit == code
        assert report.rows[State.PENDING] == 5
        assert report.reason, "people read why it stopped"
        assert report.money.committed == 0
        assert len(server.posts) == 1
        server.replies = [ACCEPTED]
        assert (await ran(tmp_path, server.base, only=frozenset({"row-0000"}))).exit == 1
        assert attempts(tmp_path)[0].request_id == ID


@pytest.mark.parametrize("answer", BUSY.values(), ids=BUSY)
async def test_a_busy_answer_leaves_the_row_pending_until_its_time_has_come(tmp_path: Path, answer: Reply) -> None:
    async with answering(answer, ACCEPTED) as server:
        started = time.monotonic()
        report = await ran(tmp_path, server.base)
        assert time.monotonic() - started >= 0.9
        assert report.rows[State.IN_DOUBT] == 0
        assert attempts(tmp_path)[0].request_id == ID
        assert len(server.posts) == 2


@pytest.mark.parametrize("answer", REFUSING.values(), ids=REFUSING)
async def test_a_refused_row_fails_unbilled_and_the_others_go_on(tmp_path: Path, answer: Reply) -> None:
    async with answering(answer, ACCEPTED) as server:
        report = await ran(tmp_path, server.base, rows=2)
        assert report.exit == 1
        assert [attempts(tmp_path, row_id)[0].billed for row_id in ("row-0000", "row-0001")] == [Billed.NO, Billed.YES]
        assert len(server.posts) == 2


@pytest.mark.parametrize("answer", DOUBTFUL.values(), ids=DOUBTFUL)
async def test_any_other_answer_leaves_the_row_in_doubt_and_it_is_never_sent_again(
    tmp_path: Path, answer: Reply
) -> None:
    async with answering(answer) as server:
        for _ in range(2):
            report = await ran(tmp_path, server.base)
            assert report.exit == 7
            assert report.in_doubt == ["row-0000"]
            assert report.money.reserved == 30_000
        assert len(server.posts) == 1


async def test_a_slow_answer_is_waited_for(tmp_path: Path) -> None:
    async with answering(ACCEPTED, takes_s=1.5) as server:
        assert (await ran(tmp_path, server.base)).exit == 1
        assert attempts(tmp_path)[0].request_id == ID
        assert len(server.posts) == 1


# ── breakers ────────────────────────────────────────────────────────────────────────────────────────────


async def test_three_doubts_in_a_row_pause_the_sending(tmp_path: Path) -> None:
    async with answering(reply(502, b"upstream error")) as server:

        async def stop_soon(scheduler: Scheduler) -> None:
            await server.third_post.wait()
            await asyncio.sleep(1.0)
            scheduler.stop()

        report = await ran(tmp_path, server.base, rows=8, watch=stop_soon)
        assert len(server.posts) == 3  # the shortest pause is 2.5 s
        assert report.exit == 7
        assert (report.rows[State.IN_DOUBT], report.rows[State.PENDING]) == (3, 5)


async def test_doubts_with_an_accepted_row_between_them_do_not_pause_the_sending(tmp_path: Path) -> None:
    lost = reply(502, b"upstream error")
    async with answering(lost, lost, reply(200, {"request_id": "first"}), lost, lost, ACCEPTED) as server:
        report = await ran(tmp_path, server.base, rows=6)
        assert (report.rows[State.IN_DOUBT], report.rows[State.FAILED]) == (4, 2)
        waits = [later - earlier for earlier, later in itertools.pairwise(server.arrived_at)]
        assert max(waits) < 2.4  # the shortest pause is 2.5 s


async def test_after_three_doubts_rows_go_one_at_a_time_until_the_breaker_gives_up(tmp_path: Path) -> None:
    async with answering(reply(502, b"upstream error"), takes_s=0.05) as server:
        ending = await hurried(tmp_path, server.base, rows=12, in_flight=3)
        assert ending.cause is Cause.PROVIDER
        assert len(server.posts) == 6
        assert server.open_after[3:] == [0, 0, 0], "more than one trial row was on the wire"


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
async def test_a_provider_that_cannot_be_reached_leaves_every_row_pending(tmp_path: Path, host: str) -> None:
    base = f"http://{host}:{closed_port()}"
    ending = await hurried(tmp_path, base, rows=3, in_flight=2)
    assert ending.cause is Cause.PROVIDER
    for row_id in ("row-0000", "row-0001", "row-0002"):
        (job,) = attempts(tmp_path, row_id)
        assert (job.state, job.intent_at) == (State.PENDING, None), "an intent without a POST"


async def test_an_id_that_another_row_has_already_leaves_the_row_in_doubt(tmp_path: Path) -> None:
    async with answering(ACCEPTED) as server:  # a cache on the way answers every POST alike
        report = await ran(tmp_path, server.base, rows=3, in_flight=3)
        assert report.exit == 7
        assert (report.rows[State.FAILED], report.rows[State.IN_DOUBT]) == (1, 2)
        assert len(server.posts) == 3
