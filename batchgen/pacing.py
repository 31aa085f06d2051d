"""How fast, how often and when to stop trying. Pure: time and chance come in as arguments, in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double from *first_s* up to *limit_s*, spread so that many callers do not meet."""

    first_s: float
    limit_s: float

    def delay_s(self, failures: int, roll: float) -> float:
        """Delay after *failures* (>= 1) in a row; *roll* is uniform in [0, 1)."""
        full_s = min(self.limit_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return full_s * (0.5 + roll / 2)


class PollPolicy(Protocol):
    """When to ask for a job's status next."""

    def next_poll_s(self, model: str, age_s: float) -> float:
        """Delay before the next poll of a job of *model* that was accepted *age_s* ago."""

    def ended(self, model: str, age_s: float) -> None:
        """A job of *model* was seen to have ended *age_s* after it was accepted."""


@dataclass(slots=True)
class ProportionalPolling:
    """Asks after a fixed share of the age: few polls for long jobs, little lag for short ones."""

    share: float = 0.15
    least_s: float = 0.25
    most_s: float = 10.0

    def next_poll_s(self, model: str, age_s: float) -> float:
        return min(max(self.share * age_s, self.least_s), self.most_s)

    def ended(self, model: str, age_s: float) -> None:
        """Learns nothing."""


@dataclass(slots=True)
class DoubtBreaker:
    """Three doubtful POSTs in a row, with none accepted between, pause submitting; then one row at a time.

    Each doubtful POST may have cost a job nobody can find, so the breaker gives up after *most* in a row.
    """

    threshold: int = 3
    most: int = 6
    backoff: Backoff = field(default_factory=lambda: Backoff(5.0, 300.0))
    in_a_row: int = 0
    closed_until: float = 0.0

    def doubt(self, now: float, roll: float) -> None:
        self.in_a_row += 1
        if self.in_a_row >= self.threshold:
            self.closed_until = now + self.backoff.delay_s(self.in_a_row - self.threshold + 1, roll)

    def accepted(self) -> None:
        self.in_a_row = 0
        self.closed_until = 0.0

    @property
    def one_at_a_time(self) -> bool:
        return self.in_a_row >= self.threshold

    @property
    def hopeless(self) -> bool:
        return self.in_a_row >= self.most


@dataclass(slots=True)
class ContactBreaker:
    """No connection, or nothing but server errors: pause with back-off, and give up when it lasts.

    A provider that never answered in this run is given *patience_cold_s*, one that did *patience_s*.
    """

    patience_cold_s: float = 15.0
    patience_s: float = 900.0
    backoff: Backoff = field(default_factory=lambda: Backoff(0.5, 60.0))
    failures: int = 0
    since: float | None = None
    closed_until: float = 0.0
    answered: bool = False

    def failed(self, now: float, roll: float) -> None:
        if self.since is None:
            self.since = now
        if now >= self.closed_until:  # failures of one moment count once
            self.failures += 1
            again_at = now + self.backoff.delay_s(self.failures, roll)
            self.closed_until = min(again_at, max(self.since + self._patient_for_s, now))  # the last try is not late

    def succeeded(self) -> None:
        self.failures = 0
        self.since = None
        self.closed_until = 0.0
        self.answered = True

    def hopeless(self, now: float) -> bool:
        return self.since is not None and now - self.since >= self._patient_for_s

    @property
    def _patient_for_s(self) -> float:
        return self.patience_s if self.answered else self.patience_cold_s


@dataclass(slots=True)
class BusyPause:
    """429 and 503 answers: everyone waits, for as long as the provider asks, within bounds."""

    least_s: float = 1.0
    most_s: float = 120.0
    backoff: Backoff = field(default_factory=lambda: Backoff(1.0, 60.0))
    episodes: int = 0
    closed_until: float = 0.0

    def busy(self, now: float, retry_after_s: float | None, roll: float) -> float:
        """When the row may be sent again."""
        if now >= self.closed_until:  # many refusals of one moment are one episode
            self.episodes += 1
            asked_s = self.backoff.delay_s(self.episodes, roll) if retry_after_s is None else retry_after_s
            self.closed_until = now + min(max(asked_s, self.least_s), self.most_s)
        return self.closed_until

    def accepted(self) -> None:
        self.episodes = 0


EXPIRED_AFTER_S = 7 * 24 * 3600.0
"""Ids younger than this are not given up, whatever the provider answers."""


@dataclass(slots=True)
class Contact:
    """What the ids of this folder answered in this run: another account's key looks like expiry.

    An id counts as not found after *sure_after* such answers, since a young id may not be known everywhere yet.
    """

    sure_after: int = 3
    account_is_right: bool = False
    _known: set[int] = field(default_factory=set)
    _not_found: dict[int, int] = field(default_factory=dict)

    def answered(self, key: int) -> None:
        self._known.add(key)
        self._not_found.pop(key, None)
        self.account_is_right = True

    def not_found(self, key: int) -> bool:
        """Note one more 404 or 403 for *key*. Answers whether the id now counts as not found."""
        self._not_found[key] = self._not_found.get(key, 0) + 1
        return self._not_found[key] >= self.sure_after

    def gone_for_good(self, key: int, age_s: float) -> bool:
        """Whether an id that answers 404 or 403 may end its row: another id answered, and this one is old."""
        return bool(self._known - {key}) and age_s > EXPIRED_AFTER_S

    def nobody_answers(self, live: int) -> bool:
        """Whether every one of the *live* ids is not found: another account's key, or all expired."""
        lost = sum(times >= self.sure_after for times in self._not_found.values())
        return not self.account_is_right and lost >= live > 0
