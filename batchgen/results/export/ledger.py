"""What a data set holds, and where: DEST/.batchgen, written before any of the data set's own files.

Every export that finds new outputs adds a *round*. A round lists its items whole, line for line, split by split, and
never changes again; so a shard can be written, or written again, from its round alone, byte for byte the same. The
round counts once `export.json` names it: a round that was only half planned is planned afresh.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from batchgen.core.errors import Refusal
from batchgen.results.export.columns import Record, as_json
from batchgen.results.export.originals import whole_file
from batchgen.results.export.sources import Source
from batchgen.results.export.splits import read_split
from batchgen.state.lock import Lock
from batchgen.storage.paths import RunFolder, sync_folder, write_whole

_VERSION = 2
_LEDGER = ".batchgen"
_RECORD = '"record": '
"""Where the record begins in a line: a text that holds these characters has its quotes escaped."""


class NotAnExport(Refusal):
    """The destination holds something else, or a data set that was made in another way."""


@dataclass(frozen=True, slots=True)
class Item:
    """One output of the data set. *number* names its files; *shard* counts within its split.

    *record* has every column that there was when the item came, in order; *text* is the same as JSON.
    """

    number: int
    shard: int
    record: Record
    source: Source | None
    text: str

    @property
    def split(self) -> str:
        return str(self.record["split"])

    @property
    def name(self) -> str:
        """The stem of its files: digits only, so that no row id can break a reader."""
        return f"{self.number:08d}"

    @property
    def kind(self) -> str:
        """image, video or audio."""
        return str(self.record["media_type"]).partition("/")[0]

    @property
    def extension(self) -> str:
        return str(self.record["file"]).rpartition(".")[2]


@dataclass(slots=True)
class Contents:
    """What `export.json` says: how the data set is made, and what all its rounds have brought so far.

    *items* has every split of the settings, also those that are empty yet. *pairs*: its first round had edits with
    their sources, and so it has a place for them. *written* counts the rounds whose items stand in their places.
    """

    settings: Mapping[str, Any]
    pairs: bool = False
    rounds: int = 0
    written: int = 0
    items: dict[str, int] = field(default_factory=dict)
    shards: dict[str, int] = field(default_factory=dict)
    open_columns: list[str] = field(default_factory=list)
    extensions: dict[str, str] = field(default_factory=dict)
    source_extensions: dict[str, str] = field(default_factory=dict)
    version: int = _VERSION


def claim(dest: Path) -> Lock:
    """The lock that keeps two exports out of one destination, which is made if need be.

    Raises NotAnExport for a place that holds anything but a data set of ours, and FolderInUse.
    """
    if dest.exists() and not dest.is_dir():
        raise NotAnExport(f"{dest} is a file; name a folder")
    folder = dest / _LEDGER
    if not folder.exists() and dest.exists() and any(dest.iterdir()):
        raise NotAnExport(f"{dest} holds files that are no data set of ours; name a new or an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    return Lock(RunFolder(folder))


class Ledger:
    """The ledger of one claimed destination. Raises NotAnExport if it was made with other settings."""

    def __init__(self, dest: Path, settings: Mapping[str, Any]) -> None:
        self.folder = dest / _LEDGER
        self._path = self.folder / "export.json"
        if self._path.exists():
            told = json.loads(self._path.read_text("utf-8"))
            if told.get("version") != _VERSION:
                raise NotAnExport(f"{dest} was written by another version of batchgen; choose another folder")
            self.contents = Contents(**told)
            self._refuse_other(dest, settings)
        else:
            self.contents = Contents(settings, items=dict.fromkeys(read_split(str(settings["split"])), 0))

    @property
    def is_new(self) -> bool:
        return self.contents.rounds == 0

    @property
    def total(self) -> int:
        return sum(self.contents.items.values())

    @property
    def left_out(self) -> Path:
        return self.folder / "left-out.jsonl"

    @property
    def splits(self) -> list[str]:
        """The splits that have items, in the order of the flag."""
        return [split for split, count in self.contents.items.items() if count]

    def items(self, split: str) -> Iterator[Item]:
        """The items of *split*, in the order in which they came."""
        for number in range(1, self.contents.rounds + 1):
            path = self.folder / _round(number) / f"{split}.jsonl"
            if not path.exists():
                continue
            with path.open("rb") as stream:
                for line in stream:
                    yield _item(line.decode())

    def all_items(self) -> Iterator[Item]:
        for split in self.splits:
            yield from self.items(split)

    def begin_round(self) -> Round:
        """A round to plan; it counts after `commit`."""
        return Round(self.folder / _round(self.contents.rounds + 1))

    def commit(self, planned: Round, open_columns: list[str]) -> None:
        """Take in *planned*: from here on the data set holds its items, written or not."""
        contents = self.contents
        contents.pairs = contents.pairs if contents.rounds else bool(planned.source_extensions)
        contents.rounds += 1
        for split, count in planned.items.items():
            contents.items[split] += count
        contents.shards |= planned.shards
        contents.open_columns = sorted({*contents.open_columns, *open_columns})
        contents.extensions |= planned.extensions
        contents.source_extensions |= planned.source_extensions
        self._save()

    def all_written(self) -> None:
        """Every item of every round stands in its place."""
        self.contents.written = self.contents.rounds
        self._save()

    def _save(self) -> None:
        write_whole(self._path, json.dumps(asdict(self.contents), ensure_ascii=False, indent=1).encode())

    def _refuse_other(self, dest: Path, settings: Mapping[str, Any]) -> None:
        for name, value in settings.items():
            if (before := self.contents.settings.get(name)) != value:
                raise NotAnExport(
                    f"{dest} was made with --{name.replace('_', '-')} {_shown(before)}, not {_shown(value)}; what it "
                    "holds never changes, so write the same again, or name another folder"
                )


class Round:
    """A round while it is planned: its items go to one file a split, whole at `finish` or not there at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._streams: dict[str, BinaryIO] = {}
        self.items: dict[str, int] = {}
        self.shards: dict[str, int] = {}
        self.extensions: dict[str, str] = {}
        self.source_extensions: dict[str, str] = {}
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():  # of an export that was killed while it planned
            path.unlink()

    def add(self, item: Item) -> None:
        stream = self._streams.get(item.split)
        if stream is None:
            path = self._folder / f"{item.split}.jsonl"
            stream = self._streams[item.split] = self._stack.enter_context(whole_file(path))
        source = "" if item.source is None else f'"source": {as_json(asdict(item.source))}, '
        told = f'{{"number": {item.number}, "shard": {item.shard}, {source}{_RECORD}{item.text}}}\n'
        stream.write(told.encode())
        self.items[item.split] = self.items.get(item.split, 0) + 1
        self.shards[item.split] = item.shard + 1
        self.extensions[item.extension] = item.kind
        if item.source is not None:
            self.source_extensions[item.source.extension] = item.kind

    def finish(self) -> None:
        self._stack.close()
        sync_folder(self._folder)
        sync_folder(self._folder.parent)

    def discard(self) -> None:
        """Nothing new was found."""
        self._stack.close()
        self._folder.rmdir()


def _item(line: str) -> Item:
    told = json.loads(line)
    source = Source(**told["source"]) if "source" in told else None
    text = line[line.index(_RECORD) + len(_RECORD) : -len("}\n")]
    return Item(told["number"], told["shard"], told["record"], source, text)


def _round(number: int) -> str:
    return f"round-{number:04d}"


def _shown(value: Any) -> str:
    return "left out" if value in (None, "", False) else re.sub(r"\s+", " ", str(value))[:100]
