"""What people read: bills, problems and reports as plain text. Everything here returns lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from batchgen.cli.output import near
from batchgen.core.errors import Exit
from batchgen.core.job import LIVE, State
from batchgen.core.money import Money, dollars, usd
from batchgen.core.text import counted, duration, harmless, named, size
from batchgen.runner.outcome import Report

if TYPE_CHECKING:
    from batchgen.results.audit import Audit, Entry
    from batchgen.runner.bill import Plan

_MOST_ENTRIES = 50
_MOST_DOUBTFUL = 32
"""As many as can be on the wire at once: those that a run left behind are named in full."""


def table(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """*rows* in columns; those in *right* are flush right. The first row is the head.

    What others wrote in a cell stays in its line.
    """
    rows = [[harmless(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


_KINDS = ("new", "waiting", "again", "paid", "changed", "left", "in_doubt")


def bill(plan: Plan, width: int | None = None) -> list[str]:
    """The plan as a bill: what each model's rows are, what they cost, and what to know before agreeing.

    In less than *width* cells, models stand above their figures.
    """
    lines = [f"{plan.manifest.name} -> {near(plan.out)}", ""]
    kinds = [kind for kind in _KINDS if getattr(plan.judgement.all, kind)]
    head = ("model", *(kind.replace("_", " ") for kind in kinds), "to send", "outputs", "price", "total")
    body = [
        (
            line.model,
            *(f"{getattr(line.rows, kind):,}" for kind in kinds),
            f"{line.rows.to_send:,}",
            f"{line.rows.outputs:,}",
            "unknown" if line.price_usd is None else f"{dollars(line.price_usd)}/{line.unit}",
            dollars(line.total_usd),
        )
        for line in plan.bill
    ]
    if body:
        lines += _by_model(head, body, width)
    lines += [f"  {line.model}: {line.note}" for line in plan.bill if line.note]
    lines += [
        f"  {line.model}: schema from {line.schema}"
        for line in plan.bill
        if line.schema not in ("catalogue", "unknown")
    ]
    outputs = plan.judgement.all.outputs
    most = "at a price nobody knows" if plan.total_usd is None else f"at most {dollars(plan.total_usd)}"
    lines += ["", f"to send: {counted(plan.to_send, 'row')}, {counted(outputs, 'output')}, {most}"]
    lines += _forecast(plan)
    if plan.money.committed or plan.budget_micro is not None:
        lines.append(money(plan.money, plan.budget_micro))
    if plan.balance_micro is not None:
        lines.append(f"balance of the account: {dollars(usd(plan.balance_micro))}")
    lines += [f"warning: {warning}" for warning in plan.warnings]
    lines += [f"run: {what}" for what in plan.asks]
    return lines


def _by_model(head: Sequence[str], body: Sequence[Sequence[str]], width: int | None) -> list[str]:
    right = frozenset(range(1, len(head)))
    told = table([head, *body], right)
    if width is None or max(map(len, told)) <= width:
        return told
    figures = table([("", *head[1:]), *(("", *line[1:]) for line in body)], right)
    return [figures[0], *(line for one, money in zip(body, figures[1:], strict=True) for line in (one[0], money))]


def _forecast(plan: Plan) -> list[str]:
    if not plan.to_send:
        return []
    if plan.expected_s is None:
        return ["time and disk: not known before this account's first run of these models"]
    best_s, worst_s = plan.expected_s
    told = f"expected time: {duration(best_s)} to {duration(worst_s)}"
    if plan.expected_bytes is not None:
        told += f"; about {size(plan.expected_bytes)} of {size(plan.free_bytes)} free"
    return [told]


def money(account: Money, budget_micro: int | None) -> str:
    parts = [f"{dollars(usd(account.charged))} charged"]
    if account.reserved:
        parts.append(f"{dollars(usd(account.reserved))} reserved")
    if account.possibly:
        parts.append(f"{dollars(usd(account.possibly))} possibly charged")
    if account.unpriced:
        parts.append(f"{counted(account.unpriced, 'job')} of unknown price")
    if budget_micro is not None:
        parts.append(f"of a budget of {dollars(usd(budget_micro))}")
    return "cost: " + ", ".join(parts)


def account(told: Audit, attempts: Iterable[Entry]) -> list[str]:
    """An audit: what to look into first, then its other *attempts*, the sums, and what they come to."""
    books = told.books
    lines: list[str] = []
    for name, entries in (
        ("in doubt, and what they may have cost", told.in_doubt),
        ("possibly charged, given up while in doubt", told.given_up),
        ("accepted without all of their files", told.without_files),
        ("cost more than estimated", told.above_estimate),
        ("brought fewer outputs than asked for", told.fewer),
    ):
        if entries:
            lines += [f"{len(entries):,} {name}:", *_entries(entries), ""]
    lines += _in_order(attempts)
    lines += table(
        [
            ("", "attempts", "USD"),
            ("charged", f"{books.attempts:,}", dollars(books.charged_usd)),
            ("reserved", "", dollars(books.reserved_usd)),
            ("possibly charged", f"{len(told.given_up):,}", dollars(books.possibly_usd)),
            ("in doubt", f"{books.in_doubt:,}", dollars(books.in_doubt_usd)),
            ("failed and billed", f"{books.failed_and_billed:,}", dollars(books.failed_and_billed_usd)),
        ],
        frozenset({1, 2}),
    )
    lines += ["", f"outputs: {books.expected:,} expected at most, {books.received:,} received, {books.usable:,} usable"]
    if books.unpriced:
        lines.append(f"not in these sums: {counted(books.unpriced, 'attempt')} of unknown price")
    return [*lines, "", _verdict(told)]


def _verdict(told: Audit) -> str:
    """What the books come to; clean is only what leaves nothing open."""
    if told.faulty:
        return "the books are not clean: see the rows above"
    if told.settled:
        return "the books are clean"
    open_usd = round(told.books.possibly_usd + told.books.in_doubt_usd, 6)
    lost = len(told.in_doubt) + len(told.given_up)
    left = [f"{dollars(open_usd)} may have been charged for {counted(lost, 'attempt')} whose answers were lost"]
    unknown = [f"{counted(told.books.unpriced, 'attempt')} cost nobody knows what"]
    what = "; ".join((left if lost else []) + (unknown if told.books.unpriced else []))
    return f"the books are open: {what}. The provider's own bill says it"


def _in_order(attempts: Iterable[Entry]) -> list[str]:
    """The first attempts of which nothing is to be said, one a line: money, and outputs."""
    head = ("row", "attempt", "state", "reserved", "charged", "possibly", "expected", "received", "usable")
    plain = (entry for entry in attempts if not entry.findings)
    body = [
        (
            entry.row,
            str(entry.attempt),
            entry.state,
            *map(dollars, (entry.reserved_usd, entry.charged_usd, entry.possibly_usd)),
            *map(str, (entry.expected, entry.received, entry.usable)),
        )
        for entry in islice(plain, _MOST_ENTRIES)
    ]
    if not body:
        return []
    more = ["... and more; --csv FILE or --json lists them"] if next(plain, None) is not None else []
    return ["in order:", *table([head, *body], frozenset({1, *range(3, 9)})), *more, ""]


def _entries(entries: Sequence[Entry]) -> list[str]:
    """Entries to look at: what they cost or may have cost, and the reason that is known."""
    head = ("row", "attempt", "state", "cost", "outputs", "reason")
    body = [
        (
            entry.row,
            str(entry.attempt),
            entry.state,
            "unknown" if entry.unpriced else dollars(entry.charged_usd + entry.reserved_usd + entry.possibly_usd),
            f"{entry.usable}/{entry.expected}",
            (entry.reason or "")[:60],
        )
        for entry in entries[:_MOST_ENTRIES]
    ]
    more = [f"... and {len(entries) - len(body):,} more; --json lists them"] if len(entries) > len(body) else []
    return table([head, *body], frozenset({1, 3, 4})) + more


_WHAT_NEXT = {
    Exit.TOKEN: "rows not sent stay pending; put the right token in place and run the same command again",
    Exit.BALANCE: "rows not sent stay pending; top up the account and run the same command again",
    Exit.PROVIDER: "rows not sent stay pending; run the same command again later",
    Exit.BUDGET: "rows not sent stay pending; a larger --budget sends them, after a canary the same command without it",
    Exit.STATE: "mend the cause, such as a full disk, then run the same command again",
}


def report(told: Report, rehearsal: bool = False) -> list[str]:
    """How a run ended. Of a rehearsal only what works there is advised: its server ended with it."""
    counts = [(state.value.replace("_", " "), told.rows[state]) for state in State if told.rows[state]]
    total = sum(count for _, count in counts)
    lines = table(
        [("rows", "count"), *((name, f"{count:,}") for name, count in counts), ("all", f"{total:,}")], frozenset({1})
    )
    lines += ["", money(told.money, told.budget_micro)]
    lines += [f"note: {note}" for note in told.notes]
    again = "; a real run has `batchgen collect` for it" if rehearsal else _ASK_AGAIN.replace("OUT", str(told.out))
    if told.in_doubt:
        lines.append(
            f"in doubt: {named(told.in_doubt, _MOST_DOUBTFUL)} may have been paid for, and nobody knows; "
            + (
                "a real run has `batchgen reconcile` for them"
                if rehearsal
                else f"`batchgen reconcile {told.out}` settles them"
            )
        )
    if told.incomplete:
        lacking = named([f"{row_id} ({why})" for row_id, why in told.incomplete.items()], 10)
        lines.append(f"incomplete: {lacking}" + again.format("what is missing"))
    if told.overdue:
        lines.append(f"overdue: {named(told.overdue, 10)}" + again.format("them"))
    if told.rows[State.FAILED] or told.rows[State.CANCELLED]:
        lines.append(
            f"failed rows are in {told.out / 'failed.csv'}; "
            + (
                f"`batchgen show {told.out} ROW` tells of each"
                if rehearsal
                else f"`batchgen retry {told.out}` sends them again"
            )
        )
    lines.append(_finish(told, total, rehearsal))
    lines.append(f"files: {told.out / 'rows'}")
    if rehearsal:
        lines.append(
            f"nothing was paid; look at it with `batchgen report {told.out}`, start over with `batchgen rehearse`, "
            "and send it for real with `batchgen run`"
        )
    return lines


_ASK_AGAIN = "; `batchgen collect OUT` asks for {} again"


def _finish(told: Report, total: int, rehearsal: bool = False) -> str:
    collected, unsent = told.rows[State.COLLECTED], told.rows[State.PENDING]
    home = f"{collected:,} of {counted(total, 'row')}"
    if told.exit is Exit.DONE and unsent:
        return f"done: {home} collected and verified; `run` sends the other {unsent:,}"
    if told.exit is Exit.DONE:
        return f"finished: {home} collected and verified"
    if told.exit is Exit.SOME_FAILED:
        return f"finished: {home} collected{_shortfall(told)}"
    if rehearsal and told.exit not in (Exit.DONE, Exit.SOME_FAILED, Exit.IN_DOUBT):
        return f"stopped: {home} collected" + (f"; {harmless(told.reason)}" if told.reason else "")
    if told.exit is Exit.STILL_LIVE:
        live = counted(sum(told.rows[state] for state in LIVE), "paid job")
        return f"stopped while {live} may still run: the same command, or collect, goes on without paying again"
    if told.exit is Exit.STOPPED:
        return "stopped as asked; the same command goes on where it was"
    if told.exit is Exit.IN_DOUBT:
        rest = f"{counted(unsent, 'row')} not sent yet" if unsent else "everything else is done"
        return f"{rest}; {counted(told.rows[State.IN_DOUBT], 'row')} in doubt"
    return f"stopped: {harmless(told.reason)}\n{_WHAT_NEXT.get(told.exit, '')}".rstrip()


def _shortfall(told: Report) -> str:
    """What is not as it should be after a run that came to its end."""
    rows, lacking = told.rows, len(told.incomplete)
    counts = (
        (rows[State.FAILED] + rows[State.CANCELLED], "did not work out"),
        (rows[State.IN_DOUBT], "in doubt"),
        (rows[State.PENDING], "not sent"),
        (lacking, "of them lacks an output" if lacking == 1 else "of them lack an output"),
    )
    return "".join(f"; {count:,} {what}" for count, what in counts if count)
