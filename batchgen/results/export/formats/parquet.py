"""Parquet shards, by the extra of that name: media inside the file, or only the table."""

from __future__ import annotations

import io
import json
from array import array
from collections import deque
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from batchgen.results.export.columns import as_json, column
from batchgen.results.export.dataset import DataSet
from batchgen.results.export.features import Feature, as_schema_metadata, media, table_features
from batchgen.results.export.ledger import Item
from batchgen.results.export.originals import Original, whole_file
from batchgen.storage.paths import sync_folder

_GROUP_ROWS = 1_000
_GROUP_BYTES = 16 << 20
"""A row group is what is held in memory at once, and what a reader fetches at once."""
_VALUES_AT_ONCE = 16
"""How many values go to a page before its size is looked at: by a thousand pictures a page outgrows its group."""


def write_parquet(data: DataSet) -> None:
    import pyarrow.parquet as parquet

    schema = _schema(data)
    texts = [name for name in data.columns if column(name).kind == "text"]
    for split in data.splits:
        folder = data.dest / split
        folder.mkdir(exist_ok=True)
        for shard, items in groupby(data.items(split), lambda item: item.shard):
            path = folder / f"{split}-{shard:06d}.parquet"
            if path.exists():
                continue
            with (
                whole_file(path) as stream,
                parquet.ParquetWriter(
                    stream,
                    schema,
                    compression=dict.fromkeys(data.columns, "zstd"),  # media are compressed already
                    use_dictionary=texts,
                    write_statistics=data.columns,
                    write_batch_size=_VALUES_AT_ONCE,
                ) as writer,
            ):
                deque(map(writer.write_table, _groups(data, items, schema)), maxlen=0)  # holds one group at a time
            sync_folder(folder)


def parquet_features(data: DataSet) -> list[Feature]:
    return [*(media(name, kind) for name, kind in _media_columns(data).items()), *table_features(data)]


def _media_columns(data: DataSet) -> dict[str, str]:
    """The columns that hold media, by kind: `image`, and for edits `source_image`."""
    if not data.embed:
        return {}
    contents = data.ledger.contents
    sources = sorted({*contents.source_extensions.values()}) if contents.pairs else []
    return {kind: kind for kind in data.kinds} | {f"source_{kind}": kind for kind in sources}


def _schema(data: DataSet) -> Any:
    import pyarrow as arrow

    types = {"text": arrow.string(), "whole": arrow.int64(), "decimal": arrow.float64()}
    file = arrow.struct({"bytes": arrow.binary(), "path": arrow.string()})
    fields = [(name, file) for name in _media_columns(data)]
    fields += [(name, types[column(name).kind]) for name in data.columns]
    features = json.dumps(as_schema_metadata(parquet_features(data)))
    return arrow.schema(fields, metadata={"huggingface": features})


def _groups(data: DataSet, items: Iterator[Item], schema: Any) -> Iterator[Any]:
    """The rows of one shard, a row group at a time."""
    group = _Group(data, schema)
    for item in items:
        group.add(item)
        if group.rows >= _GROUP_ROWS or group.size_bytes >= _GROUP_BYTES:
            yield group.table()
            group = _Group(data, schema)
    if group.rows:
        yield group.table()


class _Group:
    """A row group while it is gathered.

    Lines go to Arrow as the JSON that they are, and media as one run of bytes with the place where each ends: Arrow's
    own way from Python values holds every file three times over, and loads pandas, which takes more than all else.
    """

    def __init__(self, data: DataSet, schema: Any) -> None:
        self._data = data
        self._schema = schema
        self._lines = io.BytesIO()
        self._media = {name: _Media() for name in _media_columns(data)}
        self.rows = 0

    @property
    def size_bytes(self) -> int:
        return self._lines.tell() + sum(files.size_bytes for files in self._media.values())

    def add(self, item: Item) -> None:
        originals = self._originals(item) if self._media else {}
        paths = {name: {"path": path} for name, (path, _) in originals.items()}
        self._lines.write(as_json(paths).encode().removesuffix(b"}") + (b", " if paths else b""))
        self._lines.write(self._data.text(item).encode().removeprefix(b"{") + b"\n")
        for name, files in self._media.items():
            files.add(originals[name][1] if name in originals else None)
        self.rows += 1

    def _originals(self, item: Item) -> dict[str, tuple[str, Original]]:
        """The path and the bytes of each of *item*'s files, by column."""
        files = {item.kind: (f"{item.name}.{item.extension}", self._data.original(item))}
        if item.source is not None:
            name = f"{item.name}.source.{item.source.extension}"
            files[f"source_{item.kind}"] = name, self._data.original_source(item)
        return files

    def table(self) -> Any:
        import pyarrow as arrow
        import pyarrow.json as arrow_json

        path = arrow.struct({"path": arrow.string()})
        found = arrow_json.read_json(
            arrow.py_buffer(self._lines.getbuffer()),
            arrow_json.ReadOptions(use_threads=False, block_size=self._lines.tell() + 1),
            arrow_json.ParseOptions(
                explicit_schema=arrow.schema(
                    [field.with_type(path) if field.name in self._media else field for field in self._schema]
                ),
                unexpected_field_behavior="error",
            ),
        )
        columns = [
            self._media[name].as_array(found[name].combine_chunks()) if name in self._media else found[name]
            for name in self._schema.names
        ]
        return arrow.Table.from_arrays(columns, schema=self._schema)


class _Media:
    """One column of files."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self._ends = array("i", [0])

    @property
    def size_bytes(self) -> int:
        return self._ends[-1]

    def add(self, original: Original | None) -> None:
        """Take in the bytes of the next row's file, if it has one."""
        if original is not None:
            original.copy_to(self._bytes)
        self._ends.append(self._bytes.tell())

    def as_array(self, paths: Any) -> Any:
        """The files with their *paths*, which say by what is absent which rows have no file."""
        import pyarrow as arrow

        buffers = [None, arrow.py_buffer(self._ends), arrow.py_buffer(self._bytes.getbuffer())]
        content = arrow.Array.from_buffers(arrow.binary(), len(paths), buffers)
        file = arrow.struct({"bytes": content.type, "path": arrow.string()})
        return arrow.StructArray.from_buffers(
            file, len(paths), [paths.buffers()[0]], children=[content, paths.field("path")]
        )
