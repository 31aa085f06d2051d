"""Back-off, polling and breakers, at both sides of each limit. Times are seconds on a clock of the test's own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.scheduler.pacing import (
    EXPIRED_AFTER_S,
    Backoff,
    ContactBreaker,
    DoubtBreaker,
    IdEvidence,
    ProportionalPolling,
    SubmitRate,
)


def test_delays_double_up_to_the_limit() -> None:
    backoff = Backoff(1.0, 10.0)
    assert [backoff.delay_s(failures, 1.0) for failures in (1, 2, 3, 4, 5, 5000)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_spread_over_the_upper_half_and_never_passes_the_limit(failures: int, roll: float) -> None:
    full_s = Backoff(0.5, 60.0).delay_s(failures, 1.0)
    assert full_s / 2 <= Backoff(0.5, 60.0).delay_s(failures, roll) <= full_s <= 60.0


@pytest.mark.parametrize(("age_s", "delay_s"), [(0.0, 0.25), (1.0, 0.25), (10.0, 1.5), (66.0, 9.9), (1e6, 10.0)])
def test_a_job_is_asked_about_after_a_share_of_its_age_within_bounds(age_s: float, delay_s: float) -> None:
    assert ProportionalPolling().next_poll_s("model", age_s) == pytest.approx(delay_s)


class TestDoubt:
    def test_two_doubtful_posts_pause_nothing_and_the_third_does(self) -> None:
        breaker = DoubtBreaker()
        breaker.doubt(100.0, 0.0)
        breaker.doubt(100.0, 0.0)
        assert (breaker.closed_until, breaker.one_at_a_time) == (0.0, False)
        breaker.doubt(100.0, 0.0)
        assert breaker.closed_until > 100.0
        assert breaker.one_at_a_time

    def test_one_accepted_between_starts_the_count_anew(self) -> None:
        breaker = DoubtBreaker()
        for _ in range(2):
            breaker.doubt(100.0, 0.0)
        breaker.accepted()
        for _ in range(2):
            breaker.doubt(100.0, 0.0)
        assert not breaker.one_at_a_time

    def test_the_pause_grows_with_every_further_doubt(self) -> None:
        breaker, pauses = DoubtBreaker(), []
        for _ in range(5):
            breaker.doubt(100.0, 1.0)
            pauses.append(breaker.closed_until - 100.0)
        assert pauses[2:] == [5.0, 10.0, 20.0]

    def test_it_gives_up_at_its_most_and_not_before(self) -> None:
        breaker = DoubtBreaker(most=6)
        for _ in range(5):
            breaker.doubt(100.0, 0.0)
        assert not breaker.hopeless
        breaker.doubt(100.0, 0.0)
        assert breaker.hopeless


class TestReach:
    def test_a_provider_that_never_answered_is_given_little_time(self) -> None:
        breaker = ContactBreaker(patience_cold_s=15.0)
        assert not breaker.hopeless(1e9)
        breaker.failed(100.0, 0.0)
        assert not breaker.hopeless(114.9)
        assert breaker.hopeless(115.0)

    def test_one_that_did_answer_is_given_more(self) -> None:
        breaker = ContactBreaker(patience_cold_s=15.0, patience_s=900.0)
        breaker.succeeded()
        breaker.failed(100.0, 0.0)
        assert not breaker.hopeless(999.9)
        assert breaker.hopeless(1000.0)

    def test_many_failures_of_one_moment_count_once(self) -> None:
        breaker = ContactBreaker()
        for _ in range(30):
            breaker.failed(100.0, 1.0)
        assert (breaker.failures, breaker.closed_until) == (1, 100.5)
        breaker.failed(100.5, 1.0)
        assert (breaker.failures, breaker.closed_until) == (2, 101.5)

    def test_the_last_try_comes_when_patience_ends_and_not_later(self) -> None:
        breaker, now = ContactBreaker(patience_cold_s=15.0), 100.0
        while not breaker.hopeless(now):
            breaker.failed(now, 1.0)
            now = breaker.closed_until
        assert now == 115.0

    def test_an_answer_opens_the_way_at_once(self) -> None:
        breaker = ContactBreaker()
        breaker.failed(100.0, 1.0)
        breaker.succeeded()
        assert (breaker.closed_until, breaker.hopeless(1e9)) == (0.0, False)


class TestBusy:
    @pytest.mark.parametrize(
        ("asked_s", "pause_s"), [(0.0, 1.0), (1.0, 1.0), (30.0, 30.0), (120.0, 120.0), (86_400.0, 120.0)]
    )
    def test_the_providers_own_hint_is_kept_within_bounds(self, asked_s: float, pause_s: float) -> None:
        assert SubmitRate().busy(100.0, 100.0, asked_s, 0.5) == 100.0 + pause_s

    def test_without_a_hint_the_pause_grows_by_episode(self) -> None:
        pause, now, pauses = SubmitRate(), 100.0, []
        for _ in range(4):
            until = pause.busy(now, now, None, 1.0)
            pauses.append(until - now)
            now = until
        assert pauses == [1.0, 2.0, 4.0, 8.0]

    def test_refusals_of_one_moment_are_one_episode(self) -> None:
        pause = SubmitRate()
        first = pause.busy(100.0, 100.0, None, 1.0)
        assert [pause.busy(100.5, 100.5, 60.0, 1.0) for _ in range(20)] == [first] * 20
        assert pause.episodes == 1

    def test_an_accepted_post_ends_the_episodes(self) -> None:
        pause = SubmitRate()
        now = pause.busy(100.0, 100.0, None, 1.0)
        now = pause.busy(now, now, None, 1.0)
        assert pause.wait_s(now) == 0.0
        pause.accepted(now)
        assert pause.busy(now + 1.0, now + 1.0, 10.0, 1.0) == now + 11.0
        assert pause.episodes == 1


class TestChance:
    """A limit refuses what is sent right after a refused POST, too; chance does not."""

    def test_one_that_is_accepted_right_after_a_refused_one_shows_that_nothing_is_to_be_learned(self) -> None:
        rate = SubmitRate()
        rate.busy(100.05, 100.0, 1.0, 0.5)
        assert rate.accepted(100.02)
        assert rate.wait_s(100.06) == pytest.approx(0.99)  # as the provider asked
        assert (rate.wait_s(101.05), rate.per_s) == (0.0, math.inf)

    def test_where_refusals_are_chance_as_a_rule_one_that_was_on_the_wire_ends_the_pause(self) -> None:
        rate = SubmitRate()
        pauses = []
        for now in (100.0, 110.0, 120.0, 130.0):
            rate.busy(now + 0.05, now, None, 0.5)
            rate.accepted(now + 0.02)
            pauses.append(rate.wait_s(now + 0.06) > 0.0)
        assert pauses == [True, True, False, False]

    @pytest.mark.parametrize("sent_at", [99.99, 100.2])
    def test_one_that_was_sent_before_it_or_long_after_it_says_nothing(self, sent_at: float) -> None:
        rate = SubmitRate()
        rate.busy(100.05, 100.0, 1.0, 0.5)
        assert not rate.accepted(sent_at)
        assert rate.wait_s(100.06) > 0.9

    def test_of_two_refused_one_after_the_other_none_is_chance(self) -> None:
        rate = SubmitRate()
        rate.busy(100.05, 100.0, 1.0, 0.5)
        rate.busy(100.05, 100.01, 1.0, 0.5)
        assert not rate.accepted(100.02)
        assert rate.wait_s(100.06) > 0.9

    def test_where_nothing_else_was_on_the_wire_every_other_refusal_is_tested_by_one_row_at_once(self) -> None:
        rate, now = SubmitRate(), 100.0
        pauses = []
        for _ in range(4):
            rate.busy(now, now, None, 0.5)
            pauses.append(rate.wait_s(now))
            now += 1.0
            rate.wait_s(now)
            rate.accepted(now)
            now += 1.0
        assert pauses == [1.0, 0.0, 1.0, 0.0]

    def test_a_test_that_is_refused_pauses_after_all(self) -> None:
        rate = SubmitRate()
        rate.busy(100.0, 100.0, None, 0.5)
        rate.wait_s(101.0)
        rate.accepted(101.0)
        rate.busy(102.0, 102.0, None, 0.5)
        assert (rate.wait_s(102.0), rate.most_on_the_wire) == (0.0, 1)
        assert rate.busy(102.01, 102.01, None, 0.5) == 103.01
        assert rate.wait_s(102.01) == pytest.approx(1.0)

    @pytest.mark.parametrize("asked_s", [1.0, 30.0])
    def test_a_pause_that_the_provider_asks_for_is_kept_whatever_becomes_of_what_was_on_the_wire(
        self, asked_s: float
    ) -> None:
        rate = used_to_chance()
        rate.busy(200.05, 200.0, asked_s, 0.5)
        rate.accepted(200.02)
        assert rate.wait_s(200.05) == pytest.approx(asked_s)

    def test_where_refusals_are_chance_as_a_rule_each_is_followed_by_one_row_at_once(self) -> None:
        rate = used_to_chance()
        for now in (200.0, 210.0, 220.0):
            assert rate.busy(now, now, None, 0.5) == now + 1.0  # its own row comes later
            assert (rate.wait_s(now), rate.most_on_the_wire) == (0.0, 1)
            rate.accepted(now + 0.01)

    def test_a_limit_that_comes_later_is_believed_after_a_few(self) -> None:
        rate = used_to_chance()
        sent = 0
        while rate.wait_s(200.0) == 0.0:
            rate.busy(200.0, 200.0, None, 0.5)
            sent += 1
        assert sent <= 4


def used_to_chance() -> SubmitRate:
    """Every tenth POST was refused, and the next one taken."""
    rate = SubmitRate()
    for at in range(10):
        rate.busy(100.0 + at, 100.0 + at, None, 0.5)
        rate.accepted(100.01 + at)
    return rate


class TestLearnedRate:
    """A bucket that fills with 50 a second and was full: 50 at once are taken, then one in 20 ms."""

    def refused_after_the_first_50(self) -> SubmitRate:
        rate = SubmitRate()
        for _ in range(50):
            rate.sent(100.0)
            rate.accepted(99.9)
        rate.sent(100.0)
        assert rate.busy(100.0, 100.0, 1.0, 0.5) == 101.0
        return rate

    def test_a_run_begins_with_few_posts_at_once_and_no_limit_later(self) -> None:
        rate = SubmitRate()
        assert rate.most_on_the_wire == 16
        for _ in range(128):
            rate.accepted(100.0)
        assert rate.most_on_the_wire is None

    def test_after_a_pause_one_row_tries_and_then_what_was_saved_up_goes_at_once(self) -> None:
        rate = self.refused_after_the_first_50()
        assert rate.wait_s(100.4) == pytest.approx(0.6)
        assert (rate.wait_s(101.0), rate.most_on_the_wire) == (0.0, 1)
        rate.sent(101.0)
        rate.accepted(101.0)
        for _ in range(49):
            assert rate.wait_s(101.0) == 0.0
            rate.sent(101.0)
        assert rate.wait_s(101.0) > 0.0

    def test_what_was_accepted_between_two_refusals_is_the_rate_whenever_its_answers_come(self) -> None:
        rate = self.refused_after_the_first_50()
        assert rate.wait_s(101.0) == 0.0
        for at in range(100):
            rate.sent(101.0 + at / 100)
        for at in range(60):
            rate.accepted(101.0 + at / 100)
        rate.busy(102.0, 102.0, 10.0, 0.5)
        for at in range(60, 100):
            rate.accepted(101.0 + at / 100)
        rate.wait_s(112.0)
        assert rate.per_s == pytest.approx(50.0, rel=0.05)

    def test_refusals_without_an_acceptance_between_halve_it_and_never_end_it(self) -> None:
        rate = self.refused_after_the_first_50()
        now = 101.0
        rate.wait_s(now)
        before = rate.per_s
        now = rate.busy(now, now, None, 0.5)
        rate.wait_s(now)
        assert rate.per_s == before / 2
        for _ in range(100):
            now = rate.busy(now, now, None, 0.5)
        rate.wait_s(now)
        assert rate.per_s == 0.25

    def test_a_persons_rate_holds_whatever_the_provider_takes(self) -> None:
        rate = SubmitRate(every_s=10.0)
        rate.sent(100.0)
        assert rate.wait_s(103.0) == 7.0
        assert rate.wait_s(50.0) == 10.0  # the clock was set back


class TestContact:
    def test_an_id_is_not_found_after_three_such_answers(self) -> None:
        contact = IdEvidence()
        assert [contact.not_found(1) for _ in range(3)] == [False, False, True]

    def test_a_good_answer_between_starts_the_count_anew(self) -> None:
        contact = IdEvidence()
        for _ in range(2):
            contact.not_found(1)
        contact.answered(1)
        assert not contact.not_found(1)

    def test_an_id_ends_its_row_only_if_another_answered_and_it_is_older_than_seven_days(self) -> None:
        contact = IdEvidence()
        assert not contact.gone_for_good(1, EXPIRED_AFTER_S + 1)
        contact.answered(1)
        assert not contact.gone_for_good(1, EXPIRED_AFTER_S + 1)
        contact.answered(2)
        assert contact.gone_for_good(1, EXPIRED_AFTER_S + 1)
        assert not contact.gone_for_good(1, EXPIRED_AFTER_S)

    def test_nobody_answers_when_every_live_id_was_asked_and_none_was_found(self) -> None:
        contact = IdEvidence()
        assert not contact.nobody_answers(0)
        for key in (1, 2):
            for _ in range(3):
                contact.not_found(key)
        assert not contact.nobody_answers(3)
        assert contact.nobody_answers(2)

    def test_one_accepted_post_shows_that_the_account_is_the_right_one(self) -> None:
        contact = IdEvidence(account_is_right=True)
        for _ in range(3):
            contact.not_found(1)
        assert not contact.nobody_answers(1)
