"""A provider that costs next to nothing, in a process of its own, so that what is measured is the client.

    python -m tests.bench.provider [--bytes 1000 | --pictures FOLDER]

Prints `{"url": ...}`. Jobs end at once, nothing fails, and files are the same few for every job. It speaks as much of
the protocol as a run needs, on a bare asyncio protocol: the embedded server checks and charges, and takes longer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from itertools import count
from pathlib import Path

from batchgen.simulator.catalog import Catalogue
from batchgen.simulator.tiny import sized

_MODELS, _REQUESTS, _FILES = b"/v1/models/", b"/v1/requests/", b"/files/"
_END_OF_HEAD = b"\r\n\r\n"


class Provider:
    """Answers by method and path. *files* are handed out in turn."""

    def __init__(self, files: list[bytes]) -> None:
        self.url = ""
        self._files = files
        self._numbers = count()
        self._catalogue = Catalogue()

    def answer(self, method: bytes, path: bytes) -> bytes:
        if path.startswith(_FILES):
            number = int(path[len(_FILES) :].split(b".")[0])
            return _http(self._files[number % len(self._files)], b"image/png", b'ETag: "%d"\r\n' % number)
        if path.startswith(_REQUESTS):
            request_id, _, verb = path[len(_REQUESTS) :].decode().partition("/")
            return _json(self._result(request_id) if verb.startswith("result") else self._status(request_id))
        if method == b"POST":
            return _json({"request_id": f"bench-{next(self._numbers)}", "status": "in_queue"})
        if path.startswith(_MODELS):
            model = self._catalogue.models[path[len(_MODELS) :].decode()]
            return _json(model.entry(include_schema=True))
        return _json({"balance_microdollars": 10**12})

    def _status(self, request_id: str) -> dict[str, str]:
        base = f"{self.url}/v1/requests/{request_id}"
        told = {"request_id": request_id, "status": "completed"}
        return told | {"status_url": f"{base}/status", "result_url": f"{base}/result"}

    def _result(self, request_id: str) -> dict[str, object]:
        url = f"{self.url}/files/{request_id.removeprefix('bench-')}.png"
        told = {"request_id": request_id, "status": "succeeded", "created_at": "2026-01-01T00:00:00Z"}
        return told | {"output": {"images": [url]}, "cost": 0.03, "finished_at": "2026-01-01T00:00:00Z"}


class _Connection(asyncio.Protocol):
    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._received += data
        while (end := self._received.find(_END_OF_HEAD)) >= 0:
            head = self._received[:end]
            whole = end + len(_END_OF_HEAD) + _length(head)
            if len(self._received) < whole:
                return
            self._received = self._received[whole:]
            method, path, _ = head.split(b" ", 2)
            self._transport.write(self._provider.answer(method, path))


def _length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.find(b"content-length:")
    return 0 if start < 0 else int(lowered[start + 15 :].split(b"\r\n", 1)[0])


def _json(content: object) -> bytes:
    return _http(json.dumps(content).encode(), b"application/json")


def _http(body: bytes, media_type: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n%bContent-Length: %d\r\n\r\n%b" % (
        media_type,
        more,
        len(body),
        body,
    )


async def _serve(provider: Provider) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(provider), "127.0.0.1", 0, backlog=1024)
    provider.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    sys.stdout.write(json.dumps({"url": provider.url}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=1000)
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    if arguments.pictures is None:
        make = sized(f"bytes:{arguments.bytes}B")
        files = [make.png(b"%06d" % number) for number in range(1000)]
    else:
        files = [path.read_bytes() for path in sorted(arguments.pictures.iterdir())]
    asyncio.run(_serve(Provider(files)))


if __name__ == "__main__":
    main()
