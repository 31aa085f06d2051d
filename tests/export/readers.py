"""Every format read back by the readers people use, and compared with the run folder, line by line.

    python -m tests.export.readers OUT

exports any run folder to every format into a temporary folder, reads each back, and says what agreed.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from batchgen.results.export import Settings, Told, export
from batchgen.results.export.columns import COLUMNS, column, in_order

NUMBERS = [name for name, told in COLUMNS.items() if told.kind != "text"]


@dataclass(frozen=True)
class Truth:
    """What a run folder says of its outputs, by its row.json files and the outputs themselves alone."""

    out: Path

    def sidecars(self) -> dict[str, dict[str, Any]]:
        """Every row.json, by row id."""
        found = (json.loads(path.read_text("utf-8")) for path in sorted(self.out.glob("rows/*/row.json")))
        return {told["row_id"]: told for told in found}

    @cached_property
    def outputs(self) -> dict[str, tuple[dict[str, Any], int]]:
        """Every output by its hash: its row.json, and its place there."""
        return {
            file["sha256"]: (told, index)
            for told in self.sidecars().values()
            for index, file in enumerate(told["files"])
        }

    @cached_property
    def columns(self) -> list[str]:
        told = self.sidecars().values()
        fields = {f"input.{name}" for one in told for name in one["input"]}
        return in_order(fields | {f"meta.{name}" for one in told for name in one["meta"]})

    def kind(self, sha256: str) -> str:
        told, index = self.outputs[sha256]
        return str(told["files"][index]["media_type"]).partition("/")[0]

    def bytes_of(self, sha256: str) -> bytes:
        told, index = self.outputs[sha256]
        return Path(self.out, "rows", told["row_id"], told["files"][index]["name"]).read_bytes()

    def line(self, sha256: str) -> dict[str, Any]:
        """Every column but `split` and those that only a source or a mark fills."""
        told, index = self.outputs[sha256]
        file = told["files"][index]
        prompt = told["input"].get("prompt") or told["input"].get("text")
        line = dict.fromkeys(self.columns, "") | {
            "row_id": told["row_id"],
            "attempt": told["attempts"][-1]["n"],
            "output": index,
            "file": f"rows/{told['row_id']}/{file['name']}",
            "caption": prompt,
            "prompt": prompt,
            "model": told["model"],
            "seed": told["input"].get("seed"),
            "request_id": told["request_id"],
            "fingerprint": told["fingerprint"],
            "outputs": len(told["files"]),
            "cost_usd": told["cost_usd"] / len(told["files"]),
            **{name: file[name] for name in ("bytes", "width", "height", "media_type", "sha256")},
            "blank": int(file["blank"]) if file["checked"] == "decoded" else None,
        }
        line |= {f"input.{name}": _text(value) for name, value in told["input"].items()}
        line |= {f"meta.{name}": _text(value) for name, value in told["meta"].items()}
        return {name: value for name, value in line.items() if name not in _NOT_IN_SIDECARS}


_NOT_IN_SIDECARS = ("split", "source_file", "source_sha256", "review", "generated_at")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Sample:
    """One item as a reader gave it. A medium is a decoded picture, the bytes of a file, or None where there is none."""

    split: str
    line: Mapping[str, Any]
    medium: Image.Image | bytes | None = None
    source: Image.Image | bytes | None = None


def hugging_face() -> Any:
    """The `datasets` package, with a cache of its own, told to ask nobody; if it did ask, nobody would answer."""
    if "datasets" not in sys.modules:
        os.environ |= {
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "HF_HOME": tempfile.mkdtemp(prefix="hugging-face-"),
        }
    import datasets

    datasets.disable_progress_bars()
    return datasets


def by_load_dataset(dest: Path) -> Iterator[Sample]:
    """As `load_dataset(DEST)` gives it, by the card alone; videos as their files."""
    datasets = hugging_face()
    for split, loaded in datasets.load_dataset(str(dest)).items():
        for name, feature in loaded.features.items():
            if isinstance(feature, datasets.Video | datasets.Audio):
                loaded = loaded.cast_column(name, type(feature)(decode=False))
        for found in loaded:
            line = found.pop("json", found)
            yield Sample(split, _columns(line), *_media(found))


def by_webdataset(dest: Path) -> Iterator[Sample]:
    """As `WebDataset(shards).decode("pil")` gives it."""
    import webdataset

    for folder in sorted(path for path in dest.iterdir() if path.is_dir() and path.name != ".batchgen"):
        shards = sorted(map(str, folder.glob("*.tar")))
        for found in webdataset.WebDataset(shards, shardshuffle=False).decode("pil"):
            line = found["json"]
            assert found["txt"] == line["caption"]
            assert found["__key__"].isdigit()
            media = {name: value for name, value in found.items() if isinstance(value, Image.Image | bytes)}
            source = next((media.pop(name) for name in list(media) if name.startswith("source.")), None)
            (medium,) = media.values()
            yield Sample(folder.name, line, medium, source)


def by_pyarrow(dest: Path) -> Iterator[Sample]:
    import pyarrow.parquet as parquet

    for path in sorted(dest.glob("*/*.parquet")):
        for found in parquet.ParquetFile(path).read().to_pylist():
            yield Sample(path.parent.name, _columns(found), *_media(found))


_TABLES = (".parquet", ".csv", ".jsonl")


def by_pandas(dest: Path) -> Iterator[Sample]:
    """Any of the tables: Parquet, CSV, JSON Lines, a folder's metadata.jsonl."""
    import pandas as pd

    tables = [path for pattern in ("*", "*/*") for path in dest.glob(pattern) if path.suffix in _TABLES]
    for path in sorted(path for path in tables if path.parent.name != ".batchgen"):
        if path.suffix == ".csv":
            table = pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in NUMBERS})
        elif path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_json(path, lines=True, dtype=False)
        split = path.stem if path.parent == dest else path.parent.name
        for found in table.to_dict("records"):
            line = {str(name): value for name, value in found.items()}
            names = [name for name in line if name.endswith("file_name") and isinstance(line[name], str)]
            line |= {name: {"bytes": None, "path": path.parent / line[name]} for name in names}
            yield Sample(split, _columns(line), *_media(line))


