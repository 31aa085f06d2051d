"""One round of an export: which collected outputs come in, under which number, in which split and shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from tarfile import BLOCKSIZE
from typing import BinaryIO

from batchgen.datasets.captions import Caption
from batchgen.datasets.choice import Choice, LeftOut, Seen
from batchgen.datasets.columns import Record, as_json, record_of
from batchgen.datasets.dataset import place_of
from batchgen.datasets.ledger import Item, Ledger
from batchgen.datasets.sources import Source, lost_source, source_of
from batchgen.datasets.splits import split_of
from batchgen.datasets.whole import stands, whole_file
from batchgen.job import Job, State
from batchgen.marks import Marked
from batchgen.runfolder import RunFolder
from batchgen.statefile import Reader


@dataclass(frozen=True, slots=True)
class Plan:
    """How a round is planned.

    *copies*: media come in, and sources with them. *empty* is a line with every open column of the run.
    """

    choice: Choice
    caption: Caption
    shares: Mapping[str, Decimal]
    group_by: str
    shard_bytes: int
    copies: bool
    empty: Record


def plan_round(folder: RunFolder, reader: Reader, marks: Marked, ledger: Ledger, plan: Plan) -> Counter[str]:
    """Add what is new in *folder* to *ledger*, in manifest order, and say how many outputs were left out and why.

    The decision on each of these stands in the ledger's `left-out.jsonl`.
    """
    seen = Seen()
    for item in ledger.all_items():
        seen.remember(item.record, item.number)
    planned = ledger.begin_round()
    filling = _Shards(dict(ledger.contents.shards), plan.shard_bytes)
    number, reasons = ledger.total, Counter[str]()
    with whole_file(ledger.left_out) as left_out:
        for job, record in _collected(reader, marks):
            if seen.has(record):
                continue
            source = source_of(job, record["media_type"]) if plan.copies else None
            why = _why_not(folder, job, record, source, seen, plan.choice) or _no_place(ledger, source)
            if why is not None:
                reasons[why.reason] += 1
                _tell(left_out, record, why)
                continue
            _finish(record, plan)
            seen.take(record, number)
            line = plan.empty | record
            text = as_json(line)  # once for the ledger and the size: to encode a line takes as long as all else with it
            shard = filling.shard(record["split"], _sample_bytes(line, text, source))
            planned.add(Item(number, shard, line, source), text)
            number += 1
    if planned.items:
        planned.finish()
        ledger.commit(planned, [name for name in plan.empty if "." in name])
    else:
        planned.discard()
    return reasons


def _collected(reader: Reader, marks: Marked) -> Iterator[tuple[Job, Record]]:
    for job in reader.jobs([State.COLLECTED]):
        for index, file in enumerate(job.saved):
            yield job, record_of(job, index, file, marks.get((job.row_id, file.name, file.sha256), ""))


def _why_not(
    folder: RunFolder, job: Job, record: Record, source: Source | None, seen: Seen, choice: Choice
) -> LeftOut | None:
    """The first reason to leave an output out; None if it comes in."""
    why = choice.against(record)
    if why is not None:
        return why
    twin = seen.twin(record)
    if twin is not None:
        return LeftOut("duplicate", f"the same bytes as item {twin:08d}")
    if not stands(place_of(folder, record), record["bytes"]):
        return LeftOut("lost", f"{record['file']} is missing or damaged; `batchgen collect --verify` brings it back")
    lost = lost_source(job, source) if source is not None else None
    return None if lost is None else LeftOut("source", lost)


def _no_place(ledger: Ledger, source: Source | None) -> LeftOut | None:
    """An edit without its source would look like a picture made from text alone."""
    if source is None or ledger.is_new or ledger.contents.pairs:
        return None
    return LeftOut("source", "it is an edit, and this data set began without any; export into another folder")


def _finish(record: Record, plan: Plan) -> None:
    """Give *record* its caption and its split. A row without a group is a group by itself."""
    record["caption"] = plan.caption(plan.empty | record)
    group = record.get(plan.group_by)
    own = f"row {record['row_id']}"
    record["split"] = split_of(own if group in (None, "") else f"{plan.group_by} {group}", plan.shares)


def _tell(stream: BinaryIO, record: Record, why: LeftOut) -> None:
    told = {name: record[name] for name in ("row_id", "attempt", "output", "file", "sha256")}
    told |= {"reason": why.reason, "detail": why.detail}
    stream.write(as_json(told).encode() + b"\n")


def _sample_bytes(line: Record, text: str, source: Source | None) -> int:
    """What an output takes in a tar shard: a header for each of its files, and each filled up to whole blocks."""
    sizes = [line["bytes"], len(text.encode()), len(line["caption"].encode())]
    if source is not None:
        sizes.append(source.bytes)
    return sum(BLOCKSIZE - (-size // BLOCKSIZE) * BLOCKSIZE for size in sizes)


class _Shards:
    """Fills shards one after the other; a round never adds to a shard of an earlier one."""

    def __init__(self, current: dict[str, int], limit_bytes: int) -> None:
        self._current = current
        self._limit_bytes = limit_bytes
        self._filled: dict[str, int] = {}

    def shard(self, split: str, needed: int) -> int:
        filled = self._filled.get(split, 0)
        shard = self._current.setdefault(split, 0)
        if filled and filled + needed > self._limit_bytes:
            self._current[split] = shard = shard + 1
            filled = 0
        self._filled[split] = filled + needed
        return shard
