"""The embedded server: routes, start and end. Two ports on 127.0.0.1, one for the API and one for files."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from batchgen.simulator import requests
from batchgen.simulator.answers import error_answer, json_answer
from batchgen.simulator.catalog import MICRODOLLARS
from batchgen.simulator.files import serve_file
from batchgen.simulator.ledger import ledger
from batchgen.simulator.options import ServeOptions
from batchgen.simulator.provider import Provider
from batchgen.simulator.submit import submit

__all__ = ["Running", "ServeOptions", "running", "serve"]

LOOPBACK = "127.0.0.1"
LARGEST_BODY_BYTES = 96 * 2**20
NO_WALLET_MICRO = 1_000_000 * MICRODOLLARS
MODELS, REQUESTS = "/v1/models", "/v1/requests/"


class Running:
    """A server that answers: *url* of its API, *files_url* of its file host."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    @property
    def url(self) -> str:
        return self.provider.api_url

    @property
    def files_url(self) -> str:
        return self.provider.files_url


class _Request(web.BaseRequest):
    """aiohttp's request with room for pictures inlined in the body."""

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY_BYTES)


class Api:
    """The routes of the API's port, found by hand: a router would be half of a request's cost."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith("/__"):
            return await self._back_door(request, path)
        provider = self.provider
        is_submit = request.method == "POST" and path.startswith(MODELS + "/")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        owner = provider.owners.get(token) if scheme == "Bearer" else None
        if owner is None:
            provider.counters["unauthorised"] += 1
            return error_answer(400004, "missing or unknown token")
        if is_submit:
            provider.counters["submit"] += 1
            return await submit(provider, request, owner, path[len(MODELS) + 1 :])
        if path.startswith(REQUESTS):
            return await self._of_request(request, owner, path[len(REQUESTS) :])
        if request.method == "GET":
            return self._reading(request, path)
        return json_answer({"message": "no such route"}, 404)

    async def _of_request(self, request: web.BaseRequest, owner: str, rest: str) -> web.StreamResponse:
        request_id, _, verb = rest.partition("/")
        route = (request.method, verb)
        if route not in (("GET", "status"), ("GET", "result"), ("POST", "cancel")):
            return json_answer({"message": "no such route"}, 404)
        self.provider.counters[verb] += 1
        job = self.provider.find(request_id, owner)
        if job is None:
            return requests.gone(request_id)
        if verb == "cancel":
            return requests.cancel(self.provider, job)
        return await (requests.status if verb == "status" else requests.result)(self.provider, request, job)

    def _reading(self, request: web.BaseRequest, path: str) -> web.Response:
        """The catalogue, and the balance that the real provider keeps on its other host."""
        catalogue = self.provider.catalogue
        if path == "/prod/v2/balance":
            left = self.provider.account.wallet_micro
            micro = NO_WALLET_MICRO if left is None else left
            usd = micro / MICRODOLLARS
            return json_answer({"balance_usd": usd, "balance_microdollars": micro, "currency": "USD"})
        if path == f"{MODELS}/categories":
            return json_answer({"categories": catalogue.categories()})
        if path.startswith(f"{MODELS}/"):
            model = catalogue.models.get(path[len(MODELS) + 1 :])
            if model is None:
                return error_answer(400001, f"no model '{path[len(MODELS) + 1 :]}'")
            return json_answer(model.entry(include_schema=True))
        if path != MODELS:
            return json_answer({"message": "no such route"}, 404)
        try:
            return json_answer(catalogue.page(dict(request.query)))
        except ValueError as problem:
            return json_answer({"message": str(problem)}, 400)

    async def _back_door(self, request: web.BaseRequest, path: str) -> web.Response:
        """What no provider has: the ledger, and a way to change its mind."""
        if path == "/__ledger" and request.method == "GET":
            return json_answer(await ledger(self.provider, summary=request.query.get("summary") == "1"))
        if path == "/__control" and request.method == "POST":
            try:
                self.provider.change(json.loads(await request.read()))
            except (ValueError, TypeError) as problem:
                return json_answer({"message": str(problem)}, 400)
            return json_answer(self.provider.shown_options())
        return json_answer({"message": "there are GET /__ledger and POST /__control"}, 404)


@asynccontextmanager
async def running(options: ServeOptions) -> AsyncIterator[Running]:
    """A server on this event loop, gone with its temporary folder when the block ends.

    Raises ValueError if *options* cannot be read and OSError if the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        provider = Provider(options, Path(folder))
        api = _runner(Api(provider).handle)
        files = _runner(lambda request: serve_file(provider, request))
        try:
            provider.files_url = await _listen(files, 0)
            provider.api_url = await _listen(api, options.port)
            yield Running(provider)
        finally:
            await api.cleanup()
            await files.cleanup()
            provider.gallery.close()


def _runner(handle: Any) -> web.ServerRunner:
    server = web.Server(handle, request_factory=_Request, access_log=None)
    return web.ServerRunner(server, shutdown_timeout=0.1)


async def _listen(runner: web.ServerRunner, port: int) -> str:
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port, backlog=1024).start()
    host, taken = runner.addresses[0][:2]
    return f"http://{host}:{taken}"


def serve(options: ServeOptions) -> None:
    """Print `{"url": ..., "files_url": ...}` as the first line and answer until SIGINT, SIGTERM or the parent's end."""
    asyncio.run(_serve(options))


async def _serve(options: ServeOptions) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with running(options) as server:
        sys.stdout.write(json.dumps({"url": server.url, "files_url": server.files_url}) + "\n")
        sys.stdout.flush()
        while not ended.is_set():
            try:
                await asyncio.wait_for(ended.wait(), None if options.parent_pid is None else 1.0)
            except TimeoutError:
                if os.getppid() != options.parent_pid:
                    return
