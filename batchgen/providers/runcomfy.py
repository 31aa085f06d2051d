"""RunComfy's Model API: submit, status, result, cancel, catalogue.

URLs are built from the id and our own base, never taken from an answer. What the API answers to a POST is read
by one table, `read_submit`; its documented error codes are numbers in the body and count under any HTTP status
below 500.
"""

from __future__ import annotations

import ipaddress
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from yarl import URL

from batchgen import logs
from batchgen.budget import micro
from batchgen.exits import Refusal
from batchgen.job import Output
from batchgen.providers.contract import (
    AccountBlocked,
    BeforeSending,
    Busy,
    Cancelled,
    CancelOutcome,
    Cause,
    Failure,
    Lost,
    ModelMissing,
    NoNews,
    NotSent,
    Over,
    Rejected,
    ResultAnswer,
    StatusAnswer,
    SubmitAnswer,
    Success,
    Taken,
    Unknown,
    Waiting,
)
from batchgen.providers.wire import Answer, AnswerLost, NothingSent, Wire
from batchgen.redaction import hide, redacted

DEFAULT_BASE = "https://model-api.runcomfy.net"
BALANCE_BASE = "https://api.runcomfy.net"

_BAD_ID, _NO_BALANCE, _BAD_ACCOUNT, _NOT_READY = 400001, 400002, 400004, 400005
_NOT_YOURS, _NOT_FOUND = 403001, 404001
_DOCUMENTED = frozenset({_BAD_ID, _NO_BALANCE, _BAD_ACCOUNT, _NOT_READY, _NOT_YOURS, _NOT_FOUND})

_QUEUED = frozenset({"in_queue", "queued", "pending", "waiting"})
_RUNNING = frozenset({"in_progress", "processing", "running", "starting"})
_DONE = frozenset({"completed", "succeeded", "failed", "cancelled", "canceled"})
_NOT_READY_YET = "not ready"
_KNOWN_WORDS = _QUEUED | _RUNNING | {_NOT_READY_YET}
_MAX_REASON = 300
_READ_FOR_REASON = 4_000


class NoAddress(Refusal):
    """What was given as the API base is no address. It is not repeated: it may be a token in the wrong place."""


def api_base(given: str | None) -> str:
    """The API base without a trailing `/v1` or slash, whichever way it was given. Raises NoAddress."""
    base = (given or DEFAULT_BASE).strip().rstrip("/")
    try:
        parts = urlsplit(base)
        right = parts.scheme in ("http", "https") and bool(URL(base).raw_host) and parts.port != 0
    except ValueError:  # such as a port that is no number, or a host that no name can be
        right = False
    if not right:
        raise NoAddress(
            "the API base (--api-base or RUNCOMFY_MODEL_API_BASE) is not an address; write it with https:// (or "
            f"http://), such as {DEFAULT_BASE}"
        )
    return base.removesuffix("/v1").rstrip("/")


