"""Everything that may keep rows from being sent, in one place: what is open, since when, why, and until when.

A breaker that is open lets nothing through, one that is half-open lets a single row try. Polling and collecting go
on whatever is open here. Pure: time and chance come in as arguments, in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from batchgen.core.backoff import Backoff
from batchgen.scheduler.pacing.breakers import (
    ContactBreaker,
    DoubtBreaker,
    SameCauseBreaker,
    ServerErrorBreaker,
    TrialBreaker,
)
from batchgen.scheduler.pacing.submit_rate import SubmitRate


class Which(StrEnum):
    """The breakers. All are the account's, but MODEL and SAME_CAUSE, of which every model has its own."""

    TOKEN = "token"  # noqa: S105 - a word, not a secret
    BALANCE = "balance"
    BUDGET = "budget"
    DISK = "disk"
    PROVIDER = "provider"  # no connection
    ERRORS = "errors"  # questions bring nothing but server errors
    DOUBT = "doubt"  # answers to POSTs are lost
    BUSY = "busy"  # too many requests
    MODEL = "model"  # the provider does not know it
    SAME_CAUSE = "same_cause"  # row after row ends for one cause


class Position(StrEnum):
    OPENED = "opened"
    HALF_OPEN = "half-open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class BreakerState:
    """How one breaker stands. *until* is when a row is tried next; None where nothing is tried by itself."""

    which: Which
    model: str | None
    position: Position
    reason: str
    since: float
    until: float | None

    def as_json(self) -> dict[str, Any]:
        return {
            "breaker": self.which.value,
            "model": self.model,
            "position": self.position.value,
            "reason": self.reason,
            "since": self.since,
            "until": self.until,
        }

    def in_words(self, clock: Callable[[float], str]) -> str:
        """A sentence: what is not sent, since when, why, and what happens next. *clock* tells a time."""
        what = "nothing" if self.model is None else f"nothing of {self.model}"
        if self.position is Position.CLOSED:
            return f"{_NAMES[self.which]}: over, after it began at {clock(self.since)} ({self.reason})"
        if self.position is Position.HALF_OPEN:
            return f"{_NAMES[self.which]} since {clock(self.since)} ({self.reason}): no more than one row is tried"
        then = "" if self.until is None else f"; one row is tried at {clock(self.until)}"
        return f"{_NAMES[self.which]} since {clock(self.since)} ({self.reason}): {what} is sent{then}"


_NAMES = {
    Which.TOKEN: "token not taken",
    Which.BALANCE: "no balance",
    Which.BUDGET: "budget reached",
    Which.DISK: "disk nearly full",
    Which.PROVIDER: "provider out of reach",
    Which.ERRORS: "provider answers with errors",
    Which.DOUBT: "answers to POSTs are lost",
    Which.BUSY: "too many requests",
    Which.MODEL: "model not available",
    Which.SAME_CAUSE: "rows end one after another for one cause",
}

_Place: TypeAlias = tuple[Which, str | None]
_Open: TypeAlias = tuple[_Place, Position, float | None]


