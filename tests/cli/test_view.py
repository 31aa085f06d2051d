"""What a terminal shows of a run: every figure, at every width, and nothing that a terminal would act upon."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from batchgen.cli.live.frame import styled
from batchgen.cli.live.lines import line
from batchgen.cli.live.text import in_ascii
from batchgen.cli.live.view import view
from batchgen.core.job import State
from batchgen.core.money import Money
from batchgen.core.text import clock, duration, harmless, rate, size
from batchgen.results.status import Activity, FinishedRow, RunStatus

NOW = 1_700_000_000.0
HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202eevil\u2066\r\n\x9b31m\udcff\u200b\x00" + "e\u0301" * 300 + "漢字🦊" * 50

ROWS = dict.fromkeys(State, 0) | {
    State.COLLECTED: 1_200,
    State.FAILED: 3,
    State.IN_DOUBT: 1,
    State.SUBMITTED: 46,
    State.READY: 2,
    State.PENDING: 748,
}
ACTIVITY = Activity(
    at=NOW - 2,
    since=NOW - 7_200,
    in_flight=46,
    queued=6,
    limit=50,
    rows_per_s=0.2,
    received_bytes=2_400_000_000,
    left_s=(3_482.0, 4_982.0),
    troubles=("nothing is sent since 03:12:01: waiting for the provider's rate limit",),
    overdue=("dune-7",),
    cost_left_micro=(20_401_000, 23_900_000),
)
LAST = FinishedRow(
    "dune-004", State.COLLECTED, NOW - 5, 42.4, 60_000, "a dune", ("images-00.png", "images-01.png"), 2_100_000, ""
)
FAILED = replace(LAST, row_id="oasis-1", state=State.FAILED, files=(), reason="the model refused the prompt")
STANDING = RunStatus(
    out=Path("nights/ads"),
    at=NOW,
    rehearsal=False,
    rows=ROWS,
    in_doubt=["mesa-3"],
    money=Money(charged=36_200_000, reserved=4_100_000, possibly=60_000),
    budget_micro=60_000_000,
    holder="host here, pid 7",
    activity=ACTIVITY,
    last=[LAST, FAILED],
)


def text(standing: RunStatus, width: int = 80, height: int = 40) -> str:
    return "\n".join(drawn.plain for drawn in view(standing, width, height))


def test_a_running_view_says_everything_a_person_wants_to_know() -> None:
    told = text(STANDING)
    for figure in (
        "running for 2 h 00 min",
        "1,200 of 2,000 collected",
        "3 failed",
        "1 in doubt",
        "748 pending",
        "40 running",
        "6 queued",
        "at most 50 at once",
        "12 rows/min",
        f"between {clock(NOW + 3_480, NOW)} and {clock(NOW + 4_980, NOW)}",
        "58 min to 1 h 23 min left",
        "$36.20 charged",
        "$4.10 reserved",
        "$0.06 possibly charged",
        "$19.64 left of $60.00",
        "$20.40 to $23.90 for the rest",
        "2.4 GB received",
        "waiting for the provider's rate limit",
        "overdue: dune-7",
        "reconcile nights/ads",
        "dune-004",
        "42 s",
        "images-00.png +1, 2.1 MB",
        "the model refused",
    ):
        assert figure in " ".join(told.split()), figure


def test_a_folder_at_rest_says_what_is_left_to_do() -> None:
    at_rest = " ".join(text(replace(STANDING, holder=None, activity=None, files_bytes=3_000_000)).split())
    assert "no run is on" in at_rest
    assert "48 paid jobs not brought in" in at_rest
    assert "batchgen collect nights/ads" in at_rest
    assert "batchgen retry nights/ads" in at_rest
    assert "3.0 MB in nights/ads/rows" in at_rest
    assert "running" not in at_rest


def test_a_rehearsal_at_rest_advises_nothing_that_needs_its_server() -> None:
    at_rest = " ".join(text(replace(STANDING, holder=None, activity=None, rehearsal=True)).split())
    assert "batchgen show" in at_rest
    assert set(re.findall(r"batchgen (\w+)", at_rest)) == {"show"}


@pytest.mark.parametrize("width", [30, 40, 60, 79, 80, 81, 120, 200, 300])
@pytest.mark.parametrize("height", [5, 23, 49])
def test_no_line_is_wider_and_no_view_higher_than_the_terminal(width: int, height: int) -> None:
    hostile = replace(LAST, row_id=HOSTILE, prompt=HOSTILE, files=(HOSTILE,), state=State.COLLECTED)
    refused = replace(FAILED, reason=HOSTILE)
    activity = replace(ACTIVITY, troubles=(HOSTILE, "word " * 200), overdue=(HOSTILE,))
    standing = replace(STANDING, last=[hostile, refused] * 60, activity=activity, in_doubt=[HOSTILE, "a"])
    for one in (STANDING, standing, replace(standing, out=Path("/x") / harmless(HOSTILE))):
        lines = view(one, width, height)
        assert len(lines) <= height
        assert max(drawn.cell_len for drawn in lines) <= width
        assert all(drawn.plain.isprintable() for drawn in lines)


def test_what_a_terminal_would_act_upon_is_written_out() -> None:
    assert harmless("\x1b[31m") == "\\x1b[31m"
    assert harmless("a\u202eb\u2028c\nd\te") == "a\\u202eb\\u2028c\\nd\\te"
    assert harmless("Grüße, 漢字 🦊 עברית") == "Grüße, 漢字 🦊 עברית"
    assert harmless(HOSTILE).isprintable()
    harmless(HOSTILE).encode("utf-8")


def test_a_terminal_without_other_signs_gets_ascii() -> None:
    assert "".join(drawn.plain for drawn in in_ascii(view(STANDING, 80, 40))).isascii()


def test_the_bar_is_full_only_when_every_row_has_ended() -> None:
    almost = replace(STANDING, rows=dict.fromkeys(State, 0) | {State.COLLECTED: 9_999, State.PENDING: 1})
    assert "99%" in text(almost)
    whole = replace(STANDING, rows=dict.fromkeys(State, 0) | {State.COLLECTED: 10_000})
    assert "100%" in text(whole)
    assert "0%" in text(replace(STANDING, rows=dict.fromkeys(State, 0)))


def test_nothing_is_said_by_a_background_or_a_fixed_colour() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=80, no_color=False)
    for drawn in view(STANDING, 80, 40):
        for segment in styled(drawn).render(console):
            if segment.style is not None:
                assert segment.style.bgcolor is None
                assert segment.style.color is None or segment.style.color.name in ("red", "green")


def test_one_line_for_a_log_holds_counts_rate_money_and_what_is_wrong() -> None:
    told = line(STANDING)
    assert "\n" not in told
    for figure in ("1,200 collected", "12 rows/min", "$40.36 of $60.00", "2.4 GB", "rate limit"):
        assert figure in told


@pytest.mark.parametrize(
    ("rows_per_s", "told"), [(3.4, "3.4 rows/s"), (0.2, "12 rows/min"), (0.01, "36 rows/h"), (50, "50 rows/s")]
)
def test_a_rate_is_told_in_the_unit_that_can_be_pictured(rows_per_s: float, told: str) -> None:
    assert rate(rows_per_s) == told


def test_sizes_and_times_are_told_as_people_write_them() -> None:
    assert [size(n) for n in (0, 999, 1_000, 2_400_000, 24_000_000, 3e12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "2.4 MB",
        "24 MB",
        "3.0 TB",
    ]
    assert [duration(s) for s in (4, 4.26, 59, 61, 3_600)] == ["4 s", "4.3 s", "59 s", "1 min 01 s", "1 h 00 min"]
    assert cell_len(clock(NOW + 86_400, NOW)) == len("Mon 00:00")