def is_loopback(base: str) -> bool:
    """Whether *base* is on this machine. A name that only begins like a loopback address is not."""
    host = urlsplit(base).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class RunComfy:
    """One account at RunComfy (or at a server that speaks its protocol). See `contract.Provider`."""

    def __init__(self, base: str, token: str) -> None:
        hide(token)
        self.base = base
        self._wire = Wire(base, token)

    async def submit(self, model: str, body: Mapping[str, Any], before_sending: BeforeSending) -> SubmitAnswer:
        try:
            answer = await self._wire.post(f"/v1/models/{quote(model)}", body, before_sending)
        except NothingSent as error:
            return _told("submit", NotSent(f"no connection to {self.base}: {error}"))
        except AnswerLost as error:
            return _told("submit", Lost(f"the answer to the POST was lost: {error}"))
        return _told("submit", read_submit(answer))

    async def status(self, request_id: str) -> StatusAnswer:
        try:
            answer = await self._wire.get(f"/v1/requests/{quote(request_id, safe='')}/status")
        except AnswerLost as error:
            return _told("status", NoNews(str(error), contact=False))
        return _told("status", read_status(answer))

    async def result(self, request_id: str) -> ResultAnswer:
        try:
            answer = await self._result(request_id)
        except AnswerLost as error:
            return _told("result", NoNews(str(error), contact=False))
        return _told("result", read_result(answer))

    async def echoed_input(self, request_id: str) -> Mapping[str, Any] | None:
        try:
            answer = await self._result(request_id)
        except AnswerLost:
            return None
        echoed = answer.body.get("input") if isinstance(answer.body, dict) else None
        return echoed if isinstance(echoed, dict) else None

    async def cancel(self, request_id: str) -> CancelOutcome:
        try:
            answer = await self._wire.post(f"/v1/requests/{quote(request_id, safe='')}/cancel", {})
        except (NothingSent, AnswerLost):
            return CancelOutcome.UNKNOWN
        body = answer.body if isinstance(answer.body, dict) else {}
        word = str(body.get("outcome") or body.get("status") or "").lower()
        if word.startswith("cancel"):
            return CancelOutcome.CANCELLED
        return CancelOutcome.NOT_CANCELLABLE if word == "not_cancellable" else CancelOutcome.UNKNOWN

    async def catalogue_entry(self, model: str) -> Mapping[str, Any] | None:
        """Raises AnswerLost if the catalogue cannot be reached or does not answer with an entry."""
        answer = await self._wire.get(f"/v1/models/{quote(model)}")
        if isinstance(answer.body, dict) and isinstance(answer.body.get("input_schema"), dict):
            return answer.body
        if answer.status == 404 or _error_code(answer) in (_BAD_ID, _NOT_FOUND):
            return None
        raise AnswerLost(f"the catalogue answered HTTP {answer.status}: {_reason(answer)}")

    async def search(self, words: str, limit: int = 100) -> list[Mapping[str, Any]] | None:
        """Catalogue entries that match *words*; None if the catalogue cannot be asked."""
        try:
            answer = await self._wire.get("/v1/models", params={"search": words, "limit": str(limit)})
        except AnswerLost:
            return None
        found = answer.body.get("models") if isinstance(answer.body, dict) else None
        if not isinstance(found, list):
            return None
        return [entry for entry in found if isinstance(entry, dict) and isinstance(entry.get("model_id"), str)]

    async def balance_micro(self) -> int | None:
        """What the account holds, None if that is not told. The key goes to the provider's own hosts only.

        Raises AnswerLost if nobody answers.
        """
        host = urlsplit(self.base).hostname or ""
        base = BALANCE_BASE if host.endswith(".runcomfy.net") else self.base
        answer = await self._wire.get("/prod/v2/balance", base=base)
        body = answer.body if isinstance(answer.body, dict) else {}
        held = body.get("balance_microdollars")
        return held if isinstance(held, int) and not isinstance(held, bool) else None

    async def drop_connections(self) -> None:
        await self._wire.drop_connections()

    async def close(self) -> None:
        await self._wire.close()

    async def _result(self, request_id: str) -> Answer:
        path = f"/v1/requests/{quote(request_id, safe='')}/result"
        return await self._wire.get(path, params={"include_cost": "true"})


_NOT_WELL = NotSent | Busy | ModelMissing | AccountBlocked | Rejected | Lost | Unknown | NoNews
_AnswerT = TypeVar("_AnswerT", bound=SubmitAnswer | StatusAnswer | ResultAnswer)


def _told(exchange: str, answer: _AnswerT) -> _AnswerT:
    """*answer*, and a line in the log if the exchange went other than well."""
    if isinstance(answer, _NOT_WELL):
        logs.warn(exchange, answer=type(answer).__name__, reason=answer.reason)
    elif isinstance(answer, Waiting) and answer.word not in _KNOWN_WORDS:
        logs.warn(exchange, answer="no news", reason=f"the unknown word {answer.word!r}")
    return answer


# ── the answer tables ───────────────────────────────────────────────────────────────────────────────────


def read_submit(answer: Answer) -> SubmitAnswer:
    """What an answer to the POST means for the row and for the run."""
    if (request_id := _request_id(answer.body)) is not None:
        return Taken(request_id)
    code = _error_code(answer) if answer.status < 500 else None
    reason = _reason(answer)
    if code == _NO_BALANCE or answer.status == 402:
        return AccountBlocked(Cause.BALANCE, reason)
    if code in (_BAD_ACCOUNT, _NOT_YOURS) or answer.status in (401, 403):
        return AccountBlocked(Cause.TOKEN, reason)
    if code in (_BAD_ID, _NOT_FOUND):
        return ModelMissing(reason)
    if answer.status == 429 or (answer.status == 503 and "Retry-After" in answer.headers):
        return Busy(f"HTTP {answer.status}: {reason}", retry_after_s(answer.headers))
    if answer.status in (400, 413, 415, 422) and isinstance(answer.body, dict | list):
        return Rejected(f"HTTP {answer.status}: {reason}")
    return Lost(f"HTTP {answer.status} does not say whether the request was accepted: {reason}")