def _columns(found: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a line, with what is absent as the columns are documented: no text is "", no number is None."""
    line = {name: value for name, value in found.items() if name in COLUMNS or name.startswith(("input.", "meta."))}
    return {name: _absent(name) if value is None or value != value else value for name, value in line.items()}


def _absent(name: str) -> str | None:
    return "" if column(name).kind == "text" else None


def _media(found: Mapping[str, Any]) -> tuple[Image.Image | bytes | None, Image.Image | bytes | None]:
    """The one medium among *found*, and its source."""
    media = {name: value for name, value in found.items() if isinstance(value, Image.Image | dict)}
    sources = [media.pop(name) for name in list(media) if name.startswith("source")]
    assert len(media) <= 1
    assert len(sources) <= 1
    return _whole(next(iter(media.values()), None)), _whole(next(iter(sources), None))


def _whole(medium: Image.Image | dict[str, Any] | None) -> Image.Image | bytes | None:
    if not isinstance(medium, dict):
        return medium
    content: bytes = medium["bytes"] or Path(medium["path"]).read_bytes()
    return content


READERS: Mapping[str, Mapping[str, Callable[[Path], Iterator[Sample]]]] = {
    "imagefolder": {"datasets": by_load_dataset, "pandas": by_pandas},
    "videofolder": {"datasets": by_load_dataset, "pandas": by_pandas},
    "webdataset": {"datasets": by_load_dataset, "webdataset": by_webdataset},
    "parquet": {"datasets": by_load_dataset, "pandas": by_pandas, "pyarrow": by_pyarrow},
    "jsonl": {"datasets": by_load_dataset, "pandas": by_pandas},
    "csv": {"datasets": by_load_dataset, "pandas": by_pandas},
}
HOLDS = {"imagefolder": {"image"}, "videofolder": {"video"}}
"""The kinds of media that a format holds; the others hold all."""


def compare(truth: Truth, to: str, told: Told, samples: Iterator[Sample]) -> Counter[str]:
    """Fail unless *samples* are the outputs of the run folder, each once; say how much was compared."""
    compared: Counter[str] = Counter()
    splits: Counter[str] = Counter()
    seen: set[str] = set()
    for sample in samples:
        line = dict(sample.line)
        sha256 = line["sha256"]
        assert sha256 not in seen
        seen.add(sha256)
        splits[sample.split] += 1
        expected = truth.line(sha256)
        assert {name: line[name] for name in expected} == expected
        assert list(line) == truth.columns
        assert line["split"] == sample.split
        compared["lines"] += 1
        if to not in ("jsonl", "csv"):
            compared[_same(sample.medium, truth.bytes_of(sha256))] += 1
            if line["source_file"]:
                compared["source " + _same(sample.source, _source(truth, line["source_file"]))] += 1
            else:
                assert sample.source is None
    assert seen == {sha256 for sha256 in truth.outputs if truth.kind(sha256) in HOLDS.get(to, {truth.kind(sha256)})}
    assert splits == told.items
    return compared


def _source(truth: Truth, name: str) -> bytes:
    """A local input, by the name it has in a manifest that lies two folders above the run folder."""
    return (truth.out.parent.parent / name).read_bytes()


def _same(medium: Image.Image | bytes | None, original: bytes) -> str:
    """Fail unless *medium* is *original*, pixel by pixel if it was decoded."""
    if isinstance(medium, Image.Image):
        with Image.open(io.BytesIO(original)) as picture:
            assert medium.size == picture.size
            assert medium.convert("RGB").tobytes() == picture.convert("RGB").tobytes()
        return "pictures"
    assert medium == original
    return "files"


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def main() -> None:
    truth = Truth(Path(sys.argv[1]).absolute())
    with tempfile.TemporaryDirectory(prefix="readers-") as folder:
        for to, readers in READERS.items():
            told = export(truth.out, Path(folder, to), Settings(to, split="train=0.9,val=0.1", shard_size=2_000_000))
            for name, read in readers.items():
                compared = compare(truth, to, told, read(Path(folder, to)))
                print(f"{to:12} by {name:11}: {', '.join(f'{count} {what}' for what, count in compared.items())}")


if __name__ == "__main__":
    main()
