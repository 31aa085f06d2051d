"""One round of an export: which collected outputs come in, under which number, in which split and shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from tarfile import BLOCKSIZE
from typing import BinaryIO

from batchgen.core.job import Job
from batchgen.core.pictures import DECODABLE
from batchgen.results.export.captions import Caption
from batchgen.results.export.columns import OPEN, Record, as_json, record_of
from batchgen.results.export.facts import Facts
from batchgen.results.export.filters import Choice, LeftOut
from batchgen.results.export.ledger import Item, Ledger
from batchgen.results.export.originals import stands, whole_file
from batchgen.results.export.outputs import outputs
from batchgen.results.export.seen import Reviews, Seen
from batchgen.results.export.sources import Source, lost_source, source_of
from batchgen.results.export.splits import split_of
from batchgen.state import Reader
from batchgen.storage.paths import RunFolder


@dataclass(frozen=True, slots=True)
class Plan:
    """How a round is planned.

    *copies*: media come in, and sources with them. *blank* is a line in which every column of the run is absent.
    """

    choice: Choice
    caption: Caption
    shares: Mapping[str, Decimal]
    group_by: str
    shard_bytes: int
    copies: bool
    blank: Record


@dataclass(frozen=True, slots=True)
class Planned:
    """What came of a round: outputs left out by reason, and the sums over all items that there are by then."""

    left_out: Counter[str] = field(default_factory=Counter)
    facts: Facts = field(default_factory=Facts)


def plan_round(folder: RunFolder, reader: Reader, ledger: Ledger, plan: Plan) -> Planned:
    """Add what is new in *folder* to *ledger*, in manifest order, and say what came of it.

    The decision on each output that was left out stands in the ledger's `left-out.jsonl`.
    """
    planned, this_round = Planned(), ledger.begin_round()
    filling = _Shards(dict(ledger.contents.shards), plan.shard_bytes)
    number = ledger.total
    with closing(Seen()) as seen, closing(Reviews(folder)) as reviews, whole_file(ledger.left_out) as left_out:
        for item in ledger.all_items():
            seen.remember(item.record, item.number)
            planned.facts.add(item)
        for job, record, source in _outputs(folder, reader, reviews, plan):
            if seen.has(record):
                continue
            why = _why_not(folder, job, record, source, seen, plan) or _no_place(ledger, source)
            if why is not None:
                planned.left_out[why.reason] += 1
                _tell(left_out, record, why)
                continue
            _finish(record, plan)
            seen.take(record, number)
            text = as_json(record)  # once, for the ledger, the size and every file: it takes as long as all else here
            shard = filling.shard(record["split"], _sample_bytes(record, text, source))
            item = Item(number, shard, record, source, text)
            this_round.add(item)
            planned.facts.add(item)
            number += 1
    if this_round.items:
        this_round.finish()
        ledger.commit(this_round, [name for name in plan.blank if name.startswith(OPEN)])
    else:
        this_round.discard()
    return planned


def _outputs(
    folder: RunFolder, reader: Reader, reviews: Reviews, plan: Plan
) -> Iterator[tuple[Job, Record, Source | None]]:
    """Every output with its line, and its source where that comes in too."""
    for made in outputs(folder, reader, reviews.of):
        source = source_of(made.job, made.file.media_type)
        record = record_of(made.job, made.number, made.file, source, made.review, made.place)
        yield made.job, plan.blank | record, source if plan.copies else None


def _why_not(
    folder: RunFolder, job: Job, record: Record, source: Source | None, seen: Seen, plan: Plan
) -> LeftOut | None:
    """The first reason to leave an output out; None if it comes in."""
    why = plan.choice.against(record) or (_unreadable(record) if plan.copies else None)
    if why is not None:
        return why
    twin = seen.twin(record)
    if twin is not None:
        return LeftOut("duplicate", f"the same bytes as item {twin:08d}")
    if not stands(f"{folder.path}/{record['file']}", record["bytes"], folder):
        return LeftOut("lost", f"{record['file']} is missing or damaged; `batchgen collect --verify` brings it back")
    lost = lost_source(job, source) if source is not None else None
    return None if lost is None else LeftOut("source", lost)


def _unreadable(record: Record) -> LeftOut | None:
    """One picture that a loader cannot decode stops it at the whole data set."""
    if not record["media_type"].startswith("image/") or record["media_type"] in DECODABLE:
        return None
    return LeftOut("kind", f"loaders do not read {record['media_type']}")


def _no_place(ledger: Ledger, source: Source | None) -> LeftOut | None:
    """An edit without its source would look like a picture made from text alone."""
    if source is None or ledger.is_new or ledger.contents.pairs:
        return None
    return LeftOut("source", "it is an edit, and this data set began without any; export into another folder")


def _finish(record: Record, plan: Plan) -> None:
    """Give *record* its caption and its split. A row without a group is a group by itself."""
    record["caption"] = plan.caption(record)
    group = record[plan.group_by]
    own = f"row {record['row_id']}"
    record["split"] = split_of(own if group in (None, "") else f"{plan.group_by} {group}", plan.shares)


def _tell(stream: BinaryIO, record: Record, why: LeftOut) -> None:
    told = {name: record[name] for name in ("row_id", "attempt", "output", "file", "sha256")}
    told |= {"reason": why.reason, "detail": why.detail}
    stream.write(as_json(told).encode() + b"\n")


def _sample_bytes(record: Record, text: str, source: Source | None) -> int:
    """What an output takes in a tar shard: a header for each of its files, and each filled up to whole blocks."""
    sizes = [record["bytes"], len(text.encode()), len(record["caption"].encode())]
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
