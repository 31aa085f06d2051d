"""The life of a job: one attempt at a row. Pure: no clock, no I/O, no chance.

`TRANSITIONS` is the only place that says what may happen. Everything else reports an event; `advance` answers
with the job as it then is, or refuses and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from batchgen.core.redaction import as_reason


class State(StrEnum):
    PENDING = "pending"
    SUBMITTING = "submitting"
    IN_DOUBT = "in_doubt"
    SUBMITTED = "submitted"
    READY = "ready"
    COLLECTED = "collected"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Billed(StrEnum):
    """What is known about the bill of a job that ended without files."""

    NO = "no"  # refused: the provider never accepted it
    YES = "yes"  # accepted; charged as far as anyone knows
    POSSIBLY = "possibly"  # given up while in doubt
    UNKNOWN = "unknown"  # accepted, but the provider no longer answers for it


ENDED = frozenset({State.COLLECTED, State.FAILED, State.CANCELLED})
"""A row in one of these goes on only as a new attempt, by a person's word."""

LIVE = frozenset({State.SUBMITTING, State.SUBMITTED, State.READY})
"""Work that is paid for, or about to be, and that a run carries on by itself."""

RESERVED = LIVE | {State.IN_DOUBT}
"""States whose price is set aside from the budget."""


INLINED = "inlined:"
"""What stands on disk for the beginning of a link that held the file itself."""
_LONGEST_TYPE = 64


class Output(NamedTuple):
    """One file at the provider: the key of `output` it stood under, and its URL, byte for byte."""

    key: str
    url: str

    @property
    def as_kept(self) -> Output:
        """As it goes to disk. A link that holds the file itself (`data:`) is asked for again rather than kept: it may
        have megabytes, and the file is on disk before long.
        """
        if self.url[:5].lower() != "data:":
            return self
        return self._replace(url=INLINED + self.url[5:].partition(",")[0][:_LONGEST_TYPE])


class SavedFile(NamedTuple):
    """One whole file of a row folder. *width* and *height* are pixels as shown, of the first frame and the first film;
    None where they are not known.

    *checked* is how far: `decoded` to the last pixel and sample, by its `container`, by its `signature` alone (its
    first bytes), or not at all (`none`); empty where an earlier version did not say. *blank*: it has one colour.
    """

    name: str
    bytes: int
    sha256: str
    media_type: str
    width: int | None
    height: int | None
    checked: str = ""
    blank: bool = False

    @property
    def is_decoded(self) -> bool:
        return self.checked == "decoded" or (not self.checked and self.media_type.startswith("image/"))


class Job(NamedTuple):
    """One attempt at a row, as the state file holds it. Times are Unix seconds, money is micro-dollars.

    Every event makes a new one: a tuple is copied ten times as fast as a frozen dataclass of as many fields.

    *input* is what is sent; *fingerprint* is of the request as the manifest asks for it: they differ in the seed
    alone, where a retry gave a new one. *outputs_asked* is how many files the request may return; *units* is what its
    price is multiplied by (outputs or seconds), 0 where nobody knows how many they are. *reason* says why it stands
    where it does; of a collected one, which outputs are missing.
    """

    key: int
    row_id: str
    n: int
    state: State
    model: str
    input: Mapping[str, Any]
    files: tuple[Mapping[str, Any], ...]
    fingerprint: str
    meta: Mapping[str, str] = {}
    outputs_asked: int = 1
    units: int = 1
    estimate_micro: int | None = None
    cost_micro: int | None = None
    request_id: str | None = None
    reason: str | None = None
    billed: Billed | None = None
    again_at: float | None = None
    intent_at: float | None = None
    submitted_at: float | None = None
    ended_at: float | None = None
    collected_at: float | None = None
    outputs: tuple[Output, ...] = ()
    saved: tuple[SavedFile, ...] = ()


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Intent:
    """About to be sent: recorded before the first byte of the POST."""

    at: float
    estimate_micro: int | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider answered with a request_id: from here on the job is paid for."""

    at: float
    request_id: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """Certainly not accepted, and worth sending later, not before *again_at*."""

    at: float
    reason: str
    again_at: float


@dataclass(frozen=True, slots=True)
class Refused:
    """Certainly not accepted, and never will be as it is."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class ContactLost:
    """Sent, perhaps accepted, and nobody knows: it is not sent again by itself."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """A person found the request_id of a doubtful job."""

    at: float
    request_id: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A person closed a doubtful job without its request_id: it stays counted as possibly charged."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The result says the job succeeded; its outputs are known."""

    at: float
    outputs: tuple[Output, ...]
    cost_micro: int | None


@dataclass(frozen=True, slots=True)
class JobFailed:
    """The job ended without files that can be collected."""

    at: float
    reason: str
    billed: Billed
    cost_micro: int | None = None


@dataclass(frozen=True, slots=True)
class JobCancelled:
    """A status or a result says the job was cancelled."""

    at: float
    reason: str
    cost_micro: int | None = None


@dataclass(frozen=True, slots=True)
class LinksExpired:
    """The output links no longer answer: the result has to be asked again."""

    at: float


@dataclass(frozen=True, slots=True)
class Collected:
    """Every file is whole, verified and under its final name; *missing* says which outputs are gone, and why."""

    at: float
    saved: tuple[SavedFile, ...]
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A person took bytes that had been set aside into the row, as they are; *missing* says what it lacks still."""

    at: float
    saved: tuple[SavedFile, ...]
    missing: str | None


@dataclass(frozen=True, slots=True)
class FilesLost:
    """A collected file is missing or damaged on disk."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class CostKnown:
    """The measured cost came, perhaps long after the job."""

    at: float
    cost_micro: int


