"""A data set while it is written: its lines, and the originals behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from batchgen.results.export.columns import Record, as_json, blank, in_order
from batchgen.results.export.ledger import Item, Ledger
from batchgen.results.export.originals import Original
from batchgen.results.export.outputs import place_of
from batchgen.results.export.sources import source_bytes
from batchgen.state import Reader
from batchgen.storage.paths import RunFolder


@dataclass(frozen=True)
class DataSet:
    """What a format's `write` is given: the rounds there are by then, and the columns that these have together.

    *embed* is false where media are only to be referred to.
    """

    folder: RunFolder
    reader: Reader
    dest: Path
    ledger: Ledger
    embed: bool

    @cached_property
    def columns(self) -> list[str]:
        return in_order(self.ledger.contents.open_columns)

    @cached_property
    def _blank(self) -> Record:
        return blank(self.columns)

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
        return item.record if self._is_complete(item) else self._blank | item.record

    def text(self, item: Item) -> str:
        """The same as JSON."""
        return item.text if self._is_complete(item) else as_json(self._blank | item.record)

    def _is_complete(self, item: Item) -> bool:
        """Whether no column has come since *item* did."""
        return len(item.record) == len(self.columns)

    def original(self, item: Item) -> Original:
        """The bytes of the output, not opened yet, and checked while they are read."""
        place = path_of(self.folder, item.record)
        return Original(place, item.record["sha256"], item.record["bytes"], self.folder)

    def original_source(self, item: Item) -> Original:
        """The bytes of what *item*, which has a source, was made from."""
        assert item.source is not None
        attempts = self.reader.attempts(item.record["row_id"])
        job = next(job for job in attempts if job.n == item.record["attempt"])
        return Original(source_bytes(job, item.source.pointer), item.source.sha256, item.source.bytes)


def path_of(folder: RunFolder, record: Record) -> str:
    """Where an output lies now, wherever it lay when it came in."""
    name = record["file"].rpartition("/")[2]
    return f"{folder.path}/{place_of(folder, record['row_id'], record['attempt'], name)}"
