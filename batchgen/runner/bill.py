"""What a run would do and what it would cost, before anything is sent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from batchgen.core.errors import Refusal
from batchgen.core.money import Money, Price, cost_report, dollars, micro, usd
from batchgen.core.row import Problem
from batchgen.core.text import counted
from batchgen.manifest.problems import Problems
from batchgen.models import ModelSchema, shown
from batchgen.models.catalog import Catalogue
from batchgen.models.price import UNITS
from batchgen.results.reviews import accepted_outputs
from batchgen.runner.measurements import Measured
from batchgen.runner.pricing import Unpriced, account
from batchgen.scheduler.pacing import CEILING, START, Measure, cost_left_micro, time_left_s
from batchgen.state import (
    DiffCounts,
    ManifestDiff,
    Reader,
    Scope,
    Staging,
)
from batchgen.storage.paths import RunFolder

_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class ModelBill:
    """What one model's rows would cost. *price_usd* and *total_usd* are None where no price is known; *unknown* then
    says why, and what to do.

    *schema* says where the schema came from: `catalogue`, `shipped`, or `cache` with its age.
    """

    model: str
    rows: DiffCounts
    unit: str
    price_usd: float | None
    total_usd: float | None
    note: str | None
    schema: str
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The bill of a manifest against its run folder; nothing was sent or written for it.

    *money* counts what was sent earlier at the prices that are known now; *unpriced* is what has none even so.
    *refusals* is why `run --yes` would send nothing. *rows_within_budget* is how many rows the budget pays for, in the
    order of sending, where it ends before they do.
    """

    manifest: Path
    out: Path
    judgement: ManifestDiff
    problems: Problems
    bill: tuple[ModelBill, ...]
    money: Money
    budget_micro: int | None
    balance_micro: int | None
    free_bytes: int
    expected_bytes: int | None
    expected_s: tuple[float, float] | None
    expected_usd: tuple[float, float] | None
    expiring: tuple[str, ...]
    local_files: int
    expired: tuple[str, ...] = ()
    more_warnings: tuple[str, ...] = ()
    accepted: Mapping[str, int] = field(default_factory=dict)
    """How many accepted outputs rows to send have already."""
    paid_elsewhere: Mapping[Path, int] = field(default_factory=dict)
    """How many rows to send are paid for in each of the run folders beside this one."""

    unpriced: tuple[Unpriced, ...] = ()
    asks: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    rows_within_budget: int | None = None
    unreachable: str = ""
    """Why the provider could not be asked for what this bill says."""
    useless_answers: Mapping[str, str] = field(default_factory=dict)
    """What was wrong with the provider's answer about a model whose schema and price are therefore older ones."""

    @property
    def to_send(self) -> int:
        return self.judgement.all.to_send

    @property
    def total_usd(self) -> float | None:
        """The highest bill of what would be sent; None if a price is unknown."""
        totals = [line.total_usd for line in self.bill if line.rows.to_send]
        return None if None in totals else round(sum(total for total in totals if total is not None), 6)

    @property
    def left_micro(self) -> int | None:
        """What is left of the budget; None without one."""
        return None if self.budget_micro is None else self.budget_micro - self.money.committed

    @property
    def is_over_budget(self) -> bool:
        """Whether the budget ends before the rows do, as far as their prices are known."""
        total_micro = micro(self.total_usd)
        return bool(self.to_send and total_micro and self.left_micro is not None and total_micro > self.left_micro)

    @property
    def would_run(self) -> bool:
        """Whether `run --yes` would send what is to be sent."""
        return not self.errors and not self.refusals

    @property
    def warnings(self) -> list[str]:
        """What a person should know before agreeing."""
        told = []
        if self.unreachable:
            told.append(
                f"the provider is out of reach ({self.unreachable}): what it would say of models, prices and balance "
                "is not in this bill; check the network and the API base"
            )
        if self.useless_answers:
            models = _named([f"{model} ({why})" for model, why in self.useless_answers.items()])
            told.append(
                f"the provider's answer is of no use about {models}: schema and price are those known here, "
                "and may be out of date"
            )
        if self.total_usd is None and self.to_send:
            told.append("a price is unknown: this is not a complete bill, and a budget would refuse these rows")
            told += [line.unknown for line in self.bill if line.unknown and line.rows.to_send]
        total_micro = micro(self.total_usd) or 0
        if self.balance_micro is not None and total_micro > self.balance_micro:
            told.append(f"the account holds {dollars(usd(self.balance_micro))}, less than this bill")
        if self.is_over_budget:
            ends = f"the budget of {dollars(usd(self.budget_micro))} ends before these rows do"
            fit = self.rows_within_budget
            told.append(ends if fit is None else f"{ends}: {fit:,} of {counted(self.to_send, 'row')} fit")
        if self.expected_bytes is not None and self.expected_bytes > self.free_bytes:
            told.append(
                f"about {self.expected_bytes / 1e9:.1f} GB are expected, {self.free_bytes / 1e9:.1f} GB are free"
            )
        if self.expired:
            told.append(
                f"{counted(len(self.expired), 'row')} with signed input URLs past their end: {_named(self.expired)}; "
                "nobody can read these files any more, and the attempt may be billed: sign them again in the manifest"
            )
        if later := [row_id for row_id in self.expiring if row_id not in {*self.expired}]:
            told.append(
                f"{counted(len(later), 'row')} with signed input URLs that expire before their turn: {_named(later)}"
            )
        if self.paid_elsewhere:
            they = "It" if sum(self.paid_elsewhere.values()) == 1 else "They"
            told.append(
                f"paid for already, in another folder: {self.in_words_elsewhere}. {they} would be paid for again"
            )
        if self.accepted:
            outputs = counted(sum(self.accepted.values()), "accepted output")
            told.append(
                f"{outputs} of {counted(len(self.accepted), 'row')} to send: {_named([*self.accepted])}. "
                "What was accepted stays so, and is exported beside what comes"
            )
        return [*told, *self.more_warnings]

    @property
    def in_words_elsewhere(self) -> str:
        folders = [f"{counted(rows, 'row')} in {folder}" for folder, rows in self.paid_elsewhere.items()]
        return _named(folders)

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

    def as_json(self) -> dict[str, Any]:
        return self.without_problems() | {"problems": list(self.problems_as_json())}

    def problems_as_json(self) -> Iterator[dict[str, Any]]:
        return map(asdict, self.problems)

    def without_problems(self) -> dict[str, Any]:
        """All of `as_json` but the problems, of which there may be as many as rows."""
        rows = self.judgement.all
        return {
            "rows": {
                "new": rows.new,
                "changed": rows.changed,
                "paid": rows.paid,
                "left": rows.left,
                "in_doubt": rows.in_doubt,
                "waiting": rows.waiting,
            },
            "cost": {
                **cost_report(self.money, self.budget_micro),
                "unpriced": self.money.unpriced,
                "estimate": self.total_usd,
                "expected": list(self.expected_usd) if self.expected_usd else None,
                "balance": usd(self.balance_micro),
            },
            "outputs": rows.outputs,
            "to_send": self.to_send,
            "expected_bytes": self.expected_bytes,
            "free_bytes": self.free_bytes,
            "expected_s": list(self.expected_s) if self.expected_s else None,
            "expiring": list(self.expiring),
            "expired": list(self.expired),
            "accepted": len(self.accepted),
            "paid_elsewhere": {str(folder): rows for folder, rows in self.paid_elsewhere.items()},
            "warnings": self.warnings,
            "rows_within_budget": self.rows_within_budget,
            "would_run": self.would_run,
            "refusals": list(self.refusals),
            "asks": list(self.asks),
            "models": [asdict(line) for line in self.bill],
            "out": str(self.out),
        }


