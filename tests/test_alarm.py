"""Sleeps that can be cut short, and turns by deadline, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps

import looptime
import pytest

from batchgen.scheduler.timers import BoundedWakeups, DeadlineSemaphore, WakeableSleep
from tests.virtual import VirtualLoop


def in_virtual_time(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Run *test* on a loop whose clock jumps from one timer to the next."""

    @wraps(test)
    def run() -> None:
        with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
            runner.run(test())

    return run


def now() -> float:
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_a_sleep_lasts_as_long_as_it_was_asked_to() -> None:
    began = now()
    await WakeableSleep().sleep(3600.0)
    assert now() - began == pytest.approx(3600.0)


@in_virtual_time
async def test_a_ring_ends_every_sleep_at_once() -> None:
    alarm = WakeableSleep()
    sleepers = [asyncio.create_task(alarm.sleep(3600.0)) for _ in range(100)]
    began = now()
    await asyncio.sleep(1.0)
    alarm.ring()
    await asyncio.gather(*sleepers)
    assert now() - began == pytest.approx(1.0)


@in_virtual_time
async def test_a_ring_that_nobody_heard_does_not_cut_the_next_sleep_short() -> None:
    alarm = WakeableSleep()
    alarm.ring()
    began = now()
    await alarm.sleep(5.0)
    assert now() - began == pytest.approx(5.0)


@in_virtual_time
async def test_no_more_than_the_places_are_taken_at_once_and_all_of_them_are() -> None:
    turns, inside, most = DeadlineSemaphore(3), 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with turns.at(0.0):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(1.0)
            inside -= 1

    began = now()
    await asyncio.gather(*(work() for _ in range(9)))
    assert most == 3
    assert now() - began == pytest.approx(3.0)


@in_virtual_time
async def test_the_next_place_goes_to_the_earliest_deadline_and_then_by_arrival() -> None:
    turns, order = DeadlineSemaphore(1), []

    async def work(name: str, deadline: float) -> None:
        async with turns.at(deadline):
            order.append(name)
            await asyncio.sleep(1.0)

    async with asyncio.TaskGroup() as tasks:
        for name, deadline in (("first", 9.0), ("late", float("inf")), ("soon", 1.0), ("too", 1.0), ("mid", 5.0)):
            tasks.create_task(work(name, deadline))
            await asyncio.sleep(0)
    assert order == ["first", "soon", "too", "mid", "late"]


@in_virtual_time
async def test_who_stops_waiting_takes_no_place_with_them() -> None:
    turns = DeadlineSemaphore(1)

    async def hold(seconds: float) -> None:
        async with turns.at(0.0):
            await asyncio.sleep(seconds)

    holder = asyncio.create_task(hold(5.0))
    await asyncio.sleep(0)
    gone = asyncio.create_task(hold(5.0))
    await asyncio.sleep(1.0)
    gone.cancel()
    await holder
    began = now()
    await asyncio.gather(hold(1.0), hold(1.0))
    assert now() - began == pytest.approx(2.0)


@in_virtual_time
async def test_a_turn_that_is_given_and_not_taken_goes_on_to_the_next() -> None:
    turns, reached = DeadlineSemaphore(1), asyncio.Event()

    async def wait_for_a_turn() -> None:
        async with turns.at(0.0):
            await asyncio.sleep(1.0)

    async def take_the_next_one() -> None:
        async with turns.at(1.0):
            reached.set()

    async with turns.at(0.0):
        given = asyncio.create_task(wait_for_a_turn())
        waiting = asyncio.create_task(take_the_next_one())
        await asyncio.sleep(1.0)
    given.cancel()  # its turn has come and it does not know yet
    await asyncio.wait_for(reached.wait(), 10.0)
    await waiting
    assert given.cancelled()


def test_what_comes_due_together_ends_a_few_a_turn_and_the_longest_due_first() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        ended, most = runner.run(_ended_after_a_long_turn())
    assert ended == list(range(7))
    assert most == 2


async def _ended_after_a_long_turn() -> tuple[list[int], int]:
    """Seven sleepers in the order in which they end, and the most that ended in one turn."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    turns, ended = BoundedWakeups(2), list[int]()

    async def sleep(number: int) -> None:
        await turns.sleep(1.0 + number / 1000)
        ended.append(number)

    sleepers = [asyncio.create_task(sleep(number)) for number in reversed(range(7))]
    await asyncio.sleep(0.9)
    loop.jump(0.2)
    most = await most_in_a_turn(ended, 7)
    await asyncio.gather(*sleepers)
    return ended, most


@in_virtual_time
async def test_sleeps_that_end_a_few_a_turn_last_as_long_as_they_were_asked_to() -> None:
    turns, began = BoundedWakeups(2), now()
    lasted = {}

    async def sleep(seconds: float) -> None:
        await turns.sleep(seconds)
        lasted[seconds] = now() - began

    await asyncio.gather(*(sleep(seconds) for seconds in (3600.0, 0.0, 5.0, 60.0)))
    assert lasted == {seconds: pytest.approx(seconds) for seconds in (3600.0, 0.0, 5.0, 60.0)}


@in_virtual_time
async def test_after_a_ring_all_who_sleep_are_due_and_none_who_begins_later() -> None:
    turns, began = BoundedWakeups(1), now()
    ended = list[int]()

    async def sleep(number: int) -> None:
        await turns.sleep(3600.0 - number)
        ended.append(number)

    sleepers = [asyncio.create_task(sleep(number)) for number in range(100)]
    await asyncio.sleep(1.0)
    turns.ring()
    assert await most_in_a_turn(ended, 100) == 1
    await asyncio.gather(*sleepers)
    assert now() - began == pytest.approx(1.0)
    assert ended == list(range(100))
    await turns.sleep(5.0)
    assert now() - began == pytest.approx(6.0)


@in_virtual_time
async def test_a_sleeper_that_is_cancelled_takes_nobodys_turn() -> None:
    turns, ended = BoundedWakeups(1), list[int]()

    async def sleep(number: int) -> None:
        await turns.sleep(5.0)
        ended.append(number)

    gone = [asyncio.create_task(turns.sleep(5.0)) for _ in range(50)]
    stays = asyncio.create_task(sleep(1))
    await asyncio.sleep(4.9)
    for sleeper in gone:
        sleeper.cancel()
    await asyncio.sleep(0.1)
    turns_taken = 0
    while not ended:
        await asyncio.sleep(0)
        turns_taken += 1
    assert turns_taken < 5
    await stays


async def most_in_a_turn(ended: list[int], of: int) -> int:
    """The most that *ended* grows by in one turn of the event loop, until it holds *of*."""
    most, before = 0, len(ended)
    while len(ended) < of:
        await asyncio.sleep(0)
        most, before = max(most, len(ended) - before), len(ended)
    return most
