"""Queue, slots and wallet, with time as an argument."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from batchgen.simulator.account import CANCELLED, FAILED, IN_PROGRESS, IN_QUEUE, SUCCEEDED, Account, Job, Submission
from batchgen.simulator.faults import FaultPlan
from batchgen.simulator.timing import Latency

SUBMISSION = Submission("first", "some/model", "aa", b"{}", 3, 90_000)
TEN_SECONDS = Latency.parse("fixed:10s")


def accept(account: Account, now_s: float, body: str = "aa", faults: str = "", latency: Latency = TEN_SECONDS) -> Job:
    return account.accept(replace(SUBMISSION, body_sha256=body), FaultPlan.parse(faults, 0), latency, now_s)


def test_jobs_run_first_in_first_out_and_start_when_a_slot_came_free_not_when_somebody_asked() -> None:
    account = Account(0, concurrency=1, wallet_micro=None)
    first, second, third = (accept(account, now_s) for now_s in (0.0, 1.0, 2.0))
    assert (first.state, second.state, account.queue_position(second), account.queue_position(third)) == (
        IN_PROGRESS,
        IN_QUEUE,
        1,
        2,
    )
    account.advance(100.0)
    assert [(job.started_at_s, job.ended_at_s) for job in (first, second, third)] == [(0, 10), (10, 20), (20, 30)]


def test_jobs_that_were_cancelled_ahead_of_a_job_do_not_count_for_its_place() -> None:
    account = Account(0, concurrency=1, wallet_micro=None)
    _, *waiting = (accept(account, 0.0) for _ in range(8))
    for cancelled in (waiting[4], waiting[0], waiting[2]):
        account.cancel(cancelled, 1.0)
    left = [waiting[1], waiting[3], waiting[5], waiting[6]]
    assert [account.queue_position(job) for job in left] == [1, 2, 3, 4]
    account.advance(10.0)  # the next one starts: cancelled places on the way to it are forgotten
    assert left[0].state == IN_PROGRESS
    assert [account.queue_position(job) for job in left[1:]] == [1, 2, 3]
    account.cancel(left[2], 11.0)
    assert account.queue_position(left[3]) == 2


def test_a_job_has_ended_at_its_time_and_not_before() -> None:
    account = Account(0, 1, None)
    job = accept(account, 0.0)
    account.advance(9.999)
    assert job.state == IN_PROGRESS
    account.advance(10.0)
    assert job.state == SUCCEEDED


def test_a_waiting_job_is_cancelled_for_nothing_and_a_running_one_is_not() -> None:
    account = Account(0, 1, 1_000_000)
    running, waiting, last = accept(account, 0), accept(account, 0), accept(account, 0)
    assert account.cancel(waiting, 1.0)
    assert not account.cancel(running, 1.0)
    assert (waiting.state, waiting.charged_micro, account.wallet_micro) == (CANCELLED, 0, 1_000_000 - 2 * 90_000)
    account.advance(10.0)
    assert last.state == IN_PROGRESS
    assert not account.cancel(waiting, 11.0)


def test_the_wallet_pays_to_its_last_cent_and_not_beyond() -> None:
    account = Account(0, 1, 90_000)
    assert account.can_pay(90_000)
    assert not account.can_pay(90_001)
    accept(account, 0.0)
    assert not account.can_pay(1)


def test_raising_the_limit_starts_waiting_jobs_and_lowering_it_stops_none() -> None:
    account = Account(0, 1, None)
    jobs = [accept(account, 0.0) for _ in range(4)]
    account.set_concurrency(3, 2.0)
    assert [job.started_at_s for job in jobs] == [0, 2, 2, None]
    account.set_concurrency(1, 3.0)
    account.advance(10.0)
    assert (account.in_progress, jobs[3].state) == (2, IN_QUEUE)
    account.advance(12.0)
    assert jobs[3].started_at_s == 12.0


def test_ids_and_job_times_hang_on_the_body_and_its_occurrence_not_on_arrival() -> None:
    latency = Latency.parse("lognormal:2s")
    one, other = Account(5, 9, None), Account(5, 9, None)
    a, b, a_again = (accept(one, 0, body, latency=latency) for body in ("a", "b", "a"))
    b2, a2, a2_again = (accept(other, 0, body, latency=latency) for body in ("b", "a", "a"))
    assert [(job.request_id, job.runs_s) for job in (a, b, a_again)] == [
        (job.request_id, job.runs_s) for job in (a2, b2, a2_again)
    ]
    assert a.request_id != a_again.request_id


def test_another_accounts_job_is_not_found() -> None:
    account = Account(0, 1, None)
    job = accept(account, 0.0)
    assert account.find(job.request_id, "first", 1.0) is job
    assert account.find(job.request_id, "other", 1.0) is None


def test_failed_jobs_keep_their_price_and_show_every_form_of_error_in_turn() -> None:
    account = Account(0, 9, None)
    jobs = [accept(account, 0.0, faults="job.fail=100%") for _ in range(5)]
    account.advance(10.0)
    assert {job.state for job in jobs} == {FAILED}
    assert [type(job.error).__name__ for job in jobs] == ["str", "dict", "list", "NoneType", "str"]
    assert "timeout 429" in jobs[4].error
    assert account.charged_micro == 5 * 90_000


def test_fewer_is_at_least_one_and_at_most_what_was_asked() -> None:
    account = Account(0, 99, None)
    made = [accept(account, 0.0, faults="job.fewer=100%").made for _ in range(40)]
    assert set(made) == {1, 2}


@given(
    st.lists(st.tuples(st.floats(0, 5), st.sampled_from(["post", "cancel", "look"])), max_size=60), st.integers(1, 4)
)
def test_no_slot_is_ever_overbooked_or_left_empty_while_somebody_waits(
    steps: list[tuple[float, str]], slots: int
) -> None:
    account, now_s, jobs = Account(0, slots, None), 0.0, []
    for pause_s, step in steps:
        now_s += pause_s
        if step == "post":
            jobs.append(accept(account, now_s))
        elif step == "cancel" and jobs:
            account.cancel(jobs[len(jobs) // 2], now_s)
        account.advance(now_s)
        assert account.in_progress <= slots
        assert account.in_queue == 0 or account.in_progress == slots
        assert account.in_queue == sum(job.state == IN_QUEUE for job in jobs)
        assert account.in_progress == sum(job.state == IN_PROGRESS for job in jobs)
    assert account.charged_micro == sum(job.charged_micro for job in jobs)


def test_a_body_may_lie_on_disk(tmp_path: Path) -> None:
    kept = tmp_path / "body"
    kept.write_bytes(b'{"text": "x"}')
    job = Account(0, 1, None).accept(replace(SUBMISSION, body=kept), FaultPlan(), TEN_SECONDS, 0.0)
    assert job.body == kept