def _named(row_ids: Sequence[str]) -> str:
    return ", ".join(row_ids[:_MOST_NAMED]) + (", ..." if len(row_ids) > _MOST_NAMED else "")


class Refused(Refusal):
    """The run would send something it must not send unasked. Nothing was sent. Says what allows it."""


_AUTO = (START, CEILING)
"""Jobs run at once, fewest and most, until a run has learned how many they are."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a bill is held against: the account's balance, what earlier runs measured, and the jobs run at once.

    *budget_micro* is the one that is given now, None for the folder's own.
    """

    balance_micro: int | None
    budget_micro: int | None
    history: Mapping[str, Measured]
    in_flight: int | None
    now: float
    unreachable: str = ""


def make_plan(
    path: Path,
    out: Path,
    scratch: Staging,
    problems: Problems,
    reader: Reader,
    catalogue: Catalogue,
    scope: Scope,
    around: Circumstances,
) -> Plan:
    """Judge a gathered manifest against the state that *reader* shows, and price what would be sent."""
    comparison = reader.comparison(scratch, scope)
    made = plan_of(comparison.diff(), path, out, reader, catalogue, around)
    if made.is_over_budget and made.left_micro is not None:
        prices = {line.model: micro(line.price_usd) or 0 for line in made.bill}
        fit = comparison.rows_within(prices, made.left_micro)
        made = replace(made, rows_within_budget=fit)
    slow_s = made.expected_s[1] if made.expected_s is not None else 0.0
    each_s = slow_s / max(made.to_send, 1)
    expiring = comparison.expiring_inputs(around.now, each_s)
    expired = comparison.expiring_inputs(around.now, 0.0)
    local_files = comparison.local_files_to_send()
    accepted = accepted_outputs(RunFolder.at(out), reader, comparison.to_send_among)
    return replace(
        made,
        accepted=accepted,
        problems=problems,
        local_files=local_files,
        expiring=tuple(expiring),
        expired=tuple(expired),
    )