class CircuitBoard:
    """The breakers of one run. *waits_for_balance* and *waits_for_provider* hold on where a run would end."""

    def __init__(self, waits_for_balance: bool = False, waits_for_provider: bool = False, every_s: float = 0.0) -> None:
        self.waits_for_balance = waits_for_balance
        self.waits_for_provider = waits_for_provider
        self.rate = SubmitRate(every_s)
        self.reach = ContactBreaker(math.inf, math.inf) if waits_for_provider else ContactBreaker()
        self.storm = ServerErrorBreaker()
        # A doubtful POST may cost a job: whoever waits all night tries at longer and longer intervals.
        self.doubt = DoubtBreaker(most=20, backoff=Backoff(30.0, 1800.0)) if waits_for_provider else DoubtBreaker()
        self.same_cause = SameCauseBreaker()
        self._balance = _trials()
        self._models: dict[str, TrialBreaker] = {}
        self._for_good: dict[_Place, None] = {}
        self._why: dict[_Place, tuple[float, str]] = {}
        self._told: dict[_Place, BreakerState] = {}

    # ── what happens ────────────────────────────────────────────────────────────────────────────────────

    def taken(self, model: str) -> None:
        """A row of *model* was accepted, and that is on disk."""
        self.answered()
        self.doubt.accepted()
        self._balance.accepted()
        self._models.pop(model, None)

    def answered(self) -> None:
        """The provider answered a question, or a POST with a refusal."""
        self.reach.succeeded()
        self.storm.answered()

    def doubted(self, now: float, roll: float, reason: str) -> None:
        self.doubt.doubt(now, roll)
        self._note(Which.DOUBT, None, now, reason)

    def not_reached(self, now: float, roll: float, reason: str) -> None:
        self.reach.failed(now, roll)
        self._note(Which.PROVIDER, None, now, reason)

    def server_error(self, now: float, reason: str) -> None:
        """A question was answered, but not with news."""
        self.storm.failed()
        self._note(Which.ERRORS, None, now, reason)

    def too_many(self, now: float, sent_at: float, retry_after_s: float | None, roll: float, reason: str) -> float:
        """A POST was refused as too many. Answers when its row may be sent again."""
        self._note(Which.BUSY, None, now, reason)
        return self.rate.busy(now, sent_at, retry_after_s, roll)

    def no_balance(self, now: float, roll: float, reason: str) -> None:
        self._balance.refused(now, roll)
        self._note(Which.BALANCE, None, now, reason)

    def no_model(self, model: str, now: float, roll: float, reason: str) -> None:
        self._models.setdefault(model, _trials()).refused(now, roll)
        self._note(Which.MODEL, model, now, reason)

    def disk_is_low(self, now: float, reason: str) -> None:
        self._for_good[Which.DISK, None] = None
        self._note(Which.DISK, None, now, reason)

    def disk_has_room(self) -> None:
        self._for_good.pop((Which.DISK, None), None)

    @property
    def disk_low(self) -> str | None:
        """How little room is left; None where there is enough."""
        return self._why[Which.DISK, None][1] if (Which.DISK, None) in self._for_good else None

    def stopped(self, which: Which, now: float, reason: str) -> None:
        """Nothing more is sent in this run."""
        self._for_good[which, None] = None
        self._note(which, None, now, reason)

    # ── what follows ────────────────────────────────────────────────────────────────────────────────────

    def hold(self, now: float, sending: bool, polling: bool) -> BreakerState | None:
        """What keeps every row from being sent now, if anything.

        *sending*: a row is on its way, which is the one that tries. *polling*: jobs are asked about, so that no row
        need be risked to see whether server errors are over.
        """
        for one in self._every(now):
            if one.model is not None:
                continue
            if one.position is Position.OPENED or sending or (one.which is Which.ERRORS and polling):
                return one
        return None

    def closed_to(self, model: str, now: float) -> bool:
        """Whether a row of *model* that was about to be sent is kept back."""
        return any(
            one.position is Position.OPENED
            and one.model in (None, model)
            # What is about to be sent was paced; beyond a budget, what is held for this row is still its own.
            and one.which not in (Which.BUSY, Which.SAME_CAUSE, Which.BUDGET)
            for one in self._every(now)
        )

    def closed_models(self, now: float, sending: Collection[str]) -> list[str]:
        """Models that nothing is sent to now; *sending* are those with rows on their way."""
        missing = [model for model, one in self._models.items() if one.closed_until > now or model in sending]
        return [*missing, *self.same_cause.closed]

    @property
    def silence_is_waited_out(self) -> bool:
        """Whether questions go unanswered for a reason that is waited for: no job is overdue for want of an answer."""
        return self.reach.failures > 0 or (self.waits_for_provider and self.storm.rages)

    @property
    def models_given_up(self) -> list[str]:
        """Models whose rows are no reason to go on: they stay pending."""
        return [*([] if self.waits_for_provider else self._models), *self.same_cause.closed]

    @property
    def models_missing(self) -> list[str]:
        return [*self._models]

    def states(self, now: float) -> list[BreakerState]:
        """Every breaker that is not closed, the gravest first. A single lost connection is nothing yet."""
        single = self.reach.failures == 1
        return [one for one in self._every(now) if one.which is not Which.PROVIDER or not single]

    def changes(self, now: float) -> list[BreakerState]:
        """What has opened, half opened or closed since this was asked last."""
        before, after = self._told, {(one.which, one.model): one for one in self.states(now)}
        self._told = after
        changed = [one for place, one in after.items() if place not in before or before[place].position != one.position]
        for place in before.keys() - after.keys():
            was = before[place]
            changed.append(BreakerState(was.which, was.model, Position.CLOSED, was.reason, was.since, None))
        return changed

    def _every(self, now: float) -> list[BreakerState]:
        if not self._why and not self.same_cause.open:  # asked at every step of every row, and nothing ever happened
            return []
        found: list[_Open] = [(place, Position.OPENED, None) for place in self._for_good]
        if self._balance.failures:
            found.append(_trying(Which.BALANCE, None, self._balance.closed_until, now))
        if self.reach.failures:
            found.append(_trying(Which.PROVIDER, None, self.reach.closed_until, now))
        if self.storm.rages:
            found.append(((Which.ERRORS, None), Position.HALF_OPEN, None))
        if self.doubt.one_at_a_time:
            found.append(_trying(Which.DOUBT, None, self.doubt.closed_until, now))
        if self.rate.closed_until > now:
            found.append(((Which.BUSY, None), Position.OPENED, self.rate.closed_until))
        found += [_trying(Which.MODEL, model, one.closed_until, now) for model, one in self._models.items()]
        for model, (_, given_up) in self.same_cause.open.items():
            found.append(((Which.SAME_CAUSE, model), Position.OPENED if given_up else Position.HALF_OPEN, None))
        return [self._state(now, *one) for one in found]

    def _state(self, now: float, place: _Place, position: Position, until: float | None) -> BreakerState:
        which, model = place
        if which is Which.SAME_CAUSE and model is not None:
            cause, _ = self.same_cause.open[model]
            since = self._told[place].since if place in self._told else now
        else:
            since, cause = self._why[place]
        return BreakerState(which, model, position, cause, since, until)

    def _note(self, which: Which, model: str | None, now: float, reason: str) -> None:
        place = which, model
        self._why[place] = self._told[place].since if place in self._told else now, reason


def _trials() -> TrialBreaker:
    return TrialBreaker(Backoff(60.0, 900.0))


def _trying(which: Which, model: str | None, closed_until: float, now: float) -> _Open:
    opened = closed_until > now
    return (which, model), Position.OPENED if opened else Position.HALF_OPEN, closed_until if opened else None
