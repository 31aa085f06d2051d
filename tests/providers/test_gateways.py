"""Behind a real cache or load balancer every charge is a row that was accepted or one that is named in doubt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from batchgen.core.job import State
from tests.money.here import EmbeddedServer, attempts, ran, serving_here
from tests.providers.gateways import Gateway, each_gateway

ROWS = 16
LOST = {
    "submit.drop_reply": "#2",
    "submit.drop_midreply": "#5",
    "submit.slow": "#8:2500ms",
    "submit.503_after": "#11",
    "submit.5xx_after": "#14",
}
"""Answers that a gateway loses after it delivered the POST; the slow one comes when it has ceased to wait."""
NOT_MADE = {
    "submit.drop_before": "#3",
    "submit.503_retry_after": "#6",
    "submit.429": "#9",
    "submit.error_in_200": "#12:422001",
}


@asynccontextmanager
async def behind(gateway: Gateway, folder: Path, faults: dict[str, str]) -> AsyncIterator[tuple[EmbeddedServer, str]]:
    """The embedded server with *faults*, and the URL at which *gateway* stands before it."""
    plan = ",".join(f"{name}={when}" for name, when in faults.items())
    async with serving_here(plan) as server:
        with gateway.before(server.url, folder / "gateway") as base:
            yield server, base


@each_gateway
async def test_every_charge_is_an_accepted_row_or_one_named_in_doubt_and_none_is_paid_twice(
    tmp_path: Path, gateway: Gateway
) -> None:
    async with behind(gateway, tmp_path, LOST) as (server, base):
        for _ in range(2):  # a second run sends nothing
            report = await ran(tmp_path, base, rows=ROWS, in_flight=2)
            assert report.exit == 7
            assert report.rows[State.COLLECTED] + report.rows[State.IN_DOUBT] == ROWS
        await each_is_paid_once(tmp_path, server, unknown=len(report.in_doubt))
        assert len(await server.charged()) == report.rows[State.COLLECTED] + len(report.in_doubt) == ROWS
        assert len(report.in_doubt) == len(LOST)


@each_gateway
async def test_what_the_api_itself_refuses_through_a_gateway_is_sent_again_or_fails_unbilled(
    tmp_path: Path, gateway: Gateway
) -> None:
    async with behind(gateway, tmp_path, NOT_MADE) as (server, base):
        report = await ran(tmp_path, base, rows=ROWS, in_flight=2)
        assert (report.rows[State.FAILED], report.rows[State.IN_DOUBT]) == (1, 1)
        assert report.rows[State.COLLECTED] == ROWS - 2
        assert len(await server.charged()) == ROWS - 2
        await each_is_paid_once(tmp_path, server, unknown=0)


@each_gateway
async def test_a_gateway_whose_api_is_gone_costs_nothing_and_says_nothing_certain(
    tmp_path: Path, gateway: Gateway
) -> None:
    async with serving_here() as server:
        url = server.url
    with gateway.before(url, tmp_path / "gateway") as base:
        report = await ran(tmp_path, base, rows=1)
        assert (report.exit, report.in_doubt) == (7, ["row-0000"])
        (job,) = attempts(tmp_path)
        assert "does not say whether" in str(job.reason)


async def each_is_paid_once(folder: Path, server: EmbeddedServer, unknown: int) -> None:
    """No request was charged twice, and of all but *unknown* charges the id is on disk."""
    charged = {job["request_id"]: job["body_sha256"] for job in await server.charged()}
    assert len(set(charged.values())) == len(charged), "paid twice"
    rows = [f"row-{number:04d}" for number in range(ROWS)]
    known = {job.request_id for row_id in rows for job in attempts(folder, row_id)} - {None}
    assert known <= set(charged)
    assert len(charged) - len(known) == unknown
