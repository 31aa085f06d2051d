"""Malformed answers: which job gets which one is the same in every run, and the ledger tells."""

from __future__ import annotations

import json
import re

import pytest

from batchgen.simulator.faults import FaultPlan, FaultProblem
from batchgen.simulator.malformed import KINDS
from tests.simulator.client import Client, Start

JOBS = 40


async def struck(client: Client, backwards: bool = False) -> dict[str, list[str]]:
    """What the ledger says of every body's job once status and result of each were read."""
    texts = [f"dune {number}" for number in range(JOBS)]
    for text in reversed(texts) if backwards else texts:
        request_id = await client.accepted(text)
        await client.status(request_id)
        await client.result(request_id)
    return {job["request_id"]: job["malformed"] for job in (await client.ledger())["charged"]}


async def test_the_same_jobs_get_the_same_malformed_values_in_whatever_order_they_come(start: Start) -> None:
    faults = "status.malformed=20%,result.malformed=20%,job.malformed=20%"
    first = await struck(await start(faults=faults, seed=3))
    again = await struck(await start(faults=faults, seed=3), backwards=True)
    assert again == first
    assert {name.partition(".")[0] for names in first.values() for name in names} == {"status", "result", "job"}
    assert await struck(await start(faults=faults, seed=4)) != first


async def test_every_result_of_a_struck_job_is_malformed_and_the_ledger_says_whether_files_are_left(
    start: Start,
) -> None:
    client = await start(faults="job.malformed=#1:link_bracket_open,job.malformed=#2:cost_text")
    dead, dear = await client.accepted("dead"), await client.accepted("dear")
    for _ in range(2):
        assert (await client.result(dead)).json["output"]["images"] == ["http://[::1/a.png"]
        assert (await client.result(dear)).json["cost"] == "free"
    lines = {job["request_id"]: job for job in (await client.ledger())["charged"]}
    assert (lines[dead]["malformed"], lines[dead]["must_fail"]) == (["job.link_bracket_open"], True)
    assert (lines[dear]["malformed"], lines[dear]["must_fail"]) == (["job.cost_text"], False)


@pytest.mark.parametrize("kind", KINDS["job"])
async def test_a_malformed_result_is_json_with_one_thing_wrong(start: Start, kind: str) -> None:
    client = await start(faults=f"job.malformed=100%:{kind}")
    answer = await client.result(await client.accepted())
    good = await (await start()).result(await client.accepted())
    assert answer.status == 200
    told = json.loads(answer.body, parse_int=str)
    assert told != good.json
    assert told.get("status") in ("succeeded", "failed")


@pytest.mark.parametrize("kind", KINDS["submit"])
async def test_a_malformed_answer_to_a_post_is_charged_for_and_holds_no_usable_id(start: Start, kind: str) -> None:
    client = await start(faults=f"submit.malformed=100%:{kind}")
    answer = await client.post()
    (job,) = (await client.ledger())["charged"]
    assert answer.status == 200
    told = answer.json.get("request_id") if isinstance(answer.json, dict) else None
    assert not isinstance(told, str) or not told.strip()
    assert (job["malformed"], job["answered"]) == ([f"submit.{kind}"], False)


async def test_a_file_moves_to_what_is_no_address_and_is_there_when_asked_again(start: Start) -> None:
    client = await start(faults="download.malformed=#1:location_port_too_high")
    (link,) = await client.links(await client.accepted())
    assert (await client.download(link)).headers["Location"] == "http://127.0.0.1:99999/a.png"
    assert (await client.download(link)).status == 200


@pytest.mark.parametrize("of", KINDS)
def test_a_kind_that_does_not_exist_is_refused_with_the_one_that_was_meant(of: str) -> None:
    kind = next(iter(KINDS[of]))
    with pytest.raises(FaultProblem, match=re.escape(f"did you mean {kind}?")):
        FaultPlan.parse(f"{of}.malformed=1%:{kind[:-1]}", 0)
