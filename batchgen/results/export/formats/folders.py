"""Hugging Face's folders of files: imagefolder, videofolder, audiofolder.

`train/0000/00000012.png` and one `train/metadata.jsonl`; an edit's source lies beside its target.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from pathlib import Path

from batchgen.results.export.columns import Record, as_json
from batchgen.results.export.dataset import DataSet
from batchgen.results.export.features import Feature, media, table_features
from batchgen.results.export.ledger import Item
from batchgen.results.export.originals import Original, stands, whole_file
from batchgen.storage.paths import sync_folder

_FILES_A_FOLDER = 1_000
_COPIED_AT_ONCE = 8
"""Syncs that are asked for together are done together: eight at once take about as long as one."""
_COPIES_A_TURN = 8
"""How many each of them is given: few, since a source that stood in its request is held in memory until then."""


def write_folder(data: DataSet) -> None:
    for split in data.splits:
        root = data.dest / split
        for name, items in groupby(data.items(split), _folder):
            (root / name).mkdir(parents=True, exist_ok=True)
            copies = _copies(data, root, items)
            with ThreadPoolExecutor(_COPIED_AT_ONCE) as pool:
                while turn := list(islice(copies, _COPIED_AT_ONCE * _COPIES_A_TURN)):
                    shares = [turn[first::_COPIED_AT_ONCE] for first in range(_COPIED_AT_ONCE)]
                    deque(pool.map(_copy, shares), maxlen=0)
            sync_folder(root / name)
        with whole_file(root / "metadata.jsonl") as stream:
            for item in data.items(split):
                names = as_json(_file_names(data, item)).removesuffix("}")
                stream.write(f"{names}, {data.text(item).removeprefix('{')}\n".encode())
        sync_folder(root)


def folder_features(data: DataSet) -> list[Feature]:
    (kind,) = data.kinds
    names = ("source", "target") if data.pairs else (kind,)
    return [*(media(name, kind) for name in names), *table_features(data)]


def _copies(data: DataSet, root: Path, items: Iterator[Item]) -> Iterator[tuple[Original, Path]]:
    """What has still to be copied, and to where."""
    for item in items:
        target = root / _target(item)
        if not stands(target, item.record["bytes"]):
            yield data.original(item), target
        if item.source is not None:
            source = root / _source(item, item.source.extension)
            if not stands(source, item.source.bytes):
                yield data.original_source(item), source


def _copy(copies: list[tuple[Original, Path]]) -> None:
    """Copies, never links: whoever edits the data set must not touch what was paid for."""
    for original, path in copies:
        with whole_file(path) as stream:
            original.copy_to(stream)


def _file_names(data: DataSet, item: Item) -> Record:
    """The columns by which Hugging Face finds the files of *item*."""
    if not data.pairs:
        return {"file_name": _target(item)}
    source = None if item.source is None else _source(item, item.source.extension)
    return {"source_file_name": source, "target_file_name": _target(item)}


def _folder(item: Item) -> str:
    return f"{item.number // _FILES_A_FOLDER:04d}"


def _target(item: Item) -> str:
    return f"{_folder(item)}/{item.name}.{item.extension}"


def _source(item: Item, extension: str) -> str:
    return f"{_folder(item)}/{item.name}.source.{extension}"