def plan_of(
    judgement: ManifestDiff, path: Path, out: Path, reader: Reader, catalogue: Catalogue, around: Circumstances
) -> Plan:
    """The bill of a judgement, whatever it came from."""
    seen = reader.highest_unit_prices()
    told, unpriced = account(catalogue, reader)
    return Plan(
        manifest=path,
        out=out,
        judgement=judgement,
        problems=Problems(),
        bill=tuple(_bill(model, rows, catalogue, seen, around.now) for model, rows in judgement.models.items()),
        money=told,
        budget_micro=reader.budget_micro() if around.budget_micro is None else around.budget_micro,
        balance_micro=around.balance_micro,
        free_bytes=shutil.disk_usage(_existing(out)).free,
        expected_bytes=_expected_bytes(judgement, around.history),
        expected_s=_expected_s(judgement, around),
        expected_usd=_expected_usd(judgement, catalogue, seen, around.history),
        expiring=(),
        local_files=0,
        unpriced=unpriced,
        unreachable=catalogue.unreachable or around.unreachable,
        useless_answers={
            model: why for model, why in catalogue.useless_answers.items() if catalogue.known(model) is not None
        },
    )


def _expected_bytes(judgement: ManifestDiff, history: Mapping[str, Measured]) -> int | None:
    """From the account's own files; None where a model has none yet."""
    total = 0.0
    for model, rows in judgement.models.items():
        if not rows.to_send:
            continue
        if (each := history.get(model, Measured()).file_bytes) is None:
            return None
        total += each * rows.outputs
    return int(total)


