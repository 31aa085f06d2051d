"""RunComfy's Model API: submit, status, result, cancel, catalogue.

URLs are built from the id and our own base, never taken from an answer. What the answers mean stands in `answers`.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from yarl import URL

from batchgen.core import log
from batchgen.core.errors import Refusal
from batchgen.core.redaction import hide, without_secrets
from batchgen.providers.answers import KNOWN_WORDS, is_no_such_model, read_result, read_status, read_submit, reason_of
from batchgen.providers.contract import (
    AccountBlocked,
    BeforeSending,
    Busy,
    CancelOutcome,
    Lost,
    ModelMissing,
    NoNews,
    NotSent,
    Rejected,
    ResultAnswer,
    StatusAnswer,
    SubmitAnswer,
    Success,
    Unknown,
    Waiting,
)
from batchgen.providers.http import AnswerLost, NothingSent, Wire
from batchgen.providers.httpanswer import Answer

DEFAULT_BASE = "https://model-api.runcomfy.net"
BASE_VARIABLES = ("BATCHGEN_API_BASE", "RUNCOMFY_MODEL_API_BASE")
BALANCE_BASE = "https://api.runcomfy.net"

_RESULT_BYTES = 64 * 1024 * 1024
"""It may repeat the input, files inlined in it included."""
_CATALOGUE_BYTES = 8 * 1024 * 1024
_PAGE_MODELS = 500
_MOST_PAGES = 20


class NoAddress(Refusal):
    """What was given as the API base is no address. It is not repeated: it may be a token in the wrong place."""


def base_of_environment(environ: Mapping[str, str] = os.environ) -> str | None:
    """What the first base variable that is set holds, be it nothing; None if none is set."""
    return next((environ[name] for name in BASE_VARIABLES if name in environ), None)


def api_base(given: str | None) -> str:
    """The API base without a trailing `/v1` or slash, whichever way it was given; None means the provider's own.

    Raises NoAddress. So does an empty one: a script whose variable was not set did not mean the real provider.
    """
    base = (DEFAULT_BASE if given is None else given).strip().rstrip("/")
    try:
        parts = urlsplit(base)
        right = parts.scheme in ("http", "https") and bool(URL(base).raw_host) and parts.port != 0
        right = right and "@" not in parts.netloc and not {"?", "#"} & set(base)
    except ValueError:  # such as a port that is no number, or a host that no name can be
        right = False
    if not right:
        raise NoAddress(
            "the API base (--api-base or RUNCOMFY_MODEL_API_BASE) is not an address; write it with https:// (or "
            f"http://) and without user, ? and #, such as {DEFAULT_BASE}"
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
        return _told("status", read_status(answer, request_id))

    async def result(self, request_id: str, model: str) -> ResultAnswer:
        try:
            answer = await self._result(request_id)
        except AnswerLost as error:
            return _told("result", NoNews(str(error), contact=False))
        return _told("result", _with_whole_links(read_result(answer, request_id, model), self.base))

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
        """Raises AnswerLost if the catalogue does not answer with an entry, as NobodyAnswers if it is out of reach."""
        answer = await self._wire.get(f"/v1/models/{quote(model)}", most_bytes=_CATALOGUE_BYTES)
        if isinstance(answer.body, dict) and "input_schema" in answer.body:
            entry: Mapping[str, Any] = without_secrets(answer.body)
            return entry
        if is_no_such_model(answer):
            return None
        raise AnswerLost(f"the catalogue answered HTTP {answer.status}: {reason_of(answer)}")

    async def search(self, word: str) -> list[Mapping[str, Any]] | None:
        """Every catalogue entry whose id, name or description holds *word*; None if the catalogue cannot be asked."""
        found: list[Any] = []
        for _ in range(_MOST_PAGES):
            params = {"search": word, "limit": str(_PAGE_MODELS), "offset": str(len(found))}
            try:
                answer = await self._wire.get("/v1/models", params, most_bytes=_CATALOGUE_BYTES)
            except AnswerLost:
                return None
            body = without_secrets(answer.body) if isinstance(answer.body, dict) else {}
            page, total = body.get("models"), body.get("total")
            if not isinstance(page, list):
                return None
            found += page
            if not page or not isinstance(total, int) or len(found) >= total:
                break
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
        return await self._wire.get(path, params={"include_cost": "true"}, most_bytes=_RESULT_BYTES)


_NOT_WELL = NotSent | Busy | ModelMissing | AccountBlocked | Rejected | Lost | Unknown | NoNews
_AnswerT = TypeVar("_AnswerT", bound=SubmitAnswer | StatusAnswer | ResultAnswer)


def _told(exchange: str, answer: _AnswerT) -> _AnswerT:
    """*answer*, and a line in the log if the exchange went other than well."""
    if isinstance(answer, _NOT_WELL):
        log.warn(exchange, answer=type(answer).__name__, reason=answer.reason)
    elif isinstance(answer, Waiting) and answer.word not in KNOWN_WORDS:
        log.warn(exchange, answer="no news", reason=f"the unknown word {answer.word!r}")
    return answer


def _with_whole_links(result: ResultAnswer, base: str) -> ResultAnswer:
    """*result* with the links that leave out the scheme or the host as seen from *base*."""
    if not isinstance(result, Success):
        return result
    return replace(result, outputs=tuple(one._replace(url=_whole_link(one.url, base)) for one in result.outputs))


def _whole_link(link: str, base: str) -> str:
    try:
        return urljoin(f"{base}/", link.strip()) if link.lstrip().startswith("/") else link.strip()
    except ValueError:  # no address; whoever downloads it says so
        return link.strip()
