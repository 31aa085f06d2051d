"""Where the bytes of outputs come from: drawn once each, off the event loop, and kept in a temporary folder."""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from batchgen.simulator.account import Job
from batchgen.simulator.catalog import Catalogue
from batchgen.simulator.tiny import sized, tiny_png

SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "video/mp4": ".mp4",
    "audio/wav": ".wav",
}
IMAGE_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "jpg": "image/jpeg", "webp": "image/webp"}


@dataclass(frozen=True)
class Drawn:
    """One output as it is served."""

    content: bytes | Path
    size: int
    media_type: str
    etag: str

    @cached_property
    def sha256(self) -> str:
        """Reckoned when asked for: at a megabyte an output it would be most of a download's cost."""
        return hashlib.sha256(self.read()).hexdigest()

    def read(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


class Gallery:
    """Outputs by (job, index).

    `full` draws with Pillow in as many threads as there are processors; the cheap ways (`tiny`, `bytes:1MB`) make
    every picture anew whenever it is asked for, as PNG, which costs less than keeping it. Videos and sounds are drawn.
    """

    def __init__(self, draw: str, catalogue: Catalogue, folder: Path) -> None:
        self.folder = folder
        self._catalogue = catalogue
        self._cheap_png: Callable[[bytes], bytes] | None = None
        if draw != "full":
            self._cheap_png = tiny_png if draw == "tiny" else sized(draw).png
        self._drawn: dict[tuple[str, int], asyncio.Future[Drawn]] = {}
        self._threads = os.cpu_count() or 1
        self._undrawn = 0
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="draw")

    def media_type(self, job: Job) -> str:
        """Known before the output is drawn, as links end with its suffix."""
        model = self._catalogue.models[job.model_id]
        if self._cheap(job) is not None:
            return "image/png"
        if model.media == "image":
            default = model.properties.get("output_format", {}).get("default")
            return IMAGE_TYPES.get(str(submitted_input(job).get("output_format", default)), "image/png")
        return {"video": "video/mp4", "audio": "audio/wav"}[model.media]

    def known(self, job: Job, index: int) -> Drawn | None:
        """The output if it can be had without drawing: made cheaply, or drawn before."""
        if cheap := self._cheap(job):
            content = cheap(f"{job.request_id} {index}".encode())
            return Drawn(content, len(content), "image/png", f'"{job.request_id}-{index}"')
        future = self._drawn.get((job.request_id, index))
        return future.result() if future is not None and future.done() else None

    def start(self, job: Job, index: int) -> "asyncio.Future[Drawn]":
        """Have the output drawn, if nobody did yet."""
        key = (job.request_id, index)
        if key not in self._drawn:
            path = self.folder / f"{job.request_id}-{index}"
            loop = asyncio.get_running_loop()
            self._drawn[key] = loop.run_in_executor(self._pool, self._draw, job, index, path)
            self._undrawn += 1
            self._drawn[key].add_done_callback(self._one_less)
        return self._drawn[key]

    def _one_less(self, _: "asyncio.Future[Drawn]") -> None:
        self._undrawn -= 1

    async def output(self, job: Job, index: int) -> Drawn:
        known = self.known(job, index)
        return known if known is not None else await asyncio.shield(self.start(job, index))

    def hurry(self, job: Job) -> None:
        """Start on what will be fetched soon, where a thread has nothing to do: somebody was just given the links.

        What is being fetched never waits for this: clients give up a file host that says nothing for a minute.
        """
        if self._cheap(job) is None:
            for index in range(min(job.made, self._threads - self._undrawn)):
                self.start(job, index)

    def _cheap(self, job: Job) -> Callable[[bytes], bytes] | None:
        return self._cheap_png if self._catalogue.models[job.model_id].media == "image" else None

    def _draw(self, job: Job, index: int, path: Path) -> Drawn:
        from batchgen.simulator.renderer import Order, drawn  # Pillow only where something is drawn

        model = self._catalogue.models[job.model_id]
        media_type = self.media_type(job)
        content = drawn(Order(job.model_id, submitted_input(job), model.properties, index, media_type))
        path.write_bytes(content)
        return Drawn(path, len(content), media_type, f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"')

    def close(self) -> None:
        """Drop what was not begun; what is being drawn ends on its own."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def submitted_input(job: Job) -> dict[str, Any]:
    """The body of the job's POST."""
    body = job.body if isinstance(job.body, bytes) else job.body.read_bytes()
    submitted: dict[str, Any] = json.loads(body)
    return submitted
