"""What the end of a rehearsal advises works on its folder, whose server is gone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.cli.tables import report
from batchgen.core.errors import Exit
from batchgen.core.job import State
from batchgen.core.money import Money
from batchgen.runner.outcome import Report

OUT = Path("/out/ads.rehearsal")
WORK_THERE = {"report", "show", "rehearse", "run"}
"""`run` is for real, in a folder of its own."""

ENDED = Report(
    OUT,
    dict.fromkeys(State, 2),
    ["ad-1", "ad-2"],
    Money(charged=90_000),
    None,
    Exit.DONE,
    reason="told to stop",
    overdue=["ad-3"],
)


@pytest.mark.parametrize("code", list(Exit))
def test_nothing_is_advised_that_needs_the_server_that_ended(code: Exit) -> None:
    lines = "\n".join(report(replace(ENDED, exit=code), rehearsal=True))
    advised = set(re.findall(r"batchgen (\w+) " + re.escape(str(OUT)), lines))
    assert advised
    assert advised <= WORK_THERE
    assert "goes on" not in lines
    assert "run the same command again" not in lines
    assert "nothing was paid" in lines


def test_a_real_run_is_still_told_how_it_goes_on() -> None:
    lines = "\n".join(report(replace(ENDED, exit=Exit.STILL_LIVE)))
    assert {"reconcile", "collect", "retry"} <= set(re.findall(r"batchgen (\w+) ", lines))
    assert "nothing was paid" not in lines
