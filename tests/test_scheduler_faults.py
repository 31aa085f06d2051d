"""What nobody foresaw costs one row's step: it is told, nothing is sent twice, and the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.job import Output, State
from batchgen.providers.contract import (
    BeforeSending,
    Cause,
    ResultAnswer,
    RunStopped,
    StatusAnswer,
    SubmitAnswer,
    Success,
)
from batchgen.storage.paths import RunFolder
from tests.collector.filehost import file_host
from tests.providers.fake import FakeProvider
from tests.test_scheduler import Night, names

ODD = "row-03"
SECRET_PLACE = "/home/somebody/0x7f00"


class Surprise(Exception):
    """Nobody foresaw it."""

    def __init__(self) -> None:
        super().__init__(f"<Thing object at {SECRET_PLACE}>")


class Link(str):
    """A link that nobody can look at."""

    def strip(self, chars: str | None = None, /) -> str:
        raise Surprise


class Odd(FakeProvider):
    """Goes wrong *at* one point of one row's way, and of all rows' if *every*."""

    at: str = ""
    every: bool = False

    def _breaks(self, at: str, text: str) -> bool:
        return self.at == at and (self.every or text == ODD)

    async def submit(self, model: str, body: Mapping[str, Any], before_sending: BeforeSending) -> SubmitAnswer:
        text = str(body["text"])
        if self._breaks("before the intent", text):
            raise Surprise

        async def before() -> None:
            await before_sending()
            if self._breaks("after the intent", text):
                raise Surprise

        answer = await super().submit(model, body, before)
        if self._breaks("after the POST", text):
            raise Surprise
        return answer

    async def status(self, request_id: str) -> StatusAnswer:
        if self._breaks("status", self._taken[request_id][0]):
            raise Surprise
        return await super().status(request_id)

    async def result(self, request_id: str, model: str) -> ResultAnswer:
        if self._breaks("result", self._taken[request_id][0]):
            raise Surprise
        result = await super().result(request_id, model)
        if isinstance(result, Success) and self._breaks("download", self._taken[request_id][0]):
            return Success((Output("images", Link("https://files.example/a.png")),), None)
        return result


@pytest.fixture
async def night(tmp_path: Path) -> AsyncIterator[Night]:
    async with file_host() as host:
        night = Night(RunFolder.at(tmp_path / "out"), host)
        night.provider = Odd(night.clock, url_of=night.provider.url_of)
        yield night


def breaks(night: Night, at: str, every: bool = False) -> None:
    assert isinstance(night.provider, Odd)
    night.provider.at, night.provider.every = at, every


@pytest.mark.parametrize(
    ("at", "state"),
    [
        ("before the intent", State.PENDING),
        ("after the intent", State.IN_DOUBT),
        ("after the POST", State.IN_DOUBT),
        ("status", State.SUBMITTED),
        ("result", State.SUBMITTED),
        ("download", State.READY),
    ],
)
async def test_a_fault_in_one_rows_step_leaves_the_row_where_it_was_and_the_others_go_on(
    night: Night, at: str, state: State
) -> None:
    breaks(night, at)
    ending = await night.run(*names(8))
    assert ending.cause is None
    assert night.states == dict.fromkeys(names(8), State.COLLECTED) | {ODD: state}
    (note,) = ending.notes
    assert ODD in note
    assert "Surprise at batchgen." in note
    assert "report it" in note
    assert SECRET_PLACE not in note + str(night.jobs[ODD].reason)

    breaks(night, "")  # a version that has it mended
    await night.run()
    assert max(night.provider.billed.values()) == 1
    assert night.sent.count(ODD) <= 1
    if state is not State.IN_DOUBT:  # which a person settles
        assert set(night.states.values()) == {State.COLLECTED}


async def test_the_same_fault_of_many_rows_is_one_note(night: Night) -> None:
    breaks(night, "download", every=True)
    ending = await night.run(*names(8))
    (note,) = ending.notes
    assert "and 3 more were downloaded" in note
    assert set(night.states.values()) == {State.READY}


async def test_a_fault_after_every_post_stops_the_posts_as_lost_answers_do(night: Night) -> None:
    breaks(night, "after the POST", every=True)
    ending = await night.run(*names(20), in_flight=1)
    assert ending.cause is Cause.PROVIDER
    assert len(night.sent) < 10
    assert set(night.sent) == {row_id for row_id, state in night.states.items() if state is State.IN_DOUBT}


async def test_a_fault_before_every_post_sends_nothing_and_ends(night: Night) -> None:
    breaks(night, "before the intent", every=True)
    await night.run(*names(20))
    assert night.sent == []
    assert set(night.states.values()) == {State.PENDING}
    assert night.scheduler is not None
    assert night.scheduler.rows_unsent


async def test_what_stops_a_run_still_stops_it(night: Night) -> None:
    class Blocked(Odd):
        async def status(self, request_id: str) -> StatusAnswer:
            raise RunStopped(Cause.TOKEN, "no")

    night.provider = Blocked(night.clock)
    ending = await night.run(*names(3))
    assert ending.cause is Cause.TOKEN
    assert ending.notes == []


async def test_who_leaves_is_not_kept_by_a_fault(night: Night) -> None:
    breaks(night, "after the POST")
    night.provider.answer_s = 0.2

    async def leave(scheduler: Any) -> None:
        await asyncio.sleep(0.1)
        scheduler.leave()

    await night.run(*names(5), during=leave)
    assert State.SUBMITTING not in night.states.values()
    assert night.provider.billed.total() == len(night.sent)
    assert night.states[ODD] is (State.IN_DOUBT if ODD in night.sent else State.PENDING)
