"""A real server on loopback for every test that wants one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from batchgen.simulator.server import ServeOptions, running
from tests.simulator.client import Client, Start


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a server whose jobs end at once and whose pictures are tiny, unless the options say otherwise."""
    async with AsyncExitStack() as stack:

        async def started(**options: Any) -> Client:
            server = await stack.enter_async_context(
                running(ServeOptions(**{"draw": "tiny", "latency": "fixed:0ms", **options}))
            )
            return Client(server, await stack.enter_async_context(aiohttp.ClientSession()))

        yield started
