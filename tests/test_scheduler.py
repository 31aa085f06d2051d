"""The loop over a real state file and real downloads, with a provider that plays a script."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batchgen.collector.collect import Collector
from batchgen.collector.download import downloads_session
from batchgen.core.job import Billed, Job, Output, State
from batchgen.core.money import Price
from batchgen.core.row import Row, fingerprint
from batchgen.providers.contract import (
    AccountBlocked,
    BeforeSending,
    Busy,
    Cancelled,
    Cause,
    Failure,
    Lost,
    ModelMissing,
    NoNews,
    NotSent,
    Over,
    Rejected,
    StatusAnswer,
    SubmitAnswer,
    Success,
    Waiting,
)
from batchgen.scheduler import Limits, Scheduler, StopInfo
from batchgen.scheduler.pacing import EXPIRED_AFTER_S, ProportionalPolling
from batchgen.state import Asked, Staging, StateFile, open_state
from batchgen.storage.paths import RunFolder
from tests.collector.filehost import Asked as AskedFor
from tests.collector.filehost import FileHost, Way, file_host, sends
from tests.collector.media import picture
from tests.providers.fake import FakeProvider

PNG = picture()
PRICE = Price(40_000, 40_000)


@dataclass
class Clock:
    """The wall clock, which may be moved."""

    ahead_s: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@dataclass
class Night:
    """One run folder, one provider and one file host, and as many runs over them as a test wants."""

    folder: RunFolder
    host: FileHost
    clock: Clock = field(default_factory=Clock)
    polling: ProportionalPolling = field(default_factory=lambda: ProportionalPolling(0.15, 0.02, 0.05))
    jobs: dict[str, Job] = field(default_factory=dict)
    scheduler: Scheduler | None = None

    def __post_init__(self) -> None:
        self.provider = FakeProvider(self.clock, url_of=lambda request_id: f"{self.host.url}/{request_id}.png")
        self.host.otherwise = sends(PNG)

    @contextmanager
    def state(self) -> Iterator[StateFile]:
        state = open_state(self.folder, "http://127.0.0.1:1", False, lambda reason, jobs: None)
        try:
            yield state
        finally:
            state.close()

    async def run(
        self,
        *rows: Row | str,
        only: frozenset[str] | None = None,
        submitting: bool = True,
        during: Callable[[Scheduler], Any] | None = None,
        rerun_changed: bool = False,
        **limits: Any,
    ) -> StopInfo:
        """Enrol *rows* and run to the end; *during* is awaited beside the run."""
        with self.state() as state:
            if rows:
                await self.enrol(state, rows, rerun_changed)
            session = downloads_session(True, 32, idle_s=2.0)
            collector = Collector(self.folder, session, True, self.clock)
            limits = {"in_flight": 20, "min_free_bytes": 0, **limits}
            self.scheduler = Scheduler(
                state, self.provider, collector, Limits(**limits), {"model": PRICE, "other": PRICE}, self.polling,
                self.clock, only, submitting, seed=7,
            )  # fmt: skip
            beside = asyncio.create_task(during(self.scheduler)) if during else None
            try:
                async with asyncio.timeout(60):
                    ending = await self.scheduler.run()
                if beside is not None:
                    await beside
            finally:
                await collector.close()
                await session.close()
            self.jobs = {job.row_id: job for job in state.reader.jobs(list(State))}
            return ending

    async def enrol(self, state: StateFile, rows: tuple[Row | str, ...], rerun_changed: bool) -> None:
        scratch = Staging()
        try:
            for one in rows:
                assert scratch.add(one if isinstance(one, Row) else row(one), Asked(1, 1)) is None
            scratch.done()
            await state.enrol(scratch, rerun_changed=rerun_changed)
        finally:
            scratch.close()

    @property
    def states(self) -> dict[str, State]:
        return {row_id: job.state for row_id, job in self.jobs.items()}

    @property
    def sent(self) -> list[str]:
        """The texts of the POSTs, in order."""
        return [post.body["text"] for post in self.provider.posts]


def row(row_id: str, text: str | None = None, model: str = "model", priority: int = 0) -> Row:
    body = {"text": text or row_id}
    return Row(row_id, True, model, body, fingerprint(model, body), priority=priority)


def names(count: int) -> list[str]:
    return [f"row-{number:02d}" for number in range(count)]


@pytest.fixture
async def night(tmp_path: Path) -> AsyncIterator[Night]:
    async with file_host() as host:
        yield Night(RunFolder.at(tmp_path / "out"), host)


async def until(happened: Callable[[], bool], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not happened():  # noqa: ASYNC110 - what is waited for is seen from outside only
            await asyncio.sleep(0.01)


# ── what is sent, and when ──────────────────────────────────────────────────────────────────────────────


async def test_every_row_is_sent_once_and_ends_as_files(night: Night) -> None:
    ending = await night.run(*names(25))
    assert ending.cause is None
    assert set(night.states.values()) == {State.COLLECTED}
    assert night.provider.billed == dict.fromkeys(names(25), 1)
    assert len(list(night.folder.rows.glob("*/images-00.png"))) == 25


async def test_another_run_has_nothing_to_do(night: Night) -> None:
    await night.run(*names(3))
    await night.run(*names(3))
    assert len(night.provider.posts) == 3


@pytest.mark.parametrize("slots", [1, 3, 4])
async def test_all_slots_are_used_and_never_one_more(night: Night, slots: int) -> None:
    night.provider.job_s = 0.1
    await night.run(*names(12), in_flight=slots)
    assert night.provider.most_running == slots


async def test_rows_go_by_priority_and_then_in_manifest_order(night: Night) -> None:
    rows = [row("z"), row("m", priority=5), row("a"), row("low", priority=-1), row("b", priority=5)]
    await night.run(*rows, in_flight=1)
    assert night.sent == ["m", "b", "z", "a", "low"]


async def test_a_slot_is_free_again_before_its_files_are_there(night: Night) -> None:
    began = asyncio.Event()

    async def when_all_are_sent(asked: AskedFor, writer: asyncio.StreamWriter) -> None:
        began.set()
        await until(lambda: len(night.provider.posts) == 3)
        await sends(PNG)(asked, writer)

    night.host.otherwise = when_all_are_sent
    await night.run(*names(3), in_flight=1)  # would wait for ever if a download held the slot
    assert began.is_set()
    assert set(night.states.values()) == {State.COLLECTED}


async def test_submitting_pauses_while_downloads_fall_behind_and_goes_on_after(night: Night) -> None:
    let_go = asyncio.Event()

    async def held(asked: AskedFor, writer: asyncio.StreamWriter) -> None:
        await let_go.wait()
        await sends(PNG)(asked, writer)

    night.host.otherwise = held

    async def watch(scheduler: Scheduler) -> None:
        await until(lambda: scheduler.waiting_for == "downloads to catch up")
        await asyncio.sleep(0.2)
        assert len(night.provider.posts) == 4  # 2 x downloads + in flight, and the one that passed it
        let_go.set()

    await night.run(*names(9), in_flight=1, downloads=1, during=watch)
    assert set(night.states.values()) == {State.COLLECTED}


async def test_a_submit_rate_spreads_the_posts(night: Night) -> None:
    await night.run(*names(5), submits_per_min=600)
    times = [post.at for post in night.provider.posts]
    assert times[-1] - times[0] >= 0.35  # one in a tenth of a second


async def test_only_and_limit_bound_what_is_sent(night: Night) -> None:
    await night.run(*names(6), only=frozenset({"row-01", "row-04"}))
    assert sorted(night.sent) == ["row-01", "row-04"]
    await night.run(*names(6), rows=2)
    assert sorted(night.sent[2:]) == ["row-00", "row-02"]


async def test_rows_left_are_those_in_scope_and_within_the_limit(night: Night) -> None:
    left: list[int] = []

    async def look(scheduler: Scheduler) -> None:
        left.append(scheduler.rows_left)

    await night.run(*names(6), only=frozenset({"row-01", "row-04"}), during=look)
    await night.run(*names(6), rows=1, during=look)
    assert left == [2, 1]


async def test_a_limit_counts_rows_and_not_the_tries_at_them(night: Night) -> None:
    night.provider.submits["row-00"] = [NotSent("no route"), Busy("busy", 0.0)]
    ending = await night.run(*names(3), rows=1)
    assert ending.cause is None
    assert night.provider.billed == {"row-00": 1}


async def test_collecting_never_submits(night: Night) -> None:
    await night.run(*names(2), submitting=False)
    assert night.provider.posts == []
    assert set(night.states.values()) == {State.PENDING}


async def test_too_little_disk_stops_before_the_first_post(night: Night) -> None:
    ending = await night.run("a", min_free_bytes=1 << 60)
    assert (ending.cause, night.provider.posts) == (Cause.DISK, [])


async def test_a_folder_that_cannot_be_written_stops_the_run_and_loses_nothing(night: Night) -> None:
    night.folder.path.mkdir()
    in_the_way = night.folder.path / "parts"
    in_the_way.touch()
    ending = await night.run(*names(3))
    assert ending.cause is Cause.DISK
    assert "parts" in ending.reason
    in_the_way.unlink()
    await night.run(*names(3))
    assert set(night.states.values()) == {State.COLLECTED}
    assert night.provider.billed == dict.fromkeys(names(3), 1)


# ── answers to a POST ───────────────────────────────────────────────────────────────────────────────────


async def test_a_busy_provider_is_given_the_time_it_asks_for_by_every_row(night: Night) -> None:
    night.provider.submits["row-00"] = [Busy("too many", 1.3)]
    ending = await night.run(*names(4), in_flight=1)
    first, *others = night.provider.posts
    assert ending.cause is None
    assert min(post.at for post in others) - first.at >= 1.3
    assert night.provider.billed == dict.fromkeys(names(4), 1)


async def test_the_last_row_too_is_sent_again_when_it_was_not_accepted(night: Night) -> None:
    night.provider.submits["only"] = [NotSent("no route"), Busy("busy", 0.0), NotSent("no route")]
    ending = await night.run("only")
    assert (ending.cause, night.states) == (None, {"only": State.COLLECTED})
    assert night.provider.billed == {"only": 1}


async def test_a_connection_that_goes_between_intent_and_first_byte_leaves_the_row_pending_and_it_is_sent(
    night: Night,
) -> None:
    night.provider = Breaking(night.clock, url_of=night.provider.url_of)
    ending = await night.run(*names(2), in_flight=1)
    assert (ending.cause, night.states) == (None, dict.fromkeys(names(2), State.COLLECTED))
    assert (night.provider.broken, night.provider.billed) == (1, dict.fromkeys(names(2), 1))


class Breaking(FakeProvider):
    """Its first connection breaks once the intent is written, before anything is sent."""

    broken = 0

    async def submit(self, model: str, body: Mapping[str, Any], before_sending: BeforeSending) -> SubmitAnswer:
        if not self.broken:
            self.broken += 1
            await before_sending()
            return NotSent("hung up")
        return await super().submit(model, body, before_sending)


async def test_a_lost_answer_leaves_the_row_in_doubt_and_is_not_sent_again(night: Night) -> None:
    night.provider.submits["row-01"] = [Lost("reset after 30 s")]
    for _ in range(2):
        await night.run(*names(3))
        assert night.jobs["row-01"].state is State.IN_DOUBT
    assert night.sent.count("row-01") == 1
    assert [night.states[name] for name in ("row-00", "row-02")] == [State.COLLECTED] * 2
    assert night.jobs["row-01"].estimate_micro == 40_000


async def test_a_doubtful_row_holds_no_slot(night: Night) -> None:
    night.provider.submits["row-00"] = [Lost("reset")]
    await night.run(*names(3), in_flight=1)
    assert len(night.provider.posts) == 3


async def test_after_three_doubts_submitting_pauses_and_then_tries_one_row_alone(night: Night) -> None:
    night.provider.submits |= {name: [Lost("reset")] for name in names(3)}
    night.provider.answer_s = 0.2

    async def watch(scheduler: Scheduler) -> None:
        await until(lambda: (scheduler.waiting_for or "").startswith("a pause"))
        await asyncio.sleep(0.3)
        assert len(night.provider.posts) == 3
        night.clock.ahead_s += 20

    await night.run(*names(3), during=watch, rows=3)
    await night.run(*names(3))  # a new run counts anew, and has nothing to send
    assert len(night.provider.posts) == 3


async def test_the_row_that_tries_it_is_alone_until_it_is_answered(night: Night) -> None:
    night.provider.submits |= {name: [Lost("reset")] for name in names(3)}
    night.provider.answer_s = 0.2

    async def watch(scheduler: Scheduler) -> None:
        await until(lambda: (scheduler.waiting_for or "").startswith("a pause"))
        night.clock.ahead_s += 20

    await night.run(*names(8), in_flight=3, during=watch)
    trial, *others = night.provider.posts[3:]
    assert min(post.at for post in others) - trial.at >= 0.2
    assert others[1].at - others[0].at < 0.2  # then the slots fill again
    assert sorted(night.provider.billed) == names(8)[3:]


async def test_a_refused_request_fails_unbilled_and_the_others_go_on(night: Night) -> None:
    night.provider.submits["row-01"] = [Rejected("text is too long")]
    await night.run(*names(3))
    job = night.jobs["row-01"]
    assert (job.state, job.billed, job.reason) == (State.FAILED, Billed.NO, "text is too long")
    assert night.states["row-02"] is State.COLLECTED


async def test_a_missing_model_closes_that_model_only_and_its_rows_stay_pending(night: Night) -> None:
    night.provider.submits["row-00"] = [ModelMissing("no such model")]
    rows = [row("row-00", model="other"), row("row-01"), row("row-02", model="other"), row("row-03")]
    await night.run(*rows, in_flight=1)
    assert night.scheduler is not None
    assert night.scheduler.models_missing
    assert night.sent == ["row-00", "row-01", "row-03"]
    assert [night.states[name] for name in names(4)] == [
        State.PENDING, State.COLLECTED, State.PENDING, State.COLLECTED,
    ]  # fmt: skip


@pytest.mark.parametrize("cause", [Cause.TOKEN, Cause.BALANCE])
async def test_a_blocked_account_stops_the_run_and_leaves_the_rest_pending(night: Night, cause: Cause) -> None:
    night.provider.submits["row-02"] = [AccountBlocked(cause, "no")]
    ending = await night.run(*names(9), in_flight=1)
    assert (ending.cause, ending.reason) == (cause, "no")
    assert night.sent == names(3)
    assert {night.states[name] for name in names(9)[2:]} == {State.PENDING}


async def test_an_empty_wallet_still_brings_in_what_was_paid_for(night: Night) -> None:
    night.provider.job_s = 0.3
    night.provider.submits["row-02"] = [AccountBlocked(Cause.BALANCE, "no balance")]
    ending = await night.run(*names(3))
    assert ending.cause is Cause.BALANCE
    assert [night.states[name] for name in names(3)] == [State.COLLECTED, State.COLLECTED, State.PENDING]


async def test_a_slot_that_comes_free_is_filled_in_the_next_turn_of_the_event_loop(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, freed_in, filled_in = 0, list[int](), list[int]()
    status, submit = night.provider.status, night.provider.submit

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        counting.append(asyncio.get_running_loop().call_soon(next_turn))

    async def noticed(request_id: str) -> StatusAnswer:
        answer = await status(request_id)
        freed_in.append(turn)
        return answer

    async def begun(model: str, body: Mapping[str, Any], before_sending: BeforeSending) -> SubmitAnswer:
        filled_in.append(turn)
        return await submit(model, body, before_sending)

    monkeypatch.setattr(night.provider, "status", noticed)
    monkeypatch.setattr(night.provider, "submit", begun)
    counting: list[asyncio.Handle] = []
    next_turn()
    await night.run(*names(4), in_flight=1)
    counting[-1].cancel()
    assert [filled - freed for freed, filled in zip(freed_in, filled_in[1:], strict=False)] == [1, 1, 1]


async def test_at_the_beginning_a_row_that_was_taken_makes_room_for_the_next_while_the_disk_takes_its_id(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = list[str]()
    submit, night.provider.answer_s = night.provider.submit, 0.1
    disk: list[asyncio.Task[Any]] = []
    all_begun = threading.Event()

    async def keep_the_disk_busy() -> None:
        assert night.scheduler is not None
        assert await night.scheduler.state._writer.change(lambda connection: all_begun.wait(10.0))

    async def begins(model: str, body: Mapping[str, Any], before_sending: BeforeSending) -> SubmitAnswer:
        begun.append(body["text"])
        if len(begun) == 20:
            all_begun.set()
        answer = await submit(model, body, before_sending)
        if not disk:
            assert len(begun) == 16  # and no more, as long as nobody knows what the provider takes
            disk.append(asyncio.create_task(keep_the_disk_busy()))
            await asyncio.sleep(0)
        return answer

    monkeypatch.setattr(night.provider, "submit", begins)
    await night.run(*names(20))
    await disk[0]
    assert begun == names(20)
    assert set(night.states.values()) == {State.COLLECTED}


async def test_the_budget_lets_the_last_affordable_row_through_and_not_one_more(night: Night) -> None:
    ending = await night.run(*names(5), budget_micro=3 * 40_000)
    assert ending.cause is Cause.BUDGET
    assert len(night.provider.posts) == 3
    ending = await night.run(*names(5), budget_micro=5 * 40_000)
    assert (ending.cause, len(night.provider.posts)) == (None, 5)


async def test_a_cost_above_the_list_price_is_reserved_for_the_rows_that_follow(night: Night) -> None:
    night.provider.cost_micro = 60_000
    ending = await night.run(*names(5), in_flight=1, budget_micro=170_000)
    assert ending.cause is Cause.BUDGET
    assert len(night.provider.posts) == 2  # 60,000 twice, and a third at 60,000 would be 180,000


# ── until the job has ended ─────────────────────────────────────────────────────────────────────────────


async def test_an_ending_is_what_the_result_says_in_every_form_it_comes(night: Night) -> None:
    provider = night.provider
    provider.results["failed"] = [Failure("the model refused", None)]
    provider.results["cancelled"] = [Cancelled(0)]
    provider.results["hollow"] = [Success((), 40_000)] * 9
    provider.results["once-hollow"] = [Success((), None)]
    provider.results["status-failed"] = [Waiting(True, "in_progress")] * 9
    provider.statuses["status-failed"] = [Over("failed", "out of memory")]
    provider.statuses["odd"] = [Waiting(None, "warming_up"), NoNews("HTTP 502", True), Waiting(False, "in_queue")]
    provider.statuses["untrue"] = [Over("completed")]
    provider.results["untrue"] = [Failure("timeout 429", None)]
    await night.run("failed", "cancelled", "hollow", "once-hollow", "status-failed", "odd", "untrue", "good")
    assert night.states == {
        "failed": State.FAILED,
        "cancelled": State.CANCELLED,
        "hollow": State.FAILED,
        "once-hollow": State.COLLECTED,
        "status-failed": State.FAILED,
        "odd": State.COLLECTED,
        "untrue": State.FAILED,
        "good": State.COLLECTED,
    }
    reasons = {name: night.jobs[name].reason for name in ("failed", "status-failed", "untrue")}
    assert reasons == {"failed": "the model refused", "status-failed": "out of memory", "untrue": "timeout 429"}
    assert {night.jobs[name].billed for name in ("failed", "hollow", "status-failed", "untrue")} == {Billed.YES}
    assert provider.billed == dict.fromkeys(night.jobs, 1)


async def test_when_only_overdue_rows_are_left_the_run_ends_and_names_them(night: Night) -> None:
    night.provider.never = {"row-01"}
    began = time.monotonic()
    ending = await night.run(*names(3), job_timeout_s=0.4)
    assert time.monotonic() - began >= 0.4
    assert night.scheduler is not None
    assert (ending.cause, night.scheduler.overdue) == (None, {"row-01"})
    assert [night.states[name] for name in names(3)] == [State.COLLECTED, State.SUBMITTED, State.COLLECTED]
    night.provider.never.clear()
    await night.run(*names(3), job_timeout_s=0.4)
    assert night.states["row-01"] is State.COLLECTED
    assert len(night.provider.posts) == 3


async def test_an_overdue_row_does_not_end_a_run_that_has_other_work(night: Night) -> None:
    night.provider.never = {"row-00"}
    await night.run(*names(6), in_flight=2, job_timeout_s=0.05)
    assert [night.states[name] for name in names(6)] == [State.SUBMITTED] + [State.COLLECTED] * 5


async def leave_with_jobs_in_flight(night: Night, *rows: str) -> None:
    """A run that was left when all of *rows* had been accepted and none had ended."""
    night.provider.never |= set(rows)

    async def watch(scheduler: Scheduler) -> None:
        await until(lambda: night.provider.running == len(rows) and scheduler.posts_on_the_wire == 0)
        await asyncio.sleep(0.05)
        scheduler.leave()

    await night.run(*rows, during=watch)
    assert set(night.states.values()) == {State.SUBMITTED}
    night.provider.never.clear()


async def test_jobs_of_an_earlier_run_are_carried_on_and_not_sent_again(night: Night) -> None:
    await leave_with_jobs_in_flight(night, *names(3))
    await night.run(*names(5))
    assert set(night.states.values()) == {State.COLLECTED}
    assert night.provider.billed == dict.fromkeys(names(5), 1)


async def test_with_another_accounts_token_nothing_is_sent_and_no_row_ends(night: Night) -> None:
    await leave_with_jobs_in_flight(night, *names(2))
    for request_id in ("id-1", "id-2"):
        night.provider.forget(request_id)
    ending = await night.run(*names(4))
    assert ending.cause is Cause.TOKEN
    assert "another account" in ending.reason
    assert "expired" in ending.reason
    assert len(night.provider.posts) == 2
    assert [night.states[name] for name in names(4)] == [State.SUBMITTED] * 2 + [State.PENDING] * 2


@pytest.mark.parametrize("age_s", [EXPIRED_AFTER_S - 3600, EXPIRED_AFTER_S + 3600])
async def test_an_id_that_is_not_found_ends_its_row_only_when_it_is_old_and_another_answers(
    night: Night, age_s: float
) -> None:
    night.clock.ahead_s = -age_s
    await leave_with_jobs_in_flight(night, "gone", "known")
    night.clock.ahead_s = 0.0
    gone = night.jobs["gone"].request_id
    assert gone is not None
    night.provider.forget(gone)
    await night.run("gone", "known")
    job = night.jobs["gone"]
    if age_s > EXPIRED_AFTER_S:
        assert (job.state, job.billed) == (State.FAILED, Billed.UNKNOWN)
    else:
        assert job.state is State.SUBMITTED
    assert night.states["known"] is State.COLLECTED


async def test_a_machine_that_slept_asks_about_everything_at_once_on_new_connections(night: Night) -> None:
    night.polling = ProportionalPolling(0.15, 600.0, 600.0)  # nobody would ask for ten minutes
    night.provider.job_s = 0.05

    async def watch(scheduler: Scheduler) -> None:
        await until(lambda: len(night.provider.posts) == 3)
        night.clock.ahead_s += 3600

    began = time.monotonic()
    ending = await night.run(*names(3), during=watch)
    assert time.monotonic() - began < 10
    assert night.provider.dropped == 1
    assert "slept for 60 min" in " ".join(ending.notes)
    assert set(night.states.values()) == {State.COLLECTED}


async def test_a_clock_that_was_set_by_a_few_seconds_is_no_sleep(night: Night) -> None:
    night.provider.job_s = 1.5

    async def watch(scheduler: Scheduler) -> None:
        await until(lambda: len(night.provider.posts) == 1)
        night.clock.ahead_s -= 25

    night.provider.never = {"a"}

    async def end(scheduler: Scheduler) -> None:
        await watch(scheduler)
        await asyncio.sleep(1.3)
        night.provider.never.clear()
        night.clock.ahead_s += 25

    ending = await night.run("a", during=end)
    assert (night.provider.dropped, ending.notes) == (0, [])


@pytest.mark.parametrize("refusal", [Busy("too many", 2.0), NotSent("no route"), Lost("reset")])
async def test_a_clock_that_is_set_back_an_hour_puts_nothing_off_by_an_hour(
    night: Night, refusal: SubmitAnswer
) -> None:
    night.provider.submits["a"] = [refusal]
    night.provider.now = time.time  # nobody sets the provider's clock back

    async def watch(scheduler: Scheduler) -> None:
        await until(lambda: not night.provider.submits["a"])
        night.clock.ahead_s -= 3600

    await night.run("a", "b", "c", during=watch, in_flight=1)
    expected = State.COLLECTED if not isinstance(refusal, Lost) else State.IN_DOUBT
    assert night.states == {"a": expected, "b": State.COLLECTED, "c": State.COLLECTED}


async def test_a_row_that_was_put_off_before_the_clock_was_set_back_is_sent_by_the_next_run(night: Night) -> None:
    night.provider.submits["a"] = [Busy("too many", 60.0)]

    async def watch(scheduler: Scheduler) -> None:
        await until(lambda: not night.provider.submits["a"])
        scheduler.leave()

    await night.run("a", during=watch)
    assert night.states == {"a": State.PENDING}
    night.clock.ahead_s -= 3600
    await night.run()
    assert night.states == {"a": State.COLLECTED}


async def test_a_row_is_still_put_off_when_the_next_run_begins_at_once(night: Night) -> None:
    night.provider.submits["a"] = [Busy("too many", 3.0)]

    async def watch(scheduler: Scheduler) -> None:
        await until(lambda: not night.provider.submits["a"])
        scheduler.leave()

    await night.run("a", during=watch)
    (refused,) = night.provider.posts
    await night.run()
    assert night.states == {"a": State.COLLECTED}
    assert night.provider.posts[-1].at - refused.at >= 3.0


async def test_a_changed_row_that_was_paid_for_gets_its_new_attempt_in_the_same_run(night: Night) -> None:
    await leave_with_jobs_in_flight(night, "a")
    await night.run(row("a", text="another dune"), rerun_changed=True)
    assert night.sent == ["a", "another dune"]
    assert (night.jobs["a"].n, night.jobs["a"].state) == (2, State.COLLECTED)
    assert (night.folder.attempt("a", 1) / "images-00.png").is_file()


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_links_that_expire_first_are_fetched_first(night: Night) -> None:
    lasts_s = {"id-1": 9000, "id-2": 5000, "id-3": 8000, "id-4": 6000, "id-5": 7000}
    expiry = int(time.time())
    night.provider.url_of = lambda request_id: (
        f"{night.host.url}/{request_id}.png?Expires={expiry + lasts_s[request_id]}&Signature=x"
    )

    async def held(asked: AskedFor, writer: asyncio.StreamWriter) -> None:
        if len(night.host.asked) == 1:
            await until(lambda: night.scheduler is not None and len(night.provider.asked) >= 5)
            await asyncio.sleep(0.3)
        await sends(PNG)(asked, writer)

    night.host.otherwise = held
    await night.run(*names(5), in_flight=5, downloads=1)
    first, *others = [asked.target[1:5] for asked in night.host.asked]
    assert others == sorted(set(lasts_s) - {first}, key=lambda request_id: lasts_s[request_id])


async def test_an_expired_link_is_asked_for_again_and_nothing_is_paid_twice(night: Night) -> None:
    night.host.puts("/id-1.png", sends(b"", 403), sends(PNG))
    await night.run("a")
    assert (night.states, len(night.provider.posts)) == ({"a": State.COLLECTED}, 1)


async def test_a_cost_that_comes_late_is_in_the_sum_and_in_row_json(night: Night) -> None:
    output = (Output("images", f"{night.host.url}/x.png"),)
    night.provider.results["a"] = [Success(output, None)]
    night.provider.cost_micro = 37_000
    await night.run("a")
    assert night.jobs["a"].cost_micro == 37_000
    assert json.loads((night.folder.row("a") / "row.json").read_text())["cost_usd"] == 0.037
    with night.state() as state:
        assert state.tally.money.charged == 37_000


async def test_all_outputs_are_collected_however_many_were_asked_for(night: Night) -> None:
    more: Way = sends(picture(seed=3))
    urls = [night.host.puts(f"/extra-{number}.png", more) for number in range(4)]
    night.provider.results["a"] = [Success(tuple(Output("images", url) for url in urls), 0)]
    await night.run("a")
    assert len(night.jobs["a"].saved) == 4
