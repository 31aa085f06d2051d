"""Tar shards as WebDataset reads them: `00000012.png`, `00000012.json`, `00000012.txt`, one sample after the other.

The bytes of a shard hang on nothing but its items: USTAR, no times, no owners, files in order.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from itertools import groupby
from typing import BinaryIO

from batchgen.results.export.dataset import DataSet
from batchgen.results.export.features import Feature, media, table_features
from batchgen.results.export.ledger import Item
from batchgen.results.export.originals import Original, whole_file
from batchgen.storage.paths import sync_folder


def write_webdataset(data: DataSet) -> None:
    for split in data.splits:
        folder = data.dest / split
        folder.mkdir(exist_ok=True)
        for shard, items in groupby(data.items(split), lambda item: item.shard):
            path = folder / f"{split}-{shard:06d}.tar"
            if not path.exists():
                with whole_file(path) as stream:
                    _write(data, stream, items)
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


def _write(data: DataSet, stream: BinaryIO, items: Iterator[Item]) -> None:
    for item in items:
        _add_original(stream, f"{item.name}.{item.extension}", item.record["bytes"], data.original(item))
        if item.source is not None:
            name = f"{item.name}.source.{item.source.extension}"
            _add_original(stream, name, item.source.bytes, data.original_source(item))
        _add(stream, f"{item.name}.json", data.text(item).encode())
        _add(stream, f"{item.name}.txt", item.record["caption"].encode())
    stream.write(bytes(2 * tarfile.BLOCKSIZE))
    stream.write(bytes(-stream.tell() % tarfile.RECORDSIZE))


def _add_original(stream: BinaryIO, name: str, size_bytes: int, original: Original) -> None:
    stream.write(header(name, size_bytes))
    original.copy_to(stream)
    stream.write(_padding(size_bytes))


def _add(stream: BinaryIO, name: str, content: bytes) -> None:
    stream.write(header(name, len(content)) + content + _padding(len(content)))


def header(name: str, size_bytes: int) -> bytes:
    """The USTAR header of a file whose *name* is short: tarfile's own takes forty times as long, and there are three a
    sample.
    """
    assert size_bytes < 8 << 30, "USTAR has eleven octal digits for a size"
    first, size = name.encode("ascii"), b"%011o" % size_bytes
    checksum = b"%06o\0 " % (_BLANK_SUM + sum(first) + sum(size))
    return b"".join((first.ljust(_NAME_BYTES, b"\0"), _MODE_AND_OWNER, size, _TIME, checksum, _REST))


def _padding(size_bytes: int) -> bytes:
    return bytes(-size_bytes % tarfile.BLOCKSIZE)


_NAME_BYTES = 100
_BLANK = tarfile.TarInfo().tobuf(tarfile.USTAR_FORMAT)
"""A header without times and owners."""
_MODE_AND_OWNER, _TIME, _REST = _BLANK[_NAME_BYTES:124], _BLANK[135:148], _BLANK[156:]
_BLANK_SUM = sum(_MODE_AND_OWNER) + sum(_TIME) + sum(_REST) + sum(b" " * 8)
"""The checksum is taken with spaces in its place."""
