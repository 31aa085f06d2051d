"""Parquet shards, by the extra of that name: media inside the file, or only the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from batchgen.datasets.columns import column
from batchgen.datasets.dataset import DataSet
from batchgen.datasets.features import Feature, as_schema_metadata, media, table_features
from batchgen.datasets.ledger import Item
from batchgen.datasets.whole import Original, whole_file
from batchgen.runfolder import sync_folder

_GROUP_ROWS = 1_000
_GROUP_BYTES = 16 << 20
"""A row group is what is held in memory at once, and what a reader fetches at once."""


def write_parquet(data: DataSet) -> None:
    import pyarrow as arrow
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
                    stream, schema, compression=dict.fromkeys(data.columns, "zstd"), use_dictionary=texts
                ) as writer,
            ):  # media are compressed already
                for group in _groups(data, items):
                    writer.write_table(arrow.Table.from_pylist(group, schema))
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


def _groups(data: DataSet, items: Iterator[Item]) -> Iterator[list[dict[str, Any]]]:
    """The rows of one shard, a row group at a time."""
    rows: list[dict[str, Any]] = []
    size_bytes = 0
    for item in items:
        rows.append(data.line(item) | (_files(data, item) if data.embed else {}))
        size_bytes += _size_bytes(item)
        if len(rows) >= _GROUP_ROWS or size_bytes >= _GROUP_BYTES:
            yield rows
            rows, size_bytes = [], 0
    if rows:
        yield rows


def _files(data: DataSet, item: Item) -> dict[str, Any]:
    files = {item.kind: _file(data.original(item), f"{item.name}.{item.extension}")}
    if item.source is not None:
        source = data.original_source(item)
        files[f"source_{item.kind}"] = _file(source, f"{item.name}.source.{item.source.extension}")
    return files


def _file(original: Original, name: str) -> dict[str, Any]:
    with original:
        return {"bytes": original.read(), "path": name}


def _size_bytes(item: Item) -> int:
    return int(item.record["bytes"]) + (item.source.bytes if item.source else 0)
