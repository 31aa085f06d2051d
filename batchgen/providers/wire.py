"""The only sessions that hold a key. It goes to the API's own host and nowhere else."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import aiohttp
from yarl import URL

from batchgen import __version__
from batchgen.proxies import proxy_for
from batchgen.redaction import redacted, sentence

MAX_POSTS_ON_THE_WIRE = 32
_READ_S = 150.0
_CONNECT_S = 30.0
_GET_S = 60.0
_ANSWER_BYTES = 64 * 1024 * 1024
_IDLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. *body* is its JSON, None if it had none; *text* its beginning, for messages."""

    status: int
    headers: Mapping[str, str]
    body: Any
    text: str


class NothingSent(Exception):
    """No connection could be made: nothing was handed over."""


class AnswerLost(Exception):
    """The request was handed over, and its answer did not come whole."""


class Wire:
    """HTTP with the key. Redirects are never followed, no cookie is kept, and no request is repeated here."""

    def __init__(self, base: str, token: str) -> None:
        self._base = str(URL(base)).rstrip("/")
        self._proxy = proxy_for(base)
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": f"batchgen/{__version__}"}
        self._posts: aiohttp.ClientSession | None = None
        self._gets: aiohttp.ClientSession | None = None
        self._retired: list[aiohttp.ClientSession] = []

    async def post(
        self, path: str, body: Mapping[str, Any], before_sending: Callable[[], Awaitable[None]] | None = None
    ) -> Answer:
        """One POST, once. *before_sending* is awaited when the connection is held, before the first byte.

        Raises NothingSent if no connection was made, AnswerLost for everything that went wrong later, and what
        *before_sending* raised, in which case nothing was sent.
        """
        gate = _Gate(before_sending)
        try:
            async with self._posting().post(
                _url(self._base + path),
                json=body,
                allow_redirects=False,
                trace_request_ctx=gate,
                proxy=self._proxy,
            ) as response:
                return await _read(response)
        except (aiohttp.ClientError, OSError) as error:  # a time-out is an OSError too
            if gate.refused is not None:
                raise gate.refused from None
            if not gate.passed:
                raise NothingSent(_sentence(error)) from None
            raise AnswerLost(_sentence(error)) from None

    async def get(self, path: str, params: Mapping[str, str] | None = None, base: str | None = None) -> Answer:
        """One GET. Raises AnswerLost if no whole answer came."""
        url = (base or self._base) + path
        try:
            proxy = self._proxy if base is None else proxy_for(url)  # looked up once: it costs more than the JSON
            async with self._getting().get(_url(url), params=params, allow_redirects=False, proxy=proxy) as response:
                return await _read(response)
        except (aiohttp.ClientError, OSError) as error:  # a time-out is an OSError too
            raise AnswerLost(_sentence(error)) from None

    async def drop_connections(self) -> None:
        """Use new connections from here on; requests under way keep theirs."""
        self._retired += [session for session in (self._posts, self._gets) if session is not None]
        self._posts = self._gets = None

    async def close(self) -> None:
        for session in (self._posts, self._gets, *self._retired):
            if session is not None:
                await session.close()

    def _posting(self) -> aiohttp.ClientSession:
        """Idle connections that the server just closed make doubt: they are used again for 2 s only."""
        if self._posts is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_create_end.append(_open_gate)
            trace.on_connection_reuseconn.append(_open_gate)
            self._posts = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_POSTS_ON_THE_WIRE, keepalive_timeout=_IDLE_S),
                timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=_CONNECT_S, sock_read=_READ_S),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
            )
        return self._posts

    def _getting(self) -> aiohttp.ClientSession:
        if self._gets is None:
            self._gets = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=30.0),
                timeout=aiohttp.ClientTimeout(total=_GET_S, sock_connect=_CONNECT_S),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._gets


class _Gate:
    """Runs *before_sending* between the connection and the first byte, and remembers whether it let us pass."""

    def __init__(self, before_sending: Callable[[], Awaitable[None]] | None) -> None:
        self._before_sending = before_sending
        self.passed = False
        self.refused: Exception | None = None

    async def open(self) -> None:
        if self.passed:  # a proxied request makes two connections' worth of events
            return
        if self._before_sending is not None:
            try:
                await self._before_sending()
            except Exception as error:
                self.refused = error
                raise
        self.passed = True


@lru_cache(maxsize=1024)
def _url(quoted: str) -> URL:
    """Whoever made *quoted* of an id has quoted it: to do so again costs a good part of a poll, and would take an id
    of two dots for the folder above.
    """
    return URL(quoted, encoded=True)


async def _open_gate(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    await context.trace_request_ctx.open()


async def _read(response: aiohttp.ClientResponse) -> Answer:
    content = await response.content.read(_ANSWER_BYTES)
    while not response.content.at_eof() and len(content) < _ANSWER_BYTES:
        content += await response.content.read(_ANSWER_BYTES - len(content))
    if not response.content.at_eof():
        raise aiohttp.ClientPayloadError(f"the answer is longer than {_ANSWER_BYTES} bytes")
    text = content.decode(errors="replace")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    return Answer(response.status, response.headers, body, text[:300])


def _sentence(error: BaseException) -> str:
    """What went wrong in words for people, without the library's own and without anything secret."""
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):  # these have numbers of their own
        return redacted(str(error))
    if isinstance(error, aiohttp.ClientConnectorError):
        return redacted(f"{error.host}:{error.port}: {_of_system(error.os_error)}")
    if isinstance(error, OSError) and error.errno:
        return _of_system(error)
    return sentence(error)


def _of_system(error: OSError) -> str:
    """The system's own words; names that cannot be resolved have numbers of their own."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error)).lower()
