"""When to stop sending for a while, and when to give up. Seconds; time and chance come in as arguments."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchgen.core.backoff import Backoff
from batchgen.core.text import cause_of


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
class ServerErrorBreaker:
    """*most* questions in a row that were answered with errors, of whatever jobs: not the time to send what costs."""

    most: int = 5
    in_a_row: int = 0

    def failed(self) -> None:
        self.in_a_row += 1

    def answered(self) -> None:
        self.in_a_row = 0

    @property
    def rages(self) -> bool:
        return self.in_a_row >= self.most


@dataclass(slots=True)
class TrialBreaker:
    """Opened by one refusal; a row is tried after longer and longer pauses, and one that is accepted closes it."""

    backoff: Backoff
    failures: int = 0
    closed_until: float = 0.0

    def refused(self, now: float, roll: float) -> None:
        if now >= self.closed_until:  # refusals of one moment count once
            self.failures += 1
            self.closed_until = now + self.backoff.delay_s(self.failures, roll)

    def accepted(self) -> None:
        self.failures = 0
        self.closed_until = 0.0


@dataclass(slots=True)
class SameCauseBreaker:
    """*most* rows of a model in a row that were refused or failed for one cause: a bad column costs a few jobs.

    The model is closed then, but for one trial row at a time. Once any of its rows ends well, the model is open again;
    when *trials* have ended for the same cause too, it stays closed in this run.
    """

    most: int = 8
    trials: int = 3
    _in_a_row: dict[str, tuple[str, int]] = field(default_factory=dict)
    _closed: dict[str, str] = field(default_factory=dict)
    _on_trial: dict[str, int | None] = field(default_factory=dict)
    _trials_left: dict[str, int] = field(default_factory=dict)

    def failed(self, model: str, key: int, reason: str) -> str | None:
        """Row *key* was refused or failed. Answers with the cause if that closed *model* for good."""
        cause = cause_of(reason)
        if model in self._closed:
            return self._trial_failed(model, key, cause)
        before, times = self._in_a_row.get(model, (cause, 0))
        times = times + 1 if before == cause else 1
        self._in_a_row[model] = (cause, times)
        if times < self.most:
            return None
        self._closed[model] = cause
        self._on_trial[model] = None
        self._trials_left[model] = self.trials
        return None

    def succeeded(self, model: str) -> None:
        """A row of *model* ended well, whenever it was sent."""
        self._in_a_row.pop(model, None)
        self._closed.pop(model, None)
        self._on_trial.pop(model, None)

    def sent(self, model: str, key: int) -> None:
        """Row *key* is being sent: in a closed model that is the trial."""
        if self._on_trial.get(model, key) is None:
            self._on_trial[model] = key

    def undecided(self, model: str, key: int) -> None:
        """Row *key* came back unsent, or nobody knows how it ended: another one may be tried."""
        if self._on_trial.get(model) == key:
            self._on_trial[model] = None

    @property
    def closed(self) -> dict[str, str]:
        """Models that nothing is sent to now, and the cause: a trial is under way, or went wrong."""
        return {model: cause for model, cause in self._closed.items() if self._on_trial.get(model, 0) is not None}

    @property
    def open(self) -> dict[str, tuple[str, bool]]:
        """Models whose rows end one after another for one cause: the cause, and whether no more of them is tried."""
        return {model: (cause, model not in self._on_trial) for model, cause in self._closed.items()}

    @property
    def trying(self) -> bool:
        """Whether a trial row decides on the rows that wait."""
        return any(key is not None for key in self._on_trial.values())

    def _trial_failed(self, model: str, key: int, cause: str) -> str | None:
        if self._on_trial.get(model) != key:  # sent before the model was closed
            return None
        if cause != self._closed[model]:
            self.succeeded(model)  # it got further than the others: the count begins anew
            self._in_a_row[model] = (cause, 1)
            return None
        self._trials_left[model] -= 1
        if self._trials_left[model] > 0:
            self._on_trial[model] = None
            return None
        del self._on_trial[model]
        return cause