def read_status(answer: Answer) -> StatusAnswer:
    if (refusal := _refused(answer)) is not None:
        return refusal
    word = _word(answer.body)
    if answer.status >= 300 or word is None:
        return NoNews(f"HTTP {answer.status}: {_reason(answer)}", contact=True)
    if word in _DONE:
        return Over(word, _error_text(answer.body.get("error")))
    return Waiting(_running(word), word)


def read_result(answer: Answer) -> ResultAnswer:
    """Success is the result's word, never the status's; only `output` is read for files."""
    if answer.status == 400 and _error_code(answer) == _NOT_READY:
        return Waiting(None, _NOT_READY_YET)
    if (refusal := _refused(answer)) is not None:
        return refusal
    word = _word(answer.body)
    if answer.status >= 300 or word is None:
        return NoNews(f"HTTP {answer.status}: {_reason(answer)}", contact=True)
    cost = micro(answer.body.get("cost"))
    if word in ("succeeded", "completed"):
        return Success(outputs_of(answer.body.get("output")), cost)
    if word == "failed":
        return Failure(_error_text(answer.body.get("error")) or "the provider gave no reason", cost)
    if word in ("cancelled", "canceled"):
        return Cancelled(cost)
    return Waiting(_running(word), word)


def outputs_of(output: Any) -> tuple[Output, ...]:
    """Every file URL of a result's `output`, in document order, each once.

    `output` is an object (`image`, `images`, `video`, `videos`, audio, ...), or a bare URL, or a bare list.
    """
    found: dict[str, Output] = {}

    def walk(value: Any, key: str) -> None:
        match value:
            case str() if value.startswith(("https://", "http://")):
                found.setdefault(value, Output(key, value))
            case list():
                for item in value:
                    walk(item, key)
            case dict():
                for name, item in value.items():
                    walk(item, key or str(name))

    walk(output, "")
    return tuple(Output(one.key or "output", one.url) for one in found.values())


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds, None if it is absent or a date."""
    try:
        seconds = float(headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _refused(answer: Answer) -> Unknown | AccountBlocked | NoNews | None:
    """An answer to a GET that is about the account or about the id, not about the job."""
    code = _error_code(answer)
    if answer.status >= 500 or answer.status == 429:
        return NoNews(
            f"HTTP {answer.status}: {_reason(answer)}", contact=True, retry_after_s=retry_after_s(answer.headers)
        )
    if answer.status == 401 or code == _BAD_ACCOUNT:
        return AccountBlocked(Cause.TOKEN, _reason(answer))
    if answer.status in (403, 404) or code in (_NOT_FOUND, _NOT_YOURS, _BAD_ID):
        return Unknown(_reason(answer))
    if code is not None:
        return NoNews(f"error_code {code}: {_reason(answer)}", contact=True)
    return None


def _request_id(body: Any) -> str | None:
    """A request_id, whatever the HTTP status: it means that a job exists, so an odd one is kept as well."""
    value = body.get("request_id") if isinstance(body, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _writable(value) if isinstance(value, str) and value.strip() else None


def _error_code(answer: Answer) -> int | None:
    if not isinstance(answer.body, dict):
        return None
    if "error_code" in answer.body:
        return _number(answer.body["error_code"])
    code = _number(answer.body.get("code"))  # seen as well, and also used for other things
    return code if code in _DOCUMENTED else None


def _number(code: Any) -> int | None:
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 19:
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _word(body: Any) -> str | None:
    word = body.get("status") if isinstance(body, dict) else None
    return word.strip().lower() if isinstance(word, str) else None


def _running(word: str) -> bool | None:
    if word in _QUEUED:
        return False
    return True if word in _RUNNING else None


def _reason(answer: Answer) -> str:
    """The provider's own words, short; its HTML pages are not worth showing."""
    if isinstance(answer.body, dict):
        for name in ("error_message", "message", "error", "detail"):
            if answer.body.get(name):
                return _error_text(answer.body[name]) or ""
    if answer.body is not None:
        return redacted(json.dumps(answer.body)[:_READ_FOR_REASON])[:_MAX_REASON]
    return "no JSON in the answer" if answer.text.lstrip().startswith("<") or not answer.text else redacted(answer.text)


def _error_text(error: Any) -> str | None:
    """An `error` of any JSON shape as one line of text; None if there is none."""
    if error in (None, "", [], {}):
        return None
    text = error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)
    return _writable(redacted(" ".join(text.split())[:_READ_FOR_REASON])[:_MAX_REASON])


def _writable(text: str) -> str:
    """*text* without halves of characters, which JSON can hold and no file can."""
    return text.encode("utf-8", "replace").decode()
