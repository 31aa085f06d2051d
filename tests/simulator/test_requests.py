"""Status, result and cancel over real HTTP, in the words of the provider."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.simulator.client import Client, Start


async def test_a_job_goes_from_the_queue_to_its_end(start: Start) -> None:
    client = await start(latency="fixed:1s", concurrency=1)
    first, second = await client.accepted("one"), await client.accepted("two")
    assert (await client.status(first)).json["status"] == "in_progress"
    waiting = (await client.status(second)).json
    assert (waiting["status"], waiting["queue_position"]) == ("in_queue", 1)
    assert (await client.result(second)).json["status"] == "in_queue"
    async with asyncio.timeout(60):
        while (ended := (await client.status(second)).json)["status"] != "completed":  # noqa: ASYNC110 - the server is asked, it does not call
            await asyncio.sleep(0.1)
    assert "queue_position" not in ended


async def test_a_result_names_its_outputs_its_times_and_when_asked_its_cost(start: Start) -> None:
    client = await start()
    request_id = await client.accepted(count=3)
    result = (await client.result(request_id)).json
    assert (result["status"], result["cost"], len(result["output"]["images"])) == ("succeeded", 0.09, 3)
    assert result["created_at"] <= result["finished_at"]
    plain = (await client.api("GET", f"/v1/requests/{request_id}/result")).json
    assert "cost" not in plain
    assert "input" not in plain


@pytest.mark.parametrize(
    ("model_id", "submitted", "key"),
    [
        ("blackforestlabs/flux-3/image", {"prompt": "x"}, "image"),
        ("wan-ai/wan-3.0/image-to-video", {"prompt": "x", "image_url": "https://example.com/a.png"}, "video"),
        ("acestep-ai/ace-step-1.5/text-to-audio", {"tags": "jazz"}, "audio"),
        ("google/nano-banana-2/text-to-image", {"prompt": "x", "num_images": 2}, "images"),
    ],
)
async def test_outputs_stand_under_the_key_of_their_kind(
    start: Start, model_id: str, submitted: dict[str, Any], key: str
) -> None:
    client = await start()
    accepted = await client.api("POST", f"/v1/models/{model_id}", json=submitted)
    output = (await client.result(accepted.json["request_id"])).json["output"]
    assert list(output) == [key]
    assert isinstance(output[key], list) == key.endswith("s")


async def test_a_failed_job_is_completed_by_status_and_failed_by_result(start: Start) -> None:
    client = await start(faults="job.fail=100%")
    request_id = await client.accepted()
    assert (await client.status(request_id)).json["status"] == "completed"
    result = (await client.result(request_id)).json
    assert (result["status"], result["error"], "output" in result) == ("failed", "the model refused the prompt", False)


async def words(client: Client) -> tuple[set[str], set[str]]:
    ids = [await client.accepted(f"row {n}") for n in range(20)]
    statuses = {(await client.status(request_id)).json["status"] for request_id in ids}
    return statuses, {(await client.result(request_id)).json["status"] for request_id in ids}


async def test_mixed_words_are_those_of_the_vendors_mocks_for_about_half_of_the_jobs(start: Start) -> None:
    assert await words(await start(faults="words=mixed")) == ({"completed"}, {"succeeded", "completed"})
    assert await words(await start(faults="words=mixed,job.fail=100%")) == ({"completed", "failed"}, {"failed"})


async def test_both_forms_of_not_ready_exist(start: Start) -> None:
    client = await start(latency="fixed:1h")
    request_id = await client.accepted()
    assert (await client.result(request_id)).json["status"] == "in_progress"
    await client.control(faults="not_ready=400005")
    refused = await client.result(request_id)
    assert (refused.status, refused.json["error_code"]) == (400, 400005)


async def test_cancel_says_completed_and_means_its_outcome(start: Start) -> None:
    client = await start(latency="fixed:1h", concurrency=1)
    running, waiting = await client.accepted("one"), await client.accepted("two")
    answers = [await client.api("POST", f"/v1/requests/{one}/cancel") for one in (running, waiting)]
    assert [(answer.status, answer.json["status"], answer.json["outcome"]) for answer in answers] == [
        (202, "completed", "not_cancellable"),
        (202, "completed", "cancelled"),
    ]
    assert (await client.status(waiting)).json["status"] == "cancelled"
    assert (await client.result(waiting)).json["cost"] == 0
    assert (await client.ledger())["totals"]["charged_usd"] == 0.03


async def test_ids_of_another_account_and_forgotten_ids_are_404001(start: Start) -> None:
    client = await start(other_account_token="second", faults="forget=200ms")
    request_id = await client.accepted()
    client.token = "second"
    foreign = await client.status(request_id)
    assert (foreign.status, foreign.json["error_code"]) == (404, 404001)
    client.token = "rehearsal"
    assert (await client.status(request_id)).status == 200
    await asyncio.sleep(0.25)
    assert (await client.result(request_id)).json["error_code"] == 404001


async def test_two_accounts_never_share_an_id_even_for_one_body(start: Start) -> None:
    client = await start(other_account_token="second")
    mine = await client.accepted()
    client.token = "second"
    assert await client.accepted() != mine


@pytest.mark.parametrize(
    ("fault", "status"),
    [("status.5xx", 500), ("status.404", 404), ("status.429", 429), ("status.html", 200)],
)
async def test_a_status_fault_passes_and_the_job_is_untouched(start: Start, fault: str, status: int) -> None:
    client = await start(faults=f"{fault}=#1")
    request_id = await client.accepted()
    faulty = await client.status(request_id)
    assert (faulty.status, faulty.json is None) == (status, fault == "status.html")
    assert (await client.status(request_id)).json["status"] == "completed"


async def test_a_status_may_say_a_word_nobody_knows(start: Start) -> None:
    client = await start(faults="status.unknown_word=100%:thawing")
    assert (await client.status(await client.accepted())).json["status"] == "thawing"


@pytest.mark.parametrize("kind", ["status", "result"])
async def test_a_read_may_break_off(start: Start, kind: str) -> None:
    client = await start(faults=f"{kind}.drop=#1-2")
    request_id = await client.accepted()
    for _ in range(2):  # aiohttp itself asks once more when a kept-alive connection turns out dead
        with pytest.raises(aiohttp.ClientError):
            await client.api("GET", f"/v1/requests/{request_id}/{kind}", timeout=aiohttp.ClientTimeout(2))
        if (await client.ledger())["counters"][f"fault.{kind}.drop"] == 2:
            break
    assert (await client.status(request_id)).json["status"] == "completed"


@pytest.mark.parametrize(("fault", "status"), [("5xx", 500), ("404", 404), ("not_ready_400", 400)])
async def test_a_result_fault_passes(start: Start, fault: str, status: int) -> None:
    client = await start(faults=f"result.{fault}=#1")
    request_id = await client.accepted()
    assert (await client.result(request_id)).status == status
    assert (await client.result(request_id)).json["status"] == "succeeded"


async def test_a_cost_may_come_late_or_be_higher_than_the_list_says(start: Start) -> None:
    late, dear = await start(faults="job.late_cost=100%:2"), await start(faults="job.cost_above=100%:2")
    request_id = await late.accepted()
    assert ["cost" in (await late.result(request_id)).json for _ in range(3)] == [False, False, True]
    assert (await dear.result(await dear.accepted())).json["cost"] == 0.06
    assert (await dear.ledger())["totals"]["charged_usd"] == 0.06


async def test_outputs_may_be_missing_for_a_while_for_ever_or_fewer_than_asked(start: Start) -> None:
    for_ever, for_one = await start(faults="job.no_outputs=100%"), await start(faults="job.no_outputs=100%:1")
    request_id = await for_ever.accepted()
    assert [(await for_ever.result(request_id)).json["output"] for _ in range(3)] == [{}, {}, {}]
    request_id = await for_one.accepted()
    assert [bool((await for_one.result(request_id)).json["output"]) for _ in range(2)] == [False, True]
    fewer = await start(faults="job.fewer=100%")
    assert 1 <= len(await fewer.links(await fewer.accepted(count=9))) < 9


async def test_output_may_be_a_bare_url_or_a_bare_list_and_the_input_may_be_echoed(start: Start) -> None:
    client = await start(faults="shape=url,echo=yes")
    result = (await client.result(await client.accepted())).json
    assert result["output"].startswith(client.server.files_url)
    assert result["input"]["images"] == ["https://example.com/a.png"]
    await client.control(faults="shape=list")
    assert len((await client.result(await client.accepted(count=2))).json["output"]) == 2


async def test_the_catalogue_is_served_page_by_page_and_model_by_model(start: Start) -> None:
    client = await start()
    page = (await client.api("GET", "/v1/models?category=text-to-image&limit=2")).json
    assert (len(page["models"]), page["total"], page["limit"], page["offset"]) == (2, 7, 2, 0)
    assert "text-to-audio" in (await client.api("GET", "/v1/models/categories")).json["categories"]
    entry = (await client.api("GET", "/v1/models/wan-ai/wan-3.0/image-to-video")).json
    assert (entry["price_unit"], entry["required_inputs"]) == ("second", ["prompt", "image_url"])
    assert (await client.api("GET", "/v1/models/no/such")).json["error_code"] == 400001
    assert (await client.api("GET", "/v1/models?limit=0")).status == 400
