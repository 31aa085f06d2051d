"""When a job is asked about while its answers are odd: a real policy, a scripted provider, and a clock of their own."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from batchgen.core.job import Job, State
from batchgen.providers.contract import Over, ResultAnswer, StatusAnswer, Waiting
from batchgen.scheduler.control import Limits, RunControl
from batchgen.scheduler.pacing import Crowd, FixedInFlight, LearnedPolling
from batchgen.scheduler.poll import Poller

ANSWER_S = 0.1


class Scene:
    """A job of 57 s whose result never comes, followed for an hour. Answers take a while, and naps last *late_s* too
    long.
    """

    def __init__(self, setting_back_s: float = 0.0, late_s: float = 0.0, spread_s: float = 5.0) -> None:
        self.now = self.began = 1e9
        self.questions = 0
        self.asked_at_s: list[float] = []
        self.naps_s: list[float] = []
        self._setting_back_s = setting_back_s
        self._late_s = late_s
        self._spread_s = spread_s

    async def status(self, request_id: str) -> StatusAnswer:
        self._asked()
        if self.now - self.began < 57.0:
            self.now -= self._setting_back_s if self.questions == 2 else 0.0
            return Waiting(True, "in_progress")
        return Over("completed")

    async def result(self, request_id: str, model: str) -> ResultAnswer:
        self._asked()
        return Waiting(None, "not ready yet")

    async def nap(self, seconds: float) -> bool:
        self.naps_s.append(seconds)
        self.now += seconds + self._late_s
        return self.now < self.began + 3600.0

    def _asked(self) -> None:
        self.questions += 1
        self.asked_at_s.append(self.now - self.began)
        self.now += ANSWER_S

    async def follow(self) -> None:
        chance = random.Random(1)
        polling = LearnedPolling(6000.0)
        for _ in range(300):
            ended_s = max(chance.gauss(60.0, self._spread_s), 1.0)
            polling.ended("m", ended_s, ended_s - 0.5)
        course = RunControl(lambda: self.now, Limits(), submitting=True, seed=1)
        course.nap = self.nap  # type: ignore[method-assign]  # the clock of this scene
        nobody: Any = SimpleNamespace(seen=lambda *_: None, tally=SimpleNamespace(counts=dict.fromkeys(State, 0)))
        provider: Any = self
        following = Poller(nobody, provider, course, nobody, FixedInFlight(20), polling, 7200.0, course.wake)
        job = Job(1, "dune", 1, State.SUBMITTED, "m", {}, (), "f", request_id="id", submitted_at=self.began)
        await following.follow(job, soon=False)


async def test_a_job_that_is_completed_without_a_result_is_asked_about_less_and_less() -> None:
    scene = Scene()
    await scene.follow()
    assert scene.questions < 300
    assert scene.naps_s[-1] > 30.0


@pytest.mark.parametrize("back_s", [60.0, 3600.0])
async def test_a_clock_that_is_set_back_does_not_make_the_next_question_wait_as_long(back_s: float) -> None:
    scene = Scene(setting_back_s=back_s)
    await scene.follow()
    assert max(scene.naps_s[:8]) < 61.0


async def test_what_questions_are_late_by_does_not_add_up() -> None:
    in_time, late = Scene(spread_s=25.0), Scene(spread_s=25.0, late_s=0.8)
    await in_time.follow()
    await late.follow()
    behind_s = [at_s - due_s for at_s, due_s in zip(late.asked_at_s, in_time.asked_at_s, strict=False)]
    assert behind_s[0] == pytest.approx(0.8)
    assert max(behind_s[:8]) < 1.6


async def test_after_a_question_that_was_very_late_the_next_comes_a_quarter_sooner_at_most() -> None:
    polling, crowd = LearnedPolling(60.0), Crowd(5)
    planned_s = polling.next_poll_s("m", 60.0, crowd, 0.5)
    assert polling.next_poll_s("m", 60.0, crowd, 0.5, late_s=1.0) == planned_s - 1.0
    assert polling.next_poll_s("m", 60.0, crowd, 0.5, late_s=30.0) == 0.75 * planned_s
    many = Crowd(9)
    assert polling.next_poll_s("m", 60.0, many, 0.5, late_s=30.0) == 9.0  # a job's share of the minute stays its own
