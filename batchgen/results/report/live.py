"""The live page: the same page on loopback, under an address that nobody can guess.

It reads the state, and writes nothing but thumbnails and the marks that a person gives.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from batchgen.results.report.changes import Look, Sources, original, thumb
from batchgen.results.report.render import policy
from batchgen.results.reviews import MARKS, append_mark
from batchgen.storage.paths import RunFolder

_EVERY_S = 0.5
_CALM = 8
"""The state is asked, and figures are reckoned anew, an eighth of the time at most: on large folders less often."""

_ROWS_A_MESSAGE = 500
_SILENCE_S = 15.0
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_NO_THUMB = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 3 2"/>'


class LivePage:
    """Serves one run folder. *out* is the folder as commands name it."""

    def __init__(self, folder: RunFolder, out: str) -> None:
        self.folder = folder
        self.token = secrets.token_urlsafe(24)
        self._out = out
        self._sources: Sources = {}
        self._marks_changed = 0
        self._closing = asyncio.Event()
        self._port = 0
        self._making = asyncio.Semaphore(4)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/{self.token}/"

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[None]:
        """Serve on loopback while open; port 0 takes a free one."""
        application = web.Application(middlewares=[self._guard], client_max_size=64 * 1024)
        here = f"/{self.token}"
        application.router.add_get(f"{here}/", self._page)
        application.router.add_get(f"{here}/events", self._events)
        application.router.add_get(f"{here}/thumbs/{{folder}}/{{key:[0-9a-f]{{32}}}}.webp", self._thumb)
        application.router.add_get(f"{here}/rows/{{row}}/{{name}}", self._original)
        application.router.add_post(f"{here}/marks", self._mark)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            self._port = runner.addresses[0][1]
            yield
        finally:
            self._closing.set()
            await runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer only to our own address: a foreign name that resolves to this machine is another site's script."""
        if request.headers.get("Host") not in (f"127.0.0.1:{self._port}", f"localhost:{self._port}"):
            raise web.HTTPForbidden(text="this page answers to 127.0.0.1 only")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    @asynccontextmanager
    async def _looking(self) -> AsyncIterator[Look]:
        look = await asyncio.to_thread(Look, self.folder, self._out, self._sources)
        try:
            yield look
        finally:
            look.close()

    async def _page(self, request: web.Request) -> web.Response:
        async with self._looking() as look:
            text = await asyncio.to_thread(look.page)
        headers = {"Cache-Control": "no-store", "Content-Security-Policy": f"{policy(True)}; frame-ancestors 'none'"}
        body = text.encode("utf-8", "replace")
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)

    async def _thumb(self, request: web.Request) -> web.StreamResponse:
        async with self._making:
            path = await asyncio.to_thread(thumb, self.folder, self._sources, request.match_info["key"])
        if path is None:  # a picture without a thumbnail is an empty frame, not an error on the page
            return web.Response(body=_NO_THUMB, content_type="image/svg+xml", headers={"Cache-Control": "no-store"})
        return web.FileResponse(path, headers=_HEADERS | {"Cache-Control": "private, max-age=86400"})

    async def _original(self, request: web.Request) -> web.StreamResponse:
        path = await asyncio.to_thread(original, self.folder, request.match_info["row"], request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound
        return web.FileResponse(path, headers=_HEADERS | {"Content-Security-Policy": "default-src 'none'; sandbox"})

    async def _mark(self, request: web.Request) -> web.Response:
        """Keep one mark. Only a script of this very page may: its origin is asked for, and JSON, which forms cannot."""
        if request.headers.get("Origin") != f"http://{request.headers['Host']}":
            raise web.HTTPForbidden(text="marks come from this page only")
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        try:
            told = json.loads(await request.text())
            row_id, name, mark = str(told["row"]), str(told["file"]), told["mark"]
        except (ValueError, KeyError, TypeError):
            raise web.HTTPBadRequest from None
        if mark not in MARKS:
            raise web.HTTPBadRequest(text=f"a mark is one of {', '.join(MARKS)}")
        async with self._looking() as look:
            sha256 = await asyncio.to_thread(look.sha256_of, row_id, name)
        if sha256 is None:
            raise web.HTTPNotFound(text="the row has no such output")
        await asyncio.to_thread(append_mark, self.folder, row_id, name, sha256, mark, time.time())
        self._marks_changed += 1
        return web.Response(status=204)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers=_HEADERS | {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        async with self._looking() as look:
            with suppress(ConnectionResetError):  # the page was closed
                await self._tell(response, look)
        return response

    async def _tell(self, response: web.StreamResponse, look: Look) -> None:
        """Send what changes until the page goes away or the server ends."""
        marks_told, spoken_at = -1, time.monotonic()
        quick = [_Part("summary", look.heading), _Part("findings", look.findings)]
        parts = [*quick, _Part("books", look.books)]
        while not self._closing.is_set():
            begun = time.monotonic()
            keys = await asyncio.to_thread(look.news)
            looked_s = time.monotonic() - begun
            for part in parts:
                part.stale |= bool(keys)
            if marks_told != self._marks_changed:
                marks_told = self._marks_changed
                await _send(response, "marks", await asyncio.to_thread(look.marks))
            told = await _tell_parts(response, quick)
            await self._tell_rows(response, look, keys)
            told |= await _tell_parts(response, parts)
            if told or keys:
                spoken_at = time.monotonic()
            if time.monotonic() - spoken_at > _SILENCE_S:
                await response.write(b": still here\n\n")
                spoken_at = time.monotonic()
            await _sleep(self._closing, max(_EVERY_S, _CALM * looked_s))

    async def _tell_rows(self, response: web.StreamResponse, look: Look, keys: list[int]) -> None:
        """Send the rows of *keys*."""
        for start in range(0, len(keys), _ROWS_A_MESSAGE):
            if self._closing.is_set():
                return
            await _send(response, "rows", await asyncio.to_thread(look.rows, keys[start : start + _ROWS_A_MESSAGE]))


@dataclass(slots=True)
class _Part:
    """The element *name* of the page, made anew once it is *stale*, an eighth of the time at most."""

    name: str
    make: Callable[[], object]
    stale: bool = True
    due_at: float = 0.0

    async def made(self) -> object:
        begun = time.monotonic()
        made = await asyncio.to_thread(self.make)
        self.stale, self.due_at = False, time.monotonic() + max(1.0, _CALM * (time.monotonic() - begun))
        return made


async def _tell_parts(response: web.StreamResponse, parts: Iterable[_Part]) -> bool:
    """Send those of *parts* that are due, and say whether any was."""
    due = [part for part in parts if part.stale and time.monotonic() >= part.due_at]
    for part in due:
        await _send(response, "part", {part.name: await part.made()})
    return bool(due)


async def _sleep(until: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(until.wait(), seconds)
    except TimeoutError:
        return


async def _send(response: web.StreamResponse, kind: str, told: object) -> None:
    text = json.dumps(told, ensure_ascii=True, separators=(",", ":"))
    await response.write(f"event: {kind}\ndata: {text}\n\n".encode())


async def serve(out: Path, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page of *out* until cancelled; *ready* is given its address. Raises StateUnusable for no run folder."""
    live = LivePage(RunFolder.at(out), str(out))
    async with live._looking():
        pass  # refuse now what is no run folder
    async with live.serving(port):
        ready(live.url)
        await asyncio.Event().wait()
