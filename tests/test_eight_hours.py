"""An eight-hour night in seconds: outage, empty wallet, sleep and a revoked token, one after the other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from batchgen.core.errors import Exit
from batchgen.core.job import State
from batchgen.scheduler import Scheduler
from tests.virtual import Night, in_virtual_time, names, night

MINUTE_S, HOUR_S = 60.0, 3600.0
ROWS = names(70)


async def clock_strikes(here: Night, hour: float) -> None:
    """Wait until so many hours after the start at 22:00."""
    await asyncio.sleep(max(hour * HOUR_S - here.now_s, 0.0))


@pytest.mark.slow
@pytest.mark.timeout(600)  # a dozen seconds, and more on a machine that has much else to do
@in_virtual_time
async def test_an_eight_hour_night_ends_as_it_should(tmp_path: Path) -> None:
    """22:00 start, 23:00 to 01:00 nobody answers, 02:00 the wallet is empty, 03:00 it is topped up, 03:30 the machine
    sleeps for an hour, 05:00 the token is revoked.
    """
    async with night(tmp_path, latency="lognormal:15min", concurrency=4) as here:
        collected: dict[str, int] = {}

        async def misfortunes(scheduler: Scheduler) -> None:
            counts = scheduler.state.tally.counts
            await clock_strikes(here, 1.0)
            here.cut_off(True)
            await clock_strikes(here, 3.0)
            collected["after the outage"] = counts[State.COLLECTED]
            here.cut_off(False)
            await clock_strikes(here, 4.0)
            collected["wallet empty"] = counts[State.COLLECTED]
            here.change(wallet_usd=0.0)
            await clock_strikes(here, 4.9)
            assert [one.which.value for one in scheduler.breakers] == ["balance"]
            assert counts[State.SUBMITTED] == 0  # what was paid for came home meanwhile
            await clock_strikes(here, 5.0)
            collected["topped up"] = counts[State.COLLECTED]
            here.change(wallet_usd=100.0)
            await clock_strikes(here, 5.5)
            here.clock.ahead_s += HOUR_S
            await clock_strikes(here, 7.0)
            collected["revoked"] = counts[State.COLLECTED]
            here.change(token="another")

        await here.run(ROWS, during=misfortunes, in_flight=5, wait_for_balance=True, wait_for_provider=True)
        assert here.exit() is Exit.TOKEN
        assert 7.0 * HOUR_S < here.now_s < 7.0 * HOUR_S + 2 * MINUTE_S
        assert 0 < collected["after the outage"] < collected["wallet empty"] < collected["topped up"]
        assert collected["topped up"] < collected["revoked"]
        assert here.count(State.PENDING) > 0
        assert here.count(State.FAILED) == here.count(State.IN_DOUBT) == 0
        assert "slept for 60 min" in " ".join(here.ending.notes)
        assert {"provider opened", "balance opened", "balance closed", "token opened"} <= set(here.told)

        here.token = "another"
        await here.run(in_flight=5)  # in the morning, with the new token of the same account
        assert here.exit() is Exit.DONE
        assert sorted(here.paid) == ROWS