@dataclass(frozen=True, slots=True)
class PriceKnown:
    """What a job may cost that was sent, or may have been, while nobody knew its price: from here on that counts."""

    at: float
    estimate_micro: int


Event: TypeAlias = (
    Intent
    | Accepted
    | Deferred
    | Refused
    | ContactLost
    | Adopted
    | GivenUp
    | Succeeded
    | JobFailed
    | JobCancelled
    | LinksExpired
    | Collected
    | TakenBack
    | FilesLost
    | CostKnown
    | PriceKnown
)

TRANSITIONS: Mapping[tuple[State, type], State] = {
    (State.PENDING, Intent): State.SUBMITTING,
    (State.PENDING, Refused): State.FAILED,
    (State.SUBMITTING, Accepted): State.SUBMITTED,
    (State.SUBMITTING, Deferred): State.PENDING,
    (State.SUBMITTING, Refused): State.FAILED,
    (State.SUBMITTING, ContactLost): State.IN_DOUBT,
    (State.IN_DOUBT, Adopted): State.SUBMITTED,
    (State.IN_DOUBT, GivenUp): State.FAILED,
    (State.SUBMITTED, Succeeded): State.READY,
    (State.SUBMITTED, JobFailed): State.FAILED,
    (State.SUBMITTED, JobCancelled): State.CANCELLED,
    (State.READY, Collected): State.COLLECTED,
    (State.READY, LinksExpired): State.SUBMITTED,
    (State.READY, JobFailed): State.FAILED,
    (State.COLLECTED, FilesLost): State.SUBMITTED,
    (State.COLLECTED, TakenBack): State.COLLECTED,
    (State.FAILED, TakenBack): State.COLLECTED,
    (State.COLLECTED, Collected): State.COLLECTED,
    (State.SUBMITTED, CostKnown): State.SUBMITTED,
    (State.READY, CostKnown): State.READY,
    (State.COLLECTED, CostKnown): State.COLLECTED,
    (State.FAILED, CostKnown): State.FAILED,
    (State.CANCELLED, CostKnown): State.CANCELLED,
    (State.IN_DOUBT, PriceKnown): State.IN_DOUBT,
    (State.SUBMITTED, PriceKnown): State.SUBMITTED,
    (State.READY, PriceKnown): State.READY,
    (State.COLLECTED, PriceKnown): State.COLLECTED,
    (State.FAILED, PriceKnown): State.FAILED,
    (State.CANCELLED, PriceKnown): State.CANCELLED,
}


class IllegalMove(Exception):
    """An event that the job's state does not allow. Nothing was changed."""


def advance(job: Job, event: Event) -> Job:
    """*job* after *event*. Raises IllegalMove, and changes nothing, where `TRANSITIONS` has no such line."""
    state = TRANSITIONS.get((job.state, type(event)))
    if state is None or not _is_owed(job, event):
        raise IllegalMove(f"row {job.row_id}: {type(event).__name__} cannot follow {job.state}")
    learned = _learned(event)
    if isinstance(event, Succeeded) and job.ended_at is not None:  # asked again for links: the job ended back then
        learned["ended_at"] = job.ended_at
    return job._replace(state=state, **learned)


def _is_owed(job: Job, event: Event) -> bool:
    """Whether money may be told of *job*: a cost has an id it is asked by, and an estimate is made once."""
    match event:
        case CostKnown() | TakenBack():
            return job.request_id is not None
        case PriceKnown():
            return job.estimate_micro is None and job.billed is not Billed.NO
    return True


def _learned(event: Event) -> dict[str, Any]:
    """The fields of a job that *event* sets."""
    match event:
        case Intent(at, estimate_micro):
            return {"intent_at": at, "estimate_micro": estimate_micro, "reason": None, "again_at": None}
        case Accepted(at, request_id) | Adopted(at, request_id):
            return {"submitted_at": at, "request_id": request_id, "reason": None}
        case Deferred(_, reason, again_at):
            return {"reason": as_reason(reason), "again_at": again_at}
        case Refused(at, reason):
            return {"ended_at": at, "reason": as_reason(reason), "billed": Billed.NO}
        case ContactLost(_, reason):
            return {"reason": as_reason(reason)}
        case GivenUp(at, reason):
            return {"ended_at": at, "reason": as_reason(reason), "billed": Billed.POSSIBLY}
        case Succeeded(at, outputs, cost_micro):
            return {"ended_at": at, "outputs": outputs, "reason": None} | _measured(cost_micro)
        case JobFailed(at, reason, billed, cost_micro):
            return {"ended_at": at, "reason": as_reason(reason), "billed": billed} | _measured(cost_micro)
        case JobCancelled(at, reason, cost_micro):
            return {"ended_at": at, "reason": as_reason(reason), "billed": Billed.YES} | _measured(cost_micro)
        case LinksExpired():
            return {"outputs": ()}
        case TakenBack(at, saved, missing):
            return {"collected_at": at, "saved": saved, "reason": missing, "billed": None}
        case Collected(at, saved, missing):
            return {"collected_at": at, "saved": saved, "reason": missing}
        case FilesLost(_, reason):
            return {"reason": as_reason(reason), "outputs": (), "saved": (), "collected_at": None}
        case CostKnown(_, cost_micro):
            return {"cost_micro": cost_micro}
        case PriceKnown(_, estimate_micro):
            return {"estimate_micro": estimate_micro}


def _measured(cost_micro: int | None) -> dict[str, Any]:
    """A cost that is absent leaves an earlier one standing."""
    return {} if cost_micro is None else {"cost_micro": cost_micro}
