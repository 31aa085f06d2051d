"""A provider that plays a script. It passes the suite of test_contract.py, as the real one does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from batchgen.core.job import Output
from batchgen.providers.contract import (
    BeforeSending,
    Cancelled,
    CancelOutcome,
    NotSent,
    Over,
    ResultAnswer,
    StatusAnswer,
    SubmitAnswer,
    Success,
    Taken,
    Unknown,
    Waiting,
)


@dataclass
class Posted:
    """One POST that reached the provider."""

    model: str
    body: Mapping[str, Any]
    at: float


@dataclass
class FakeProvider:
    """Takes every request, runs it for `job_s` seconds, and then has one output at `url_of(request_id)`.

    A row's text may stand in `submits` with the answers its POSTs get before they are taken, and in `statuses` or
    `results` with those its reads get first; jobs of a text in `never` do not end. `running` counts jobs that have
    not ended at this moment.
    """

    now: Callable[[], float]
    job_s: float = 0.0
    answer_s: float = 0.0
    url_of: Callable[[str], str] = lambda request_id: f"https://files.example/{request_id}.png"
    cost_micro: int | None = 40_000
    submits: dict[str, list[SubmitAnswer]] = field(default_factory=dict)
    statuses: dict[str, list[StatusAnswer]] = field(default_factory=dict)
    results: dict[str, list[ResultAnswer]] = field(default_factory=dict)
    never: set[str] = field(default_factory=set)
    posts: list[Posted] = field(default_factory=list)
    asked: list[tuple[str, float]] = field(default_factory=list)
    most_running: int = 0
    dropped: int = 0
    cancelled: set[str] = field(default_factory=set)
    _count: int = 0
    _taken: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def submit(self, model: str, body: Mapping[str, Any], before_sending: BeforeSending) -> SubmitAnswer:
        text = str(body.get("text"))
        answer = next(iter(self.submits.get(text, [])), None)
        if isinstance(answer, NotSent):
            self.submits[text].pop(0)
            return answer
        await before_sending()
        if answer is not None:
            self.submits[text].pop(0)
        self.posts.append(Posted(model, body, self.now()))
        await asyncio.sleep(self.answer_s)
        if answer is None:
            self._count += 1
            answer = Taken(f"id-{self._count}")
        if isinstance(answer, Taken):
            self.know(answer.request_id, text)
        return answer

    def know(self, request_id: str, text: str) -> None:
        """Take *request_id* for a job that was accepted now."""
        self._taken[request_id] = (text, self.now())
        self.most_running = max(self.most_running, self.running)

    def forget(self, request_id: str) -> None:
        del self._taken[request_id]

    @property
    def running(self) -> int:
        return sum(not self._ended(request_id) for request_id in self._taken)

    @property
    def billed(self) -> Counter[str]:
        """How often each text was taken, and so paid for."""
        return Counter(text for text, _ in self._taken.values())

    async def status(self, request_id: str) -> StatusAnswer:
        self.asked.append((request_id, self.now()))
        await asyncio.sleep(self.answer_s)
        if request_id not in self._taken:
            return Unknown("no such request")
        if script := self.statuses.get(self._taken[request_id][0]):
            return script.pop(0)
        return Over("completed") if self._ended(request_id) else Waiting(True, "in_progress")

    async def result(self, request_id: str, model: str) -> ResultAnswer:
        await asyncio.sleep(self.answer_s)
        if request_id not in self._taken:
            return Unknown("no such request")
        if script := self.results.get(self._taken[request_id][0]):
            return script.pop(0)
        if request_id in self.cancelled:
            return Cancelled(0)
        if not self._ended(request_id):
            return Waiting(True, "in_progress")
        return Success((Output("images", self.url_of(request_id)),), self.cost_micro)

    async def echoed_input(self, request_id: str) -> Mapping[str, Any] | None:
        return None

    async def cancel(self, request_id: str) -> CancelOutcome:
        if request_id not in self._taken:
            return CancelOutcome.UNKNOWN
        if self._ended(request_id):
            return CancelOutcome.NOT_CANCELLABLE
        self.cancelled.add(request_id)
        return CancelOutcome.CANCELLED

    async def catalogue_entry(self, model: str) -> Mapping[str, Any] | None:
        return None

    async def drop_connections(self) -> None:
        self.dropped += 1

    async def close(self) -> None:
        """Nothing is held."""

    def _ended(self, request_id: str) -> bool:
        text, taken_at = self._taken[request_id]
        return request_id in self.cancelled or (text not in self.never and self.now() >= taken_at + self.job_s)
