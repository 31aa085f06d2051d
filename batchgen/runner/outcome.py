"""What a run came to: the figures people and machines read, and the one exit code that says it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchgen.core.errors import Exit
from batchgen.core.job import State
from batchgen.core.money import Money, cost_report
from batchgen.providers.contract import Cause

_BY_CAUSE = {
    Cause.DISK: Exit.STATE,
    Cause.TOKEN: Exit.TOKEN,
    Cause.BALANCE: Exit.BALANCE,
    Cause.PROVIDER: Exit.PROVIDER,
    Cause.BUDGET: Exit.BUDGET,
}


def exit_code(
    counts: Mapping[State, int],
    cause: Cause | None,
    by_user: bool,
    model_missing: bool,
    unsent: bool,
    incomplete: bool = False,
) -> Exit:
    """The code of a run that got as far as sending. *unsent*: rows in scope that could not be sent; *incomplete*:
    collected ones that lack an output.
    """
    if model_missing and cause in (None, Cause.BUDGET):
        return Exit.PROVIDER
    if cause is not None:
        return _BY_CAUSE[cause]
    if counts[State.SUBMITTING] or counts[State.SUBMITTED] or counts[State.READY]:
        return Exit.STILL_LIVE
    if counts[State.IN_DOUBT]:
        return Exit.IN_DOUBT
    if by_user:
        return Exit.STOPPED
    if unsent or incomplete or counts[State.FAILED] or counts[State.CANCELLED]:
        return Exit.SOME_FAILED
    return Exit.DONE


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to, in figures.

    Attributes:
        out: The run folder.
        rows: How many rows are in each state.
        in_doubt: Ids of the rows that may have been paid for, with no request_id known.
        money: What is charged, reserved and possibly charged, in micro-dollars.
        budget_micro: The folder's budget in micro-dollars; None without one.
        exit: The exit code that the command line would end with.
        reason: Why the run stopped before its end; empty if it did not.
        overdue: Ids of the rows whose jobs are older than the job time-out.
        notes: Sentences that a person should read.
        incomplete: Ids of the collected rows that lack an output, and why.
    """

    out: Path
    rows: Mapping[State, int]
    in_doubt: Sequence[str]
    money: Money
    budget_micro: int | None
    exit: Exit
    reason: str = ""
    overdue: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    incomplete: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The object of `--json`; money in USD."""
        return {
            "rows": {state.value: count for state, count in self.rows.items()},
            "in_doubt": list(self.in_doubt),
            "cost": cost_report(self.money, self.budget_micro),
            "exit": int(self.exit),
            "out": str(self.out),
            "reason": self.reason,
            "overdue": list(self.overdue),
            "notes": list(self.notes),
            "incomplete": dict(self.incomplete),
        }
