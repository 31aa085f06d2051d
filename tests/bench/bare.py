"""The floor: a bare aiohttp loop without state, retries or a manifest, which writes its files and syncs nothing.

    python -m tests.bench.bare URL ROWS AT_ONCE FOLDER

Does what a row needs (submit, one status, result, one file) and prints CPU and wall seconds of the loop alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from tests.processes import MODEL, TOKEN


async def _work(session: aiohttp.ClientSession, url: str, numbers: Iterator[int], folder: Path) -> None:
    for number in numbers:
        request = {"text": f"a dune {number}", "images": ["https://example.com/a.png"], "seed": number}
        async with session.post(f"{url}/v1/models/{MODEL}", json=request) as answer:
            request_id = (await answer.json())["request_id"]
        async with session.get(f"{url}/v1/requests/{request_id}/status") as answer:
            assert (await answer.json())["status"] == "completed"
        async with session.get(f"{url}/v1/requests/{request_id}/result") as answer:
            link = (await answer.json())["output"]["images"][0]
        async with session.get(link) as answer:
            content = await answer.read()
        (folder / f"{number:07d}.png").write_bytes(content)


async def _all(url: str, rows: int, at_once: int, folder: Path) -> None:
    numbers = iter(range(rows))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once), headers=headers) as session:
        await asyncio.gather(*(_work(session, url, numbers, folder) for _ in range(at_once)))


def main() -> None:
    url, rows, at_once, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    began, used = time.perf_counter(), time.process_time()
    asyncio.run(_all(url, rows, at_once, folder))
    print(json.dumps({"cpu_s": time.process_time() - used, "wall_s": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
