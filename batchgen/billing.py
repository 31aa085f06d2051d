"""What a run would do and what it would cost, before anything is sent."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batchgen import manifest
from batchgen.budget import Money, Price, cost_report, usd
from batchgen.catalogue import Catalogue
from batchgen.exits import Refusal
from batchgen.manifest import ManifestError
from batchgen.request import Problem, Row
from batchgen.statefile import Asked, Judgement, Reader, Scope, Scratch, judge

_MOST_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class ModelBill:
    """What one model's rows would cost. *price_usd* and *total_usd* are None where no price is known."""

    model: str
    rows: int
    outputs: int
    units: int
    unit: str
    price_usd: float | None
    total_usd: float | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The bill of a manifest against its run folder; nothing was sent or written for it."""

    manifest: Path
    out: Path
    judgement: Judgement
    problems: tuple[Problem, ...]
    bill: tuple[ModelBill, ...]
    money: Money
    budget_micro: int | None
    free_bytes: int
    local_files: int

    @property
    def to_send(self) -> int:
        return self.judgement.to_send

    @property
    def total_usd(self) -> float | None:
        """The highest bill of what would be sent; None if a price is unknown."""
        totals = [line.total_usd for line in self.bill]
        return None if None in totals else round(sum(total for total in totals if total is not None), 6)

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

    def as_json(self) -> dict[str, Any]:
        judgement = self.judgement
        return {
            "rows": {
                "new": judgement.new,
                "changed": judgement.changed,
                "paid": judgement.paid,
                "left": judgement.left,
                "in_doubt": judgement.in_doubt,
                "waiting": judgement.waiting,
            },
            "cost": {**cost_report(self.money, self.budget_micro), "estimate": self.total_usd},
            "outputs": judgement.outputs_asked,
            "models": [asdict(line) for line in self.bill],
            "problems": [
                {
                    "file": problem.file,
                    "line": problem.line,
                    "column": problem.column,
                    "row": problem.row,
                    "path": problem.path,
                    "message": problem.message,
                    "severity": problem.severity,
                }
                for problem in self.problems
            ],
            "out": str(self.out),
        }


class Refused(Refusal):
    """The run would send something it must not send unasked. Nothing was sent. Says what allows it."""


def gather(path: Path, catalogue: Catalogue, known: Reader | None) -> tuple[Scratch, list[Problem]]:
    """Read the whole manifest into a scratch database. Takes time: run it in a worker thread.

    All problems are in the list, up to a thousand; a manifest that cannot be read as a whole is one as well.
    """
    scratch = Scratch()
    problems: list[Problem] = []
    try:
        rows = manifest.read(
            path,
            catalogue.schema,
            default_model=DEFAULT_MODEL,
            known_hash=None if known is None else known.known_hash,
        )
        for found in rows:
            problem = _take(scratch, found, catalogue) if isinstance(found, Row) else found
            if problem is not None and len(problems) < _MOST_PROBLEMS:
                problems.append(problem)
    except ManifestError as error:
        problems += error.problems
    except BaseException:
        scratch.close()
        raise
    scratch.done()
    return scratch, sorted(problems, key=lambda problem: (problem.file, problem.line or 0))


DEFAULT_MODEL = "bytedance/seedream-4-0/edit-sequential"
"""The model of a manifest that names none."""


def _take(scratch: Scratch, row: Row, catalogue: Catalogue) -> Problem | None:
    outputs = catalogue.schema(row.model).outputs_asked(row.input)
    return scratch.add(row, Asked(outputs, catalogue.units(row.model, row.input)))


def make_plan(
    path: Path,
    out: Path,
    scratch: Scratch,
    problems: Sequence[Problem],
    reader: Reader,
    catalogue: Catalogue,
    scope: Scope,
) -> Plan:
    """Judge a gathered manifest against the state that *reader* shows, and price what would be sent."""
    judgement = judge(reader.connection, scratch, scope)
    return plan_of(judgement, path, out, problems, reader, catalogue, scratch.local_files())


def plan_of(
    judgement: Judgement,
    path: Path,
    out: Path,
    problems: Sequence[Problem],
    reader: Reader,
    catalogue: Catalogue,
    local_files: int = 0,
) -> Plan:
    seen = reader.highest_unit_prices()
    return Plan(
        manifest=path,
        out=out,
        judgement=judgement,
        problems=tuple(problems),
        bill=tuple(_bill(line, catalogue, seen) for line in judgement.models),
        money=reader.money(),
        budget_micro=reader.budget_micro(),
        free_bytes=shutil.disk_usage(_existing(out)).free,
        local_files=local_files,
    )


def is_part_of(path: Path, out: Path) -> bool:
    """Whether the manifest is a table that lies in the run folder, such as its failed.csv."""
    return path.absolute().parent == out.absolute()


def _bill(line: tuple[str, int, int, int], catalogue: Catalogue, seen: Mapping[str, int]) -> ModelBill:
    model, rows, outputs, units = line
    price: Price = catalogue.price(model, seen.get(model))
    schema = catalogue.schema(model)
    return ModelBill(
        model=model,
        rows=rows,
        outputs=outputs,
        units=units,
        unit=schema.price_unit or "output",
        price_usd=usd(price.highest_unit_micro),
        total_usd=usd(price.reserve_micro(units)),
        note=schema.pricing_note,
    )


def refuse_unasked(plan: Plan, *, rerun_changed: bool, keep_changed: bool, new_rows: bool) -> None:
    """Raise Refused where rows that were paid for have changed, or seem to, and no flag says what to do."""
    judgement = plan.judgement
    live = (
        f"; {judgement.live} paid jobs are live: `batchgen collect {plan.out}` brings them in" if judgement.live else ""
    )
    if judgement.changed_paid and not (rerun_changed or keep_changed):
        named = ", ".join(judgement.changed_paid_ids)
        more = "" if judgement.changed_paid == len(judgement.changed_paid_ids) else ", ..."
        raise Refused(
            f"{judgement.changed_paid} rows that were paid for have changed ({named}{more}). Nothing was sent. "
            "--rerun-changed pays for them again, --keep-changed keeps what they are" + live
        )
    if judgement.looks_like_an_edit and not new_rows:
        gone = judgement.left_unnamed_paid + judgement.renamed
        raise Refused(
            f"this looks like an edit: {gone} paid rows left the manifest (without an id, or renamed) while "
            f"{judgement.new} new ones came. Nothing was sent. --new-rows says that they are new and pays for them; "
            "giving rows an `id` keeps them apart from their content" + live
        )


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
