"""A client that knows the provider's routes and nothing else."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from batchgen.simulator.server import Running

MODEL = "bytedance/seedream-4-0/edit-sequential"
Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    json: Any


def json_of(body: bytes) -> Any:
    """None where *body* is no JSON, as some faults have it."""
    try:
        return json.loads(body)
    except ValueError:
        return None


class Client:
    """Calls one server; every method is one request and tells what came back."""

    def __init__(self, server: Running, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session
        self.token = "rehearsal"

    async def call(self, method: str, url: str, **options: Any) -> Answer:
        async with self.session.request(method, URL(url, encoded=True), allow_redirects=False, **options) as answer:
            body = await answer.read()
            is_json = answer.content_type == "application/json"
            return Answer(answer.status, answer.headers, body, json_of(body) if is_json else None)

    async def api(self, method: str, path: str, **options: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.call(method, self.server.url + path, headers=headers, **options)

    async def post(self, text: str = "a dune", count: int = 1, **fields: Any) -> Answer:
        body = {"images": ["https://example.com/a.png"], "text": text, "sequential_image_generation_options": count}
        return await self.api("POST", f"/v1/models/{MODEL}", json={**body, **fields})

    async def accepted(self, text: str = "a dune", count: int = 1, **fields: Any) -> str:
        answer = await self.post(text, count, **fields)
        assert answer.status == 200, answer
        request_id: str = answer.json["request_id"]
        return request_id

    async def status(self, request_id: str) -> Answer:
        return await self.api("GET", f"/v1/requests/{request_id}/status")

    async def result(self, request_id: str) -> Answer:
        return await self.api("GET", f"/v1/requests/{request_id}/result?include_cost=true")

    async def links(self, request_id: str) -> list[str]:
        links: list[str] = (await self.result(request_id)).json["output"]["images"]
        return links

    async def download(self, url: str, **headers: str) -> Answer:
        return await self.call("GET", url, headers=headers)

    async def ledger(self) -> Json:
        ledger: Json = (await self.call("GET", self.server.url + "/__ledger")).json
        return ledger

    async def control(self, **changes: Any) -> Answer:
        return await self.call("POST", self.server.url + "/__control", json=changes)


Start = Callable[..., Awaitable[Client]]
