"""Answers as this server gives them, and the ways it fails to give them."""

import json
import socket
import struct
from typing import Any

from aiohttp import web

HTML = (
    b"<!doctype html><html><head><title>One moment, please</title></head>"
    b"<body><h1>Checking your connection</h1><p>rehearsal gateway</p></body></html>"
)
SERVER_ERRORS = (500, 502, 503, 504)

# `json.dumps` with separators makes an encoder for every call.
_encoded = json.JSONEncoder(separators=(",", ":")).encode

# error_code -> (HTTP status, error_message)
DOCUMENTED_ERRORS = {
    400001: (400, "InvalidResourceIdentifier"),
    400002: (402, "InsufficientResources"),
    400004: (401, "UserAccountError"),
    400005: (400, "RequestNotReady"),
    403001: (403, "PermissionDeniedError"),
    404001: (404, "ResourceNotFound"),
}


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = _encoded(content).encode()
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json", **(headers or {})})


def error_answer(error_code: int, says: str, status: int | None = None) -> web.Response:
    """A documented error; *status* overrules its usual HTTP status."""
    usual, name = DOCUMENTED_ERRORS[error_code]
    return json_answer({"error_code": error_code, "error_message": f"{name}: {says}"}, status or usual)


def too_many(wait_s: float | None) -> web.Response:
    """429 in the manner of a gateway, with Retry-After in whole seconds unless *wait_s* is None."""
    return json_answer({"message": "too many requests"}, 429, {} if wait_s is None else _retry_after(wait_s))


def overloaded(wait_s: float) -> web.Response:
    """503 in the words of the API itself."""
    return json_answer({"error_code": 503001, "error_message": "ServiceOverloaded"}, 503, _retry_after(wait_s))


def _retry_after(wait_s: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, int(-(-wait_s // 1))))}


def guru_meditation() -> web.Response:
    """503 of a cache that lost the answer of the server behind it. It says when to come back all the same."""
    page = "<!DOCTYPE html><html><head><title>503 Backend fetch failed</title></head></html>"
    return web.Response(text=page, status=503, content_type="text/html", headers={"Retry-After": "5"})


def html_answer() -> web.Response:
    return web.Response(body=HTML, content_type="text/html")


def server_error(nth: int) -> web.Response:
    """500, 502, 503 and 504 in turn: the first is JSON, the others are a gateway's plain text."""
    status = SERVER_ERRORS[nth % len(SERVER_ERRORS)]
    if status == 500:
        return json_answer({"message": "internal error"}, 500)
    return web.Response(text="upstream error\n", status=status)


def reset(request: web.BaseRequest) -> web.Response:
    """Reset the connection. The answer returned goes nowhere."""
    if request.transport is not None:
        sock = request.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


async def cut(request: web.BaseRequest, body: bytes, status: int, headers: dict[str, str]) -> web.StreamResponse:
    """Promise all of *body*, send half of it and close."""
    answer = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(len(body))})
    try:
        await answer.prepare(request)
        await answer.write(body[: len(body) // 2])
    except ConnectionError:
        return answer
    if request.transport is not None:
        request.transport.close()
    return answer


async def handed_over(request: web.BaseRequest, answer: web.StreamResponse) -> bool:
    """Send *answer* now; say whether all of it went to a socket that was still open."""
    try:
        await answer.prepare(request)
        await answer.write_eof()
    except ConnectionError:
        return False
    return request.transport is not None and not request.transport.is_closing()
