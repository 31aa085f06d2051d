"""Tar shards as WebDataset reads them: `00000012.png`, `00000012.json`, `00000012.txt`, one sample after the other.

The bytes of a shard hang on nothing but its items: USTAR, no times, no owners, files in order.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from itertools import groupby

from batchgen.datasets.dataset import DataSet
from batchgen.datasets.features import Feature, media, table_features
from batchgen.datasets.ledger import Item
from batchgen.datasets.whole import Original, whole_file
from batchgen.runfolder import sync_folder


def write_webdataset(data: DataSet) -> None:
    for split in data.splits:
        folder = data.dest / split
        folder.mkdir(exist_ok=True)
        for shard, items in groupby(data.items(split), lambda item: item.shard):
            path = folder / f"{split}-{shard:06d}.tar"
            if not path.exists():
                with (
                    whole_file(path) as stream,
                    tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar,
                ):
                    _write(data, tar, items)
                sync_folder(folder)


def webdataset_features(data: DataSet) -> list[Feature]:
    """A sample has one field for each file extension; the columns are a struct called json."""
    contents = data.ledger.contents
    return [
        *(media(extension, kind) for extension, kind in sorted(contents.extensions.items())),
        *(media(f"source.{extension}", kind) for extension, kind in sorted(contents.source_extensions.items())),
        {"name": "json", "struct": table_features(data)},
        *({"name": name, "dtype": "string"} for name in ("txt", "__key__", "__url__")),
    ]


def _write(data: DataSet, tar: tarfile.TarFile, items: Iterator[Item]) -> None:
    for item in items:
        _add_original(tar, f"{item.name}.{item.extension}", item.record["bytes"], data.original(item))
        if item.source is not None:
            name = f"{item.name}.source.{item.source.extension}"
            _add_original(tar, name, item.source.bytes, data.original_source(item))
        _add(tar, f"{item.name}.json", json.dumps(data.line(item), ensure_ascii=False).encode())
        _add(tar, f"{item.name}.txt", item.record["caption"].encode())


def _add_original(tar: tarfile.TarFile, name: str, size_bytes: int, original: Original) -> None:
    with original:
        tar.addfile(_entry(name, size_bytes), original)
    tar.members.clear()  # type: ignore[attr-defined]  # a list that tarfile keeps for readers, one entry a file


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_entry(name, len(content)), io.BytesIO(content))


def _entry(name: str, size_bytes: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)  # times and owners are zero and empty unless they are set
    entry.size = size_bytes
    return entry
