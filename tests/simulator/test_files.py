"""The file host over real HTTP: whole files, ranges, links that expire, and hostile downloads."""

import asyncio
import hashlib
import io
import os

import aiohttp
import pytest
from PIL import Image
from yarl import URL

from tests.simulator.client import Client, Start


async def first_link(client: Client, text: str = "a dune") -> str:
    links = await client.links(await client.accepted(text))
    return links[0]


async def test_a_file_is_what_the_ledger_says_and_no_two_are_equal(start: Start) -> None:
    client = await start()
    links = await client.links(await client.accepted(count=15))
    files = [await client.download(link) for link in links]
    outputs = (await client.ledger())["charged"][0]["outputs"]
    assert [hashlib.sha256(file.body).hexdigest() for file in files] == [output["sha256"] for output in outputs]
    assert [client.server.files_url + output["url_path"] for output in outputs] == links
    assert {(file.status, file.headers["Content-Type"]) for file in files} == {(200, "image/png")}
    assert len({file.body for file in files}) == 15
    for file in files:
        Image.open(io.BytesIO(file.body)).load()


async def test_a_file_can_be_of_a_given_weight_and_is_still_a_picture(start: Start) -> None:
    client = await start(draw="bytes:300KB")
    file = await client.download(await first_link(client))
    assert 0.95 * 300_000 < len(file.body) < 1.05 * 300_000
    Image.open(io.BytesIO(file.body)).load()


async def test_a_picture_that_is_fetched_does_not_wait_for_those_that_nobody_fetches_yet(start: Start) -> None:
    client = await start(draw="full")
    jobs = [await client.links(await client.accepted(text, count=15)) for text in ("a dune", "a lake")]
    assert (await client.download(jobs[-1][-1])).status == 200
    provider = client.server.provider
    outputs = [(job, index) for job in provider.account.jobs.values() for index in range(job.made)]
    drawn = [output for output in outputs if provider.gallery.known(*output) is not None]
    assert len(outputs) == 30
    assert len(drawn) <= len(jobs) * (os.cpu_count() or 1) + 1


async def test_a_path_is_percent_encoded_and_only_its_exact_bytes_are_the_file(start: Start) -> None:
    client = await start()
    link = await first_link(client)
    assert "%3D%3D/" in link
    assert (await client.download(link)).status == 200
    assert (await client.download(link.replace("%3D", "="))).status == 404


async def test_files_of_different_jobs_share_their_last_segment(start: Start) -> None:
    client = await start()
    one, other = await first_link(client, "one"), await first_link(client, "other")
    assert one != other
    assert one.rpartition("/")[2] == other.rpartition("/")[2]


async def test_a_link_dies_and_the_next_result_has_a_fresh_one(start: Start) -> None:
    client = await start(faults="expire=300ms")
    request_id = await client.accepted()
    (link,) = await client.links(request_id)
    assert "?Expires=" in link
    assert (await client.download(link)).status == 200
    assert (await client.download(link.replace("Signature=", "Signature=0"))).status == 403
    await asyncio.sleep(0.35)
    assert (await client.download(link)).status == 403
    assert (await client.download((await client.links(request_id))[0])).status == 200


async def test_a_part_can_be_asked_for_and_only_of_the_same_file(start: Start) -> None:
    client = await start()
    link = await first_link(client)
    whole = await client.download(link)
    size, etag = len(whole.body), whole.headers["ETag"]
    part = await client.download(link, Range="bytes=10-", **{"If-Range": etag})
    assert (part.status, part.body) == (206, whole.body[10:])
    assert part.headers["Content-Range"] == f"bytes 10-{size - 1}/{size}"
    assert (await client.download(link, Range="bytes=0-3")).body == whole.body[:4]
    assert (await client.download(link, Range="bytes=-4")).body == whole.body[-4:]
    changed = await client.download(link, Range="bytes=10-", **{"If-Range": '"other"'})
    assert (changed.status, changed.body) == (200, whole.body)
    beyond = await client.download(link, Range=f"bytes={size}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")


async def test_a_token_at_the_file_host_is_counted(start: Start) -> None:
    client = await start()
    link = await first_link(client)
    await client.download(link)
    assert (await client.ledger())["tokens_at_file_host"] == 0
    await client.download(link, Authorization="Bearer rehearsal")
    assert (await client.ledger())["tokens_at_file_host"] == 1


@pytest.mark.parametrize("fault", ["truncate", "drop"])
async def test_a_download_may_break_off(start: Start, fault: str) -> None:
    client = await start(faults=f"download.{fault}=x3")
    link = await first_link(client)
    with pytest.raises(aiohttp.ClientError):
        await client.download(link)
    await client.control(faults="")
    assert (await client.download(link)).status == 200


async def test_a_download_may_be_something_else(start: Start) -> None:
    client = await start()
    link = await first_link(client)
    good = (await client.download(link)).body

    async def faulty(fault: str) -> tuple[int, str, bytes]:
        await client.control(faults=f"download.{fault}=#1")
        answer = await client.download(link)
        return answer.status, answer.headers.get("Content-Type", ""), answer.body

    status, media_type, body = await faulty("html")
    assert (status, media_type, body[:15]) == (200, "text/html", b"<!doctype html>")
    assert await faulty("empty") == (200, "image/png", b"")
    assert await faulty("wrong_type") == (200, "application/octet-stream", good)
    status, media_type, body = await faulty("corrupt")
    assert (status, len(body), body == good) == (200, len(good), False)
    with pytest.raises((OSError, SyntaxError)):
        Image.open(io.BytesIO(body)).load()
    assert [(await faulty(fault))[0] for fault in ("403", "404", "410", "5xx")] == [403, 404, 410, 500]


async def test_a_redirect_leads_to_the_file_or_into_a_private_network(start: Start) -> None:
    client = await start(faults="download.redirect=#1,download.redirect_private=#2")
    link = await first_link(client)
    moved = await client.download(link)
    assert moved.status == 302
    assert (await client.download(client.server.files_url + moved.headers["Location"])).status == 200
    assert (await client.download(link)).headers["Location"] == "http://10.0.0.1/output.png"


async def test_an_endless_file_does_not_end_and_does_not_stop_the_others(start: Start) -> None:
    client = await start(faults="download.endless=#1")
    link = await first_link(client)
    async with client.session.get(URL(link, encoded=True)) as endless:
        assert endless.content_length is None
        assert len(await endless.content.readexactly(3_000_000)) == 3_000_000
        assert (await client.download(link)).status == 200


async def test_a_slow_file_is_whole_in_the_end(start: Start) -> None:
    client = await start(faults="download.slow=#1:200ms")
    link = await first_link(client)
    began = asyncio.get_running_loop().time()
    slow = (await client.download(link)).body
    assert asyncio.get_running_loop().time() - began >= 0.15
    assert slow == (await client.download(link)).body
