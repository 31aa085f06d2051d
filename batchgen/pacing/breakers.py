"""When to stop sending for a while, and when to give up. Seconds; time and chance come in as arguments."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchgen.pacing.backoff import Backoff


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
