"""The only sessions that hold a key. It goes to the API's own host and nowhere else."""

from __future__ import annotations

import asyncio
import io
import json
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import aiohttp
from yarl import URL

from batchgen.core.proxies import proxy_for
from batchgen.core.redaction import redacted, sentence
from batchgen.core.version import __version__
from batchgen.providers.httpanswer import SMALL_BYTES, Answer, TooLong, read

MAX_POSTS_ON_THE_WIRE = 32
_READ_S = 150.0
_BODY_S = 150.0
_SOCKET_CONNECT_S = 30.0
_CONNECT_S = 40.0
"""Proxies and TLS included: a proxy may take the connection and say nothing."""
_GET_S = 60.0
_IDLE_S = 2.0
_WRITTEN_AT_ONCE_BYTES = 1024 * 1024
_TRIES = 3
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})
"""OpenSSL's codes for the answer of one who knows nothing of TLS."""


class NothingSent(Exception):
    """Nothing was handed over: no connection could be made, or none that could be trusted with a request."""


class AnswerLost(Exception):
    """The request was handed over, and its answer did not come whole."""


class NobodyAnswers(AnswerLost, ConnectionError):
    """No connection could be made, or no answer came in time: whatever else is asked now would fare no better."""


class Wire:
    """HTTP with the key. Redirects are never followed, no cookie is kept, and no request is repeated here."""

    def __init__(self, base: str, token: str) -> None:
        self._base = str(URL(base)).rstrip("/")
        self._proxy = proxy_for(base)
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": f"batchgen/{__version__}"}
        self._posts: aiohttp.ClientSession | None = None
        self._gets: aiohttp.ClientSession | None = None
        self._retired: list[aiohttp.ClientSession] = []
        self._places = asyncio.Semaphore(MAX_POSTS_ON_THE_WIRE)
        self._long_answers = asyncio.Lock()

    async def post(
        self, path: str, body: Mapping[str, Any], before_sending: Callable[[], Awaitable[None]] | None = None
    ) -> Answer:
        """One POST, once. *before_sending* is awaited when the connection is held, before the first byte.

        Raises NothingSent if nothing was handed over, AnswerLost for everything that went wrong later, and what
        *before_sending* raised, in which case nothing was sent. The answer may be as long as *body*, and no longer
        but for what any answer holds.
        """
        gate = _Gate(before_sending)
        content = json.dumps(body).encode()
        async with self._places:
            _gate_of_this_request.set(gate)
            try:
                async with self._posting().post(
                    _url(self._base + path),
                    data=content if len(content) < _WRITTEN_AT_ONCE_BYTES else io.BytesIO(content),
                    headers={"Content-Type": "application/json"},
                    allow_redirects=False,
                    proxy=self._proxy,
                ) as response:
                    async with asyncio.timeout(_BODY_S):  # one that drips would hold its row for ever
                        return await read(response, SMALL_BYTES + len(content))
            except (aiohttp.ClientError, OSError) as error:  # a time-out is an OSError too
                if gate.refused is not None:
                    raise gate.refused from None
                if not gate.passed:
                    raise NothingSent(_sentence(error)) from None
                raise AnswerLost(_sentence(error)) from None

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        base: str | None = None,
        most_bytes: int = SMALL_BYTES,
    ) -> Answer:
        """One GET. Raises AnswerLost if no whole answer of at most *most_bytes* came, NobodyAnswers if none can."""
        url = (base or self._base) + path
        try:
            proxy = self._proxy if base is None else proxy_for(url)  # looked up once: it costs more than the JSON
            async with self._getting().get(_url(url), params=params, allow_redirects=False, proxy=proxy) as response:
                return await read(response, most_bytes, self._long_answers)
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, TimeoutError) as error:
            raise NobodyAnswers(_sentence(error)) from None
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
            self._posts = aiohttp.ClientSession(
                connector=_QuietConnections(limit=MAX_POSTS_ON_THE_WIRE, keepalive_timeout=_IDLE_S),
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=_CONNECT_S, sock_connect=_SOCKET_CONNECT_S, sock_read=_READ_S
                ),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._posts

    def _getting(self) -> aiohttp.ClientSession:
        if self._gets is None:
            self._gets = aiohttp.ClientSession(
                connector=_QuietConnections(limit=64, keepalive_timeout=30.0),
                timeout=aiohttp.ClientTimeout(total=_GET_S, sock_connect=_SOCKET_CONNECT_S),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._gets


class _Gate:
    """Runs *before_sending* between the connection and the first byte. From *passed* on bytes may be on the wire."""

    def __init__(self, before_sending: Callable[[], Awaitable[None]] | None) -> None:
        self._before_sending = before_sending
        self.passed = False
        self.refused: Exception | None = None

    async def open(self) -> None:
        """Once for a request, however many connections it takes to find one that holds."""
        if self._before_sending is not None:
            before_sending, self._before_sending = self._before_sending, None
            try:
                await before_sending()
            except Exception as error:
                self.refused = error
                raise


_gate_of_this_request: ContextVar[_Gate | None] = ContextVar("_gate_of_this_request", default=None)


class _QuietConnections(aiohttp.TCPConnector):
    """Connections on which nobody has spoken out of turn.

    aiohttp would take what came on an idle connection for the answer to the next request. Servers and proxies say
    there that they are tired of waiting (408), and then hang up.
    """

    async def connect(  # its parameters are aiohttp's
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> aiohttp.connector.Connection:
        """A connection that is new or was used within the last seconds, with the request's gate passed."""
        gate = _gate_of_this_request.get() if req.method == "POST" else None
        for _ in range(_TRIES):
            connection = await super().connect(req, traces, timeout)
            held_at = time.monotonic()
            try:
                if gate is not None and _is_quiet(connection):
                    await gate.open()
                if _is_quiet(connection) and time.monotonic() - held_at <= _IDLE_S:
                    if gate is not None:
                        gate.passed = True
                    return connection
            except BaseException:
                connection.close()
                raise
            connection.close()
        raise aiohttp.ClientConnectionError(f"{req.url.host} answers or hangs up before anything is sent")


def _is_quiet(connection: aiohttp.connector.Connection) -> bool:
    """Whether the connection is open and nothing came on it since the last answer ended."""
    protocol = connection.protocol
    return protocol is not None and protocol.is_connected() and not protocol.should_close


@lru_cache(maxsize=1024)
def _url(quoted: str) -> URL:
    """Whoever made *quoted* of an id has quoted it: to do so again costs a good part of a poll, and would take an id
    of two dots for the folder above.
    """
    return URL(quoted, encoded=True)


def _sentence(error: BaseException) -> str:
    """What went wrong in words for people, without the library's own and without anything secret."""
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):  # these have numbers of their own
        return redacted(_of_tls(error))
    if isinstance(error, aiohttp.ClientConnectorError):
        return redacted(f"{error.host}:{error.port}: {_of_system(error.os_error)}")
    if isinstance(error, OSError) and error.errno:
        return _of_system(error)
    if isinstance(error, aiohttp.ClientPayloadError) and not isinstance(error, TooLong):
        return "the connection broke off before all of the answer came"  # the library names its own objects
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed before an answer came"  # the library may show what it parsed so far
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answers HTTP {error.status}"
    if isinstance(error, aiohttp.ClientResponseError):
        return "what answers there does not speak HTTP"
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return sentence(error)


def _of_tls(error: aiohttp.ClientSSLError | ssl.SSLError) -> str:
    """Why no TLS came about, or ended, without OpenSSL's codes."""
    where, cause = (
        (f"{error.host}:{error.port}: ", error.os_error) if isinstance(error, aiohttp.ClientSSLError) else ("", error)
    )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{where}its certificate is not to be trusted: {cause.verify_message.rstrip('.')}"
    code = getattr(cause, "reason", None) or ""
    if code in _NO_TLS:
        return f"{where}what answers there does not speak TLS"
    return f"{where}the TLS connection failed" + (f": {code.lower().replace('_', ' ')}" if code else "")


def _of_system(error: OSError) -> str:
    """The system's own words; names that cannot be resolved have numbers of their own."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error)).lower() or "the connection was closed before it was made"
