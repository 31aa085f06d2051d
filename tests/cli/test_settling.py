"""What `reconcile` shows of rows in doubt: what to look for on the provider's page, and what to type next."""

from __future__ import annotations

import shlex
from pathlib import Path

from batchgen.cli.commands.recover import _doubt, _doubt_lines, _next_steps
from batchgen.core.job import Job, State


def doubtful(row_id: str, **asked: object) -> Job:
    return Job(
        1, row_id, 1, State.IN_DOUBT, "model", asked, (), "0" * 64, estimate_micro=30_000, intent_at=1.0, reason="reset"
    )


def test_a_row_in_doubt_is_shown_with_its_prompt_in_one_line() -> None:
    told = "\n".join(_doubt_lines([doubtful("ad-1", text="a dune\nat dusk", seed=3), doubtful("ad-2", size="2K")]))
    assert "a dune at dusk" in told
    assert "2K" in told
    assert "reset" in told
    assert _doubt(doubtful("ad-1", text="a dune"))["prompt"] == "a dune"


def test_a_long_prompt_leaves_the_reason_in_sight_and_an_inlined_picture_is_not_shown() -> None:
    told = _doubt_lines(
        [doubtful("ad-1", text="very " * 200), doubtful("ad-2", image="data:image/png;base64," + "A" * 9000)]
    )
    assert max(map(len, told)) < 160
    assert "AAAA" not in "".join(told)


def test_the_next_steps_can_be_typed_as_they_stand() -> None:
    steps = _next_steps(Path("/my out"), [doubtful("two words", text="a dune")])
    commands = [shlex.split(step.split(":", 1)[1].split("    (")[0]) for step in steps if ":  " in step]
    assert [command[:3] for command in commands] == [["batchgen", "reconcile", "/my out"]] * 3
    assert [command[3:] for command in commands] == [
        ["--adopt", "two words=REQUEST_ID"],
        ["--release", "two words"],
        ["--give-up", "two words"],
    ]
