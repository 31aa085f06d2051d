"""The table alone: one JSON Lines or CSV file a split; `file` says where each original lies in the run folder."""

from __future__ import annotations

import csv
import io

from batchgen.results.export.dataset import DataSet
from batchgen.results.export.features import Feature, table_features
from batchgen.results.export.originals import whole_file
from batchgen.storage.paths import sync_folder


def write_jsonl(data: DataSet) -> None:
    for split in data.splits:
        with whole_file(data.dest / f"{split}.jsonl") as stream:
            for item in data.items(split):
                stream.write(data.text(item).encode() + b"\n")
    sync_folder(data.dest)


def write_csv(data: DataSet) -> None:
    for split in data.splits:
        with whole_file(data.dest / f"{split}.csv") as stream:
            text = io.TextIOWrapper(stream, "utf-8", newline="")
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(data.columns)
            writer.writerows(data.line(item).values() for item in data.items(split))
            text.detach()
    sync_folder(data.dest)


def csv_features(data: DataSet) -> list[Feature]:
    """As for the other tables, but that pandas, which reads CSV, has no empty cell among whole numbers."""
    may_be_empty = ("seed", "width", "height", "blank")
    return [
        feature | ({"dtype": "float64"} if feature["name"] in may_be_empty else {}) for feature in table_features(data)
    ]
