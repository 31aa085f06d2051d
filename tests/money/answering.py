"""A provider over a raw socket: POSTs are answered byte for byte as told, and what was accepted fails at once."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from tests.providers.rawserver import RawServer, Reply, Seen, listening, reply

ID = "3f0e4c1a-0000-4000-8000-000000000001"
ACCEPTED = reply(200, {"request_id": ID})


@dataclass
class AnsweringServer(RawServer):
    """`replies` are for POSTs only, the last one stands for all that follow; each answer takes *takes_s*.

    `open_after` is how many other POSTs were open at the end of each one, `arrived_at` when each one came (seconds
    of the monotonic clock). `third_post` is set once three have come.
    """

    takes_s: float = 0.0
    open_posts: int = 0
    open_after: list[int] = field(default_factory=list)
    arrived_at: list[float] = field(default_factory=list)
    third_post: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer_to(self, seen: Seen) -> Reply:
        return await self._post_answer() if seen.method == "POST" else _get_answer(seen.target)

    async def _post_answer(self) -> Reply:
        self.open_posts += 1
        self.arrived_at.append(time.monotonic())
        if len(self.arrived_at) >= 3:
            self.third_post.set()
        await asyncio.sleep(self.takes_s)
        self.open_posts -= 1
        self.open_after.append(self.open_posts)
        return self.next_reply()


def _get_answer(target: str) -> Reply:
    if target.endswith("/status"):
        return reply(200, {"status": "completed"})
    if "/result" in target:
        return reply(200, {"status": "failed", "error": "timeout 429", "cost": 0.03})
    return reply(404, {"error_code": 404001})


def answering(*replies: Reply, takes_s: float = 0.0) -> AbstractAsyncContextManager[AnsweringServer]:
    """A server on a free port of loopback that answers POSTs with *replies* in turn."""
    return listening(AnsweringServer(list(replies), takes_s=takes_s))
