"""`export`: choose, plan, write, and describe. Reads the run folder only, and may be run while a run is on.

The ledger in DEST decides, and is written first: a row that came in keeps its number, split and shard for good, and
an export that was killed goes on where it was. What is in the data set stays as it was exported, later marks and
costs included; export into another folder for a fresh start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batchgen.core.errors import Refusal
from batchgen.models import did_you_mean
from batchgen.results.export.captions import caption
from batchgen.results.export.card import write_card
from batchgen.results.export.columns import blank, in_order
from batchgen.results.export.dataset import DataSet
from batchgen.results.export.filters import Choice
from batchgen.results.export.formats.registry import Format, format_of
from batchgen.results.export.ledger import Ledger, NotAnExport, claim
from batchgen.results.export.plan import Plan, plan_round
from batchgen.results.export.selection import Condition
from batchgen.results.export.settings import Settings
from batchgen.results.export.splits import read_split
from batchgen.results.export.survey import Survey, survey
from batchgen.state import Reader, open_reader
from batchgen.storage.paths import RunFolder


class NothingToExport(Refusal):
    """The run folder has no output that could go into a data set."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an export did: items by split (0 where it is empty), how many are new, and outputs left out by reason."""

    items: Mapping[str, int]
    new: int
    left_out: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        total = sum(self.items.values())
        return {"items": total, "splits": dict(self.items), "new": self.new, "left_out": dict(self.left_out)}


def export(out: str | Path, dest: str | Path, settings: Settings) -> Told:
    """Bring what *out* has collected into the data set at *dest*, and say what came in.

    Raises a Refusal, with nothing written, for settings that cannot be understood or that *dest* was not made with.
    """
    folder, dest = RunFolder.at(Path(out)), Path(dest).absolute()
    with closing(open_reader(folder)) as reader:
        if dest.resolve().is_relative_to(folder.path.resolve()):
            raise NotAnExport(f"{dest} lies in the run folder, which is left as it is; name a folder elsewhere")
        made = format_of(settings.to)
        return _export(folder, reader, dest, settings, made)


def _export(folder: RunFolder, reader: Reader, dest: Path, settings: Settings, made: Format) -> Told:
    reader.begin_view()
    found = survey(reader)
    if not reader.has_collected:
        raise NothingToExport(f"{folder.path} has nothing collected yet")
    plan = _plan(settings, made, found)
    lock = claim(dest)
    try:
        ledger = Ledger(dest, asdict(settings))
        _refuse_other_run(reader, ledger, dest)
        if ledger.contents.written < ledger.contents.rounds:  # before new columns come in
            made.write(DataSet(folder, reader, dest, ledger, settings.embed))
        before = ledger.total
        planned = plan_round(folder, reader, ledger, plan)
        reader.end_view()
        if ledger.is_new:
            raise NothingToExport(f"no output was chosen: {_reasons(planned.left_out)}; {ledger.left_out} names each")
        data = DataSet(folder, reader, dest, ledger, settings.embed)
        made.write(data)
        ledger.all_written()
        write_card(data, found, planned, settings, made)
        return Told(dict(ledger.contents.items), ledger.total - before, dict(planned.left_out))
    finally:
        lock.release()


def _plan(settings: Settings, made: Format, found: Survey) -> Plan:
    """What *settings* mean for this run. Raises a Refusal for what cannot be understood."""
    columns = [name for name in in_order(found.open_columns) if name not in ("split", "caption")]
    if settings.outputs not in ("all", "first"):
        raise Refusal(f"--outputs {settings.outputs!r}: write first or all")
    if settings.group_by not in columns:
        hint = did_you_mean(settings.group_by, columns)
        raise Refusal(f"--group-by: no column is called {settings.group_by!r}{hint}")
    where = Condition(settings.where, columns) if settings.where else None
    return Plan(
        choice=Choice(made.kinds, where, settings.outputs == "first", settings.min_side),
        caption=caption(settings.caption, columns),
        shares=read_split(settings.split),
        group_by=settings.group_by,
        shard_bytes=settings.shard_size,
        copies=made.copies,
        blank=blank(in_order(found.open_columns)),
    )


def _refuse_other_run(reader: Reader, ledger: Ledger, dest: Path) -> None:
    first = next(ledger.all_items(), None)
    if first is not None and reader.job_of(first.record["request_id"]) is None:
        raise NotAnExport(f"{dest} is a data set of another run; name another folder")


def _reasons(left_out: Counter[str]) -> str:
    return ", ".join(f"{count} by {reason}" for reason, count in left_out.most_common()) or "all were there already"
