"""A data set while it is written: its lines, and the originals behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.datasets.columns import Record, column, in_order
from batchgen.datasets.ledger import Item, Ledger
from batchgen.datasets.sources import source_bytes
from batchgen.datasets.whole import Original
from batchgen.job import Job
from batchgen.runfolder import RunFolder
from batchgen.statefile import Reader


@dataclass(frozen=True, slots=True)
class DataSet:
    """What a format's `write` is given. *embed* is false where media are only to be referred to."""

    folder: RunFolder
    reader: Reader
    dest: Path
    ledger: Ledger
    embed: bool

    @property
    def columns(self) -> list[str]:
        return in_order(self.ledger.contents.open_columns)

    @property
    def pairs(self) -> bool:
        return self.ledger.contents.pairs

    @property
    def splits(self) -> list[str]:
        return self.ledger.splits

    @property
    def kinds(self) -> list[str]:
        """image, video, audio, as far as the data set has them."""
        return sorted({*self.ledger.contents.extensions.values()})

    def items(self, split: str) -> Iterator[Item]:
        return self.ledger.items(split)

    def line(self, item: Item) -> Record:
        """Every column of *item*, in order."""
        return {name: item.record.get(name, absent(name)) for name in self.columns}

    def original(self, item: Item) -> Original:
        """The bytes of the output, checked while they are read."""
        place = place_of(self.folder, item.record)
        return Original(place, item.record["sha256"])

    def original_source(self, item: Item) -> Original:
        """The bytes of what *item*, which has a source, was made from."""
        assert item.source is not None
        return Original(source_bytes(self._job(item), item.source.pointer), item.source.sha256)

    def _job(self, item: Item) -> Job:
        attempts = self.reader.attempts(item.record["row_id"])
        return next(job for job in attempts if job.n == item.record["attempt"])


def place_of(folder: RunFolder, record: Record) -> Path:
    """Where an output lies: in its row's folder, or with the earlier attempts once a newer one took that place."""
    name = str(record["file"]).rpartition("/")[2]
    aside = folder.attempt(record["row_id"], record["attempt"]) / name
    return aside if aside.exists() else folder.row(record["row_id"]) / name


def absent(name: str) -> Any:
    """What stands in column *name* of a row that has no such value."""
    return "" if column(name).kind == "text" else None
