"""What RunComfy's answers mean, one table a kind of answer. Pure.

Its documented error codes are numbers in the body and count under any HTTP status below 500.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from batchgen.core.job import Output
from batchgen.core.money import micro
from batchgen.core.redaction import shortened
from batchgen.providers.contract import (
    AccountBlocked,
    Busy,
    Cancelled,
    Cause,
    Failure,
    Lost,
    ModelMissing,
    NoNews,
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
from batchgen.providers.httpanswer import Answer

_BAD_ID, _NO_BALANCE, _BAD_ACCOUNT, _NOT_READY = 400001, 400002, 400004, 400005
_NOT_YOURS, _NOT_FOUND = 403001, 404001
_DOCUMENTED = frozenset({_BAD_ID, _NO_BALANCE, _BAD_ACCOUNT, _NOT_READY, _NOT_YOURS, _NOT_FOUND})

_QUEUED = frozenset({"in_queue", "queued", "pending", "waiting"})
_RUNNING = frozenset({"in_progress", "processing", "running", "starting"})
_DONE = frozenset({"completed", "succeeded", "failed", "cancelled", "canceled"})
_NOT_READY_YET = "not ready"
_WRONG_PATH = "the path of the API base (--api-base or RUNCOMFY_MODEL_API_BASE) may be wrong"
KNOWN_WORDS = _QUEUED | _RUNNING | {_NOT_READY_YET}
_MAX_REASON = 300
_LINK = re.compile(
    r"\s*(?:https?:[/\\]|data:(?:[\w.+-]+/[\w.+-]+)?(?:;[^,]*)?,|//[^\s/]+/\S|/[^/\s].*\.\w{2,5}(?:[?#].*)?$)",
    re.IGNORECASE,
)
"""What a file link begins with; one that leaves out its host ends like a file's name, as few other texts do."""


def read_submit(answer: Answer) -> SubmitAnswer:
    """What an answer to the POST means for the row and for the run."""
    if (request_id := _request_id(answer.body)) is not None:
        return Taken(request_id)
    code = _error_code(answer) if answer.status < 500 else None
    reason = reason_of(answer)
    if code == _NO_BALANCE or answer.status == 402:
        return AccountBlocked(Cause.BALANCE, reason)
    if code in (_BAD_ACCOUNT, _NOT_YOURS) or answer.status in (401, 403):
        return AccountBlocked(Cause.TOKEN, reason)
    if code in (_BAD_ID, _NOT_FOUND):
        return ModelMissing(reason)
    if answer.status == 429 or (answer.status == 503 and _is_the_apis_own(answer.body)):
        return Busy(f"HTTP {answer.status}: {reason}", retry_after_s(answer.headers))
    if answer.status in (400, 422) and isinstance(answer.body, dict | list):
        return Rejected(f"HTTP {answer.status}: {reason}")
    if answer.status in (404, 405):
        return ModelMissing(f"HTTP {answer.status}: {reason}; {_WRONG_PATH}")
    if answer.status in (413, 414, 415, 431):
        return Rejected(f"HTTP {answer.status}: {reason}")
    if 200 <= answer.status < 300 and code is not None:
        return _of_class(code, reason)
    return _unclear(answer.status, reason)


def read_status(answer: Answer, request_id: str) -> StatusAnswer:
    if (refusal := _refused(answer)) is not None:
        return refusal
    word = _word(answer.body)
    if answer.status >= 300 or word is None:
        return NoNews(f"HTTP {answer.status}: {reason_of(answer)}", contact=True)
    if (other := _of_another(answer, request_id=request_id)) is not None:
        return other
    if word in _DONE:
        return Over(word, _error_text(answer.body.get("error")))
    return Waiting(_running(word), word)


def read_result(answer: Answer, request_id: str, model: str) -> ResultAnswer:
    """Success is the result's word, never the status's; only `output` is read for files."""
    if answer.status == 400 and _error_code(answer) == _NOT_READY:
        return Waiting(None, _NOT_READY_YET)
    if (refusal := _refused(answer)) is not None:
        return refusal
    word = _word(answer.body)
    if answer.status >= 300 or word is None:
        return NoNews(f"HTTP {answer.status}: {reason_of(answer)}", contact=True)
    if (other := _of_another(answer, request_id=request_id, model_id=model)) is not None:
        return other
    cost = micro(answer.body.get("cost"))
    if word in ("succeeded", "completed"):
        return Success(outputs_of(answer.body.get("output")), cost)
    if word == "failed":
        return Failure(_error_text(answer.body.get("error")) or "the provider gave no reason", cost)
    if word in ("cancelled", "canceled"):
        return Cancelled(cost)
    return Waiting(_running(word), word)