def _expected_s(judgement: ManifestDiff, around: Circumstances) -> tuple[float, float] | None:
    """From the account's own job times; how widely they spread is not kept, and taken to be wide."""
    total_s, known = 0.0, []
    for model, rows in judgement.models.items():
        if not rows.to_send:
            continue
        if (each_s := around.history.get(model, Measured()).job_s) is None:
            return None
        total_s += each_s * rows.to_send
        known.append(around.history[model].jobs)
    to_send = judgement.all.to_send
    if not known:
        return 0.0, 0.0
    slots = _AUTO if around.in_flight is None else (around.in_flight, around.in_flight)
    return time_left_s(Measure(min(known), total_s / to_send), to_send, 0, slots)


def _expected_usd(
    judgement: ManifestDiff, catalogue: Catalogue, seen: Mapping[str, int], history: Mapping[str, Measured]
) -> tuple[float, float] | None:
    """What would be sent is likely to cost, from measured costs; None while a price is unknown."""
    least = most = 0
    for model, rows in judgement.models.items():
        if not rows.to_send:
            continue
        highest_micro = catalogue.price(model, seen.get(model)).highest_unit_micro
        if highest_micro is None or rows.unbounded:
            return None
        low, high = cost_left_micro(_unit_costs(history.get(model, Measured())), rows.units, highest_micro)
        least, most = least + low, most + high
    return usd(least) or 0.0, usd(most) or 0.0


def _unit_costs(known: Measured) -> Measure:
    if not known.priced:
        return Measure()
    mean = known.unit_micro / known.priced
    return Measure(known.priced, mean, max(known.unit_micro_squared - known.priced * mean**2, 0.0))


def _bill(model: str, rows: DiffCounts, catalogue: Catalogue, seen: Mapping[str, int], now: float) -> ModelBill:
    price: Price = catalogue.price(model, seen.get(model))
    schema = catalogue.known(model)
    total_micro = 0 if not rows.to_send else None if rows.unbounded else price.reserve_micro(rows.units)
    return ModelBill(
        model=model,
        rows=rows,
        unit=(schema.price_unit if schema else None) or "output",
        price_usd=usd(price.highest_unit_micro),
        total_usd=usd(total_micro),
        note=schema.pricing_note if schema else None,
        schema=_origin(schema, now) if schema else "unknown",
        unknown=_why_unknown(model, rows, price, schema) if total_micro is None else None,
    )


def _why_unknown(model: str, rows: DiffCounts, price: Price, schema: ModelSchema | None) -> str:
    """Why nobody can say what *rows* cost at most, and what to do about it."""
    if price.highest_unit_micro is None:
        return f"the price of {model} is unknown: give it with --prices FILE (a line `{model}: USD`)"
    unit = schema.price_unit if schema else None
    otherwise = f"say what one output may cost with --prices FILE (a line `{model}: USD/output`)"
    if unit not in UNITS:
        priced = f"by {shown(unit)}" if unit else "without saying by what"
        return f"{model} is priced {priced}, which cannot be counted beforehand: {otherwise}"
    asks = f"{counted(rows.unbounded, 'row')} of {model}"
    if schema is None or not rows.unbounded:
        return f"{asks} would cost more than can be counted"
    bound = " or ".join(schema.amount_fields)
    what = "how many seconds they ask for" if unit == "second" else "how many outputs they ask for"
    return f"nothing bounds {what}, {asks}: " + (f"give {bound} a number, or {otherwise}" if bound else otherwise)


def _origin(schema: ModelSchema, now: float) -> str:
    if schema.source != "cache" or schema.fetched_at is None:
        return schema.source
    age_min = max(now - schema.fetched_at, 0) / 60
    return f"cache, {age_min:.0f} min old" if age_min < 120 else f"cache, {age_min / 60:.0f} h old"


@dataclass(frozen=True, slots=True)
class Consents:
    """What a person said beforehand may be done."""

    rerun_changed: bool
    keep_changed: bool
    new_rows: bool
    inline_files: bool
    folder_named: bool


