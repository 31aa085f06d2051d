"""What a provider may answer, as values: the type checker shows the one that was forgotten.

A new provider is one class with these methods; tests/providers holds the suite that it must pass.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from batchgen.core.job import Output


class Cause(StrEnum):
    """What stops a whole run."""

    TOKEN = "token"  # noqa: S105 - a word, not a secret
    BALANCE = "balance"
    PROVIDER = "provider"
    BUDGET = "budget"
    DISK = "disk"


class RunStopped(Exception):
    """The account, the provider or the disk does not allow the run to go on. Rows not sent stay pending."""

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause
        self.reason = reason


# ── answers to a submit ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Taken:
    """Accepted: from here on it is paid for."""

    request_id: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing was handed over: there was no connection, or it broke before the first byte."""

    reason: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Certainly not accepted: too many requests, or not now. *retry_after_s* is the provider's own hint."""

    reason: str
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class ModelMissing:
    """Certainly not accepted: the provider does not know the model, or not for this account."""

    reason: str


@dataclass(frozen=True, slots=True)
class AccountBlocked:
    """Certainly not accepted: no balance, or the token is not taken. The run stops, the row stays pending."""

    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Certainly not accepted, and never will be as it is: the request itself is at fault."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Handed over, and no answer that says whether it was accepted."""

    reason: str


SubmitAnswer: TypeAlias = Taken | NotSent | Busy | ModelMissing | AccountBlocked | Rejected | Lost


# ── answers while waiting ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not ended. *running* is False while the job is queued, None where the answer did not say."""

    running: bool | None
    word: str


@dataclass(frozen=True, slots=True)
class Over:
    """The status says the job ended; only the result says how."""

    word: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Success:
    outputs: tuple[Output, ...]
    cost_micro: int | None


@dataclass(frozen=True, slots=True)
class Failure:
    reason: str
    cost_micro: int | None


@dataclass(frozen=True, slots=True)
class Cancelled:
    cost_micro: int | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The provider does not know the id, or not for this account (404, 403)."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoNews:
    """The question was not answered: it says nothing about the job. *retry_after_s* is the provider's own hint."""

    reason: str
    contact: bool
    retry_after_s: float | None = None


StatusAnswer: TypeAlias = Waiting | Over | Unknown | NoNews | AccountBlocked
ResultAnswer: TypeAlias = Waiting | Success | Failure | Cancelled | Unknown | NoNews | AccountBlocked


class CancelOutcome(StrEnum):
    CANCELLED = "cancelled"
    NOT_CANCELLABLE = "not_cancellable"
    UNKNOWN = "unknown"


BeforeSending: TypeAlias = Callable[[], Awaitable[None]]


class Provider(Protocol):
    """One account at one provider. Only `submit` can cost money."""

    async def submit(self, model: str, body: Mapping[str, Any], before_sending: BeforeSending) -> SubmitAnswer:
        """Send one request, once.

        *before_sending* is awaited when a connection is held and before the first byte goes out; if it raises,
        nothing is sent and its exception comes through.
        """

    async def status(self, request_id: str) -> StatusAnswer: ...

    async def result(self, request_id: str, model: str) -> ResultAnswer:
        """An answer that names another request, or another model than *model*, is no news."""

    async def echoed_input(self, request_id: str) -> Mapping[str, Any] | None:
        """The input that the provider says *request_id* was made from; None if it does not say."""

    async def cancel(self, request_id: str) -> CancelOutcome: ...

    async def catalogue_entry(self, model: str) -> Mapping[str, Any] | None:
        """The catalogue's entry of *model*; None if the provider has no such model.

        Raises OSError if the provider is out of reach, and anything else if its answer is of no use.
        """

    async def drop_connections(self) -> None:
        """Forget pooled connections, which a machine that slept no longer has."""

    async def close(self) -> None: ...