def outputs_of(output: Any) -> tuple[Output, ...]:
    """Every file link of a result's `output`, in document order, each once.

    `output` is an object (`image`, `images`, `video`, `videos`, audio, ...), or a bare link, or a bare list. A link may
    be no address at all: it stands where a file was to be, and that file is not left out in silence.
    """
    found: dict[str, Output] = {}

    def walk(value: Any, key: str) -> None:
        match value:
            case str() if _LINK.match(value):
                found.setdefault(value, Output(key, value))
            case list():
                for item in value:
                    walk(item, key)
            case dict():
                for name, item in value.items():
                    walk(item, key or str(name))

    walk(output, "")
    return tuple(Output(one.key or "output", one.url) for one in found.values())


def is_no_such_model(answer: Answer) -> bool:
    """Whether the catalogue says that it has no such model."""
    return answer.status == 404 or _error_code(answer) in (_BAD_ID, _NOT_FOUND)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds, None if it is absent or a date."""
    try:
        seconds = float(headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _of_class(code: int, reason: str) -> SubmitAnswer:
    """An error code that no document names, under a status that says all is well: its first three digits tell."""
    told = f"error_code {code}: {reason}"
    match code // 1000 if code > 100_000 else code:
        case 401 | 403:
            return AccountBlocked(Cause.TOKEN, told)
        case 402 | 10001:
            return AccountBlocked(Cause.BALANCE, told)
        case 404:
            return ModelMissing(told)
        case 400 | 422:
            return Rejected(told)
    return _unclear(200, told)


def _unclear(status: int, reason: str) -> Lost:
    return Lost(f"HTTP {status} does not say whether the request was accepted: {reason}")


def _is_the_apis_own(body: Any) -> bool:
    """Whether the API itself says so. Caches and load balancers answer 503, with Retry-After too, after they delivered
    the POST.
    """
    return isinstance(body, dict) and any(body.get(name) for name in ("error_code", "error_message", "detail"))


def _of_another(answer: Answer, **wanted: str) -> NoNews | None:
    """What to make of an answer that names another request or model than was asked about: a cache mixed them up."""
    for name, ours in wanted.items():
        theirs = answer.body.get(name)
        if theirs is not None and str(theirs) != ours:
            what = f"the answer is about the {name} {_error_text(theirs)}, not about {ours}"
            return NoNews(what, contact=True)
    return None


def _refused(answer: Answer) -> Unknown | AccountBlocked | NoNews | None:
    """An answer to a GET that is about the account or about the id, not about the job."""
    code = _error_code(answer)
    if answer.status >= 500 or answer.status == 429:
        return NoNews(
            f"HTTP {answer.status}: {reason_of(answer)}", contact=True, retry_after_s=retry_after_s(answer.headers)
        )
    if answer.status == 401 or code == _BAD_ACCOUNT:
        return AccountBlocked(Cause.TOKEN, reason_of(answer))
    if answer.status in (403, 404) or code in (_NOT_FOUND, _NOT_YOURS, _BAD_ID):
        return Unknown(reason_of(answer))
    if code is not None:
        return NoNews(f"error_code {code}: {reason_of(answer)}", contact=True)
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
    if isinstance(code, float) and code.is_integer():
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _word(body: Any) -> str | None:
    word = body.get("status") if isinstance(body, dict) else None
    return word.strip().lower() if isinstance(word, str) else None


def _running(word: str) -> bool | None:
    if word in _QUEUED:
        return False
    return True if word in _RUNNING else None


def reason_of(answer: Answer) -> str:
    """The provider's own words, short; its HTML pages are not worth showing."""
    if isinstance(answer.body, dict):
        for name in ("error_message", "message", "error", "detail"):
            if answer.body.get(name):
                return _error_text(answer.body[name]) or ""
    if answer.body is not None:
        return shortened(json.dumps(answer.body), _MAX_REASON)
    return "no JSON in the answer" if answer.text.lstrip().startswith("<") or not answer.text else answer.text


def _error_text(error: Any) -> str | None:
    """An `error` of any JSON shape as one line of text; None if there is none."""
    if error in (None, "", [], {}):
        return None
    text = error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)
    return _writable(shortened(" ".join(text.split()), _MAX_REASON))


def _writable(text: str) -> str:
    """*text* without halves of characters, which JSON can hold and no file can."""
    return text.encode("utf-8", "replace").decode()