def asked_by_run(plan: Plan, refusals: Sequence[str]) -> list[str]:
    """What stands between this bill and the first request: what `run` refuses as it is, and what it asks."""
    told = [f"refuses: {reason}" for reason in refusals]
    if plan.to_send and not refusals:
        told.append(f"asks before the first of {counted(plan.to_send, 'request')}; --yes agrees beforehand")
    if plan.judgement.all.in_doubt:
        told.append(f"leaves rows in doubt alone; `batchgen reconcile {plan.out}` settles them")
    return told


def objections(plan: Plan, consents: Consents) -> list[str]:
    """Why nothing may be sent: rows that were paid for have changed, or seem to, or files would be inlined, and
    nobody said what to do."""
    judgement = plan.judgement
    reasons = []
    live = paid_and_live(plan)
    changed_paid = judgement.all.changed_paid
    if changed_paid and not (consents.rerun_changed or consents.keep_changed):
        named = ", ".join(judgement.changed_paid_ids)
        more = "" if changed_paid == len(judgement.changed_paid_ids) else ", ..."
        reasons.append(
            f"changed after being paid for: {counted(changed_paid, 'row')} ({named}{more}). Nothing was sent. "
            "--rerun-changed pays for them again, --keep-changed keeps what they are" + live
        )
    if judgement.looks_like_an_edit and not consents.new_rows:
        gone = judgement.left_unnamed_paid + judgement.renamed
        reasons.append(
            f"this looks like an edit: {gone} paid rows left the manifest (without an id, or renamed) while "
            f"{judgement.all.new} new ones came. Nothing was sent. --new-rows says that they are new, and pays; "
            "giving rows an `id` keeps them apart from their content" + live
        )
    if plan.to_send and plan.unpriced and plan.budget_micro is not None:
        named = "; ".join(map(str, plan.unpriced))
        reasons.append(
            f"what is left of the budget of {dollars(usd(plan.budget_micro))} is not known: jobs were sent earlier at "
            f"a price that nobody knows, {named}. Nothing was sent. Give the price with --prices FILE (a line "
            f"`MODEL: USD for one output or second`), or read the costs that came since with `batchgen collect "
            f"{plan.out}`" + live
        )
    if plan.to_send and plan.total_usd is None and plan.budget_micro is not None:
        why = "; ".join(line.unknown for line in plan.bill if line.unknown and line.rows.to_send)
        reasons.append(
            f"no budget can be kept at an unknown price, and the folder's is {dollars(usd(plan.budget_micro))}: {why}. "
            "Nothing was sent" + live
        )
    if plan.to_send and plan.local_files and not consents.inline_files:
        reasons.append(
            f"{counted(plan.local_files, 'local input file')}: the provider documents hosted URLs only. Put them where "
            "an https URL reaches them, or send them inside the request with --inline-files (used by the provider's "
            "own nodes, not documented)"
        )
    return reasons


def beyond_yes(plan: Plan, consents: Consents) -> list[str]:
    """What a `yes` that was said before the bill cannot have meant; a person who sees the bill is asked as always.

    A folder that was chosen by name says that its rows are to be there as well; one that only followed from the name
    of the sheet says nothing.
    """
    if not plan.paid_elsewhere or consents.new_rows or consents.folder_named:
        return []
    folder = next(iter(plan.paid_elsewhere))
    return [
        f"paid for already, in another folder: {plan.in_words_elsewhere}. Nothing was sent. Is it the same sheet under "
        f"another name? Then go on there, with --out {folder}; --new-rows says that its rows are to be paid for again"
    ]


def refuse_beyond_yes(plan: Plan, consents: Consents) -> None:
    """Raise Refused for what `yes` alone does not agree to."""
    for reason in beyond_yes(plan, consents):
        raise Refused(reason)


def paid_and_live(plan: Plan) -> str:
    """What every refusal adds while jobs that are paid for are at the provider."""
    live = plan.judgement.live
    return f"; still live: {counted(live, 'paid job')}, `batchgen collect {plan.out}` brings that in" if live else ""


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
