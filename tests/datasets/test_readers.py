"""Every format is read back by the readers people use, and agrees with the run folder."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from batchgen.datasets.columns import COLUMNS, in_order
from tests.datasets.conftest import HOSTILE, Run

pytestmark = pytest.mark.filterwarnings("ignore")  # the readers' own

OPEN = {
    "input.text", "input.prompt", "input.images", "input.image_size", "input.seed",
    "input.sequential_image_generation_options", "meta.subject", "meta.told",
}  # fmt: skip


def agree(run: Run, line: dict[str, Any]) -> None:
    """Every column of *line* says what row.json says."""
    told, file = run.outputs[line["sha256"]]
    prompt = told["input"].get("prompt") or told["input"].get("text")
    assert {name: line[name] for name in ("row_id", "model", "request_id", "fingerprint")} == {
        name: told[name] for name in ("row_id", "model", "request_id", "fingerprint")
    }
    assert line["caption"] == line["prompt"] == prompt
    assert line["file"] == f"rows/{told['row_id']}/{file['name']}"
    assert {name: line[name] for name in ("bytes", "width", "height", "media_type")} == {
        name: file[name] for name in ("bytes", "width", "height", "media_type")
    }
    assert line["seed"] == told["input"].get("seed")
    assert line["outputs"] == len(told["files"])
    assert line["cost_usd"] == pytest.approx(told["cost_usd"] / len(told["files"]))
    assert line["meta.told"] == told["meta"].get("told", "")
    assert line["meta.subject"] == told["meta"].get("subject", "")
    assert line["input.images"] == (json.dumps(told["input"]["images"]) if "images" in told["input"] else "")


def same_pixels(run: Run, picture: Any, sha256: str) -> None:
    from PIL import Image

    original = Image.open(io.BytesIO(run.bytes_of(sha256)))
    assert picture.size == original.size
    assert picture.convert("RGB").tobytes() == original.convert("RGB").tobytes()


def test_an_imagefolder_loads_as_pairs_of_pictures(run: Run, tmp_path: Path, hugging_face: Any) -> None:
    dest = tmp_path / "data"
    run.export(dest, "imagefolder")
    loaded = hugging_face.load_dataset(str(dest), split="train")
    assert len(loaded) == len(run.outputs) == 84
    assert loaded.column_names == ["source", "target", *in_order(OPEN)]
    for line in loaded:
        agree(run, line)
        same_pixels(run, line["target"], line["sha256"])
        is_edit = line["row_id"].startswith("edit")
        assert (line["source"] is not None) == is_edit
        if is_edit:
            assert line["source"].size == (640, 640)
            assert line["source_file"] == json.loads(line["input.images"])[0]


def test_an_imagefolder_without_edits_has_one_picture_a_line(mixed: Run, tmp_path: Path, hugging_face: Any) -> None:
    dest = tmp_path / "data"
    told = mixed.export(dest, "imagefolder")
    assert told.left_out == {"kind": 2}
    loaded = hugging_face.load_dataset("imagefolder", data_dir=str(dest), split="train")
    assert len(loaded) == 3
    for line in loaded:
        same_pixels(mixed, line["image"], line["sha256"])


def test_videos_have_a_folder_format_of_their_own(mixed: Run, tmp_path: Path) -> None:
    told = mixed.export(tmp_path / "data", "videofolder")
    assert (told.items, told.left_out) == ({"train": 2}, {"kind": 3})
    lines = read_jsonl(tmp_path / "data/train/metadata.jsonl")
    for line in lines:
        content = (tmp_path / "data/train" / line["file_name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == line["sha256"]
        assert line["media_type"] == "video/mp4"


def test_shards_are_read_by_webdataset(run: Run, tmp_path: Path) -> None:
    import webdataset

    run.export(tmp_path / "data", "webdataset", shard_size=40_000)
    shards = sorted(map(str, (tmp_path / "data/train").glob("*.tar")))
    assert len(shards) > 5
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    assert len(samples) == 84
    for sample in samples:
        line = json.loads(sample["json"])
        agree(run, line)
        assert sample["png"] == run.bytes_of(line["sha256"])
        assert sample["txt"].decode() == line["caption"]
        if line["source_sha256"]:
            assert hashlib.sha256(sample["source.png"]).hexdigest() == line["source_sha256"]


def test_shards_are_read_by_hugging_face(run: Run, tmp_path: Path, hugging_face: Any) -> None:
    dest = tmp_path / "data"
    run.export(dest, "webdataset", shard_size=40_000)
    loaded = hugging_face.load_dataset(str(dest), split="train")
    assert len(loaded) == 84
    for line in loaded:
        agree(run, line["json"])
        same_pixels(run, line["png"], line["json"]["sha256"])


def test_pictures_and_videos_share_shards(mixed: Run, tmp_path: Path, hugging_face: Any) -> None:
    dest = tmp_path / "data"
    mixed.export(dest, "webdataset")
    loaded = hugging_face.load_dataset(str(dest), split="train")
    undecoded = loaded.cast_column("mp4", hugging_face.Video(decode=False))
    assert sum(line["mp4"] is not None for line in undecoded) == 2
    for line in undecoded:
        if line["mp4"] is not None:
            assert line["mp4"]["bytes"] == mixed.bytes_of(line["json"]["sha256"])


def test_parquet_holds_the_pictures(run: Run, tmp_path: Path, hugging_face: Any) -> None:
    dest = tmp_path / "data"
    run.export(dest, "parquet", shard_size=100_000)
    assert len(list((dest / "train").glob("*.parquet"))) > 2
    loaded = hugging_face.load_dataset("parquet", data_dir=str(dest), split="train")
    assert loaded.column_names == ["image", "source_image", *in_order(OPEN)]
    assert len(loaded) == 84
    for line in loaded:
        agree(run, line)
        same_pixels(run, line["image"], line["sha256"])
        assert (line["source_image"] is None) == (line["source_sha256"] == "")


def test_parquet_without_media_is_read_by_pandas(run: Run, tmp_path: Path) -> None:
    import pandas as pd

    run.export(tmp_path / "data", "parquet", embed=False)
    table = pd.read_parquet(tmp_path / "data/train")
    assert list(table.columns) == in_order(OPEN)
    assert sorted(table["sha256"]) == sorted(run.outputs)
    assert set(HOSTILE) <= set(table["prompt"])


def test_tables_hold_every_column_and_every_hostile_text(run: Run, tmp_path: Path, hugging_face: Any) -> None:
    run.export(tmp_path / "jsonl", "jsonl")
    run.export(tmp_path / "csv", "csv")
    lines = read_jsonl(tmp_path / "jsonl/train.jsonl")
    for line in lines:
        assert list(line) == in_order(OPEN)
        agree(run, line)
    with (tmp_path / "csv/train.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    texts = [{name: "" if value is None else str(value) for name, value in line.items()} for line in lines]
    assert rows == texts
    assert {line["prompt"] for line in lines} >= set(HOSTILE)
    assert {line["meta.told"] for line in lines} >= set(HOSTILE)
    for to in ("jsonl", "csv"):
        loaded = hugging_face.load_dataset(str(tmp_path / to), split="train")
        assert len(loaded) == 84
        assert set(loaded["sha256"]) == set(run.outputs)


def test_records_are_the_same_lines_for_a_notebook(run: Run) -> None:
    import batchgen

    table = batchgen.records(run.out)
    assert list(table.columns) == in_order(OPEN)
    assert sorted(table["sha256"]) == sorted(run.outputs)
    assert table["cost_usd"].sum() == pytest.approx(sum(told["cost_usd"] for told in run.sidecars().values()))
    assert table["seed"].isna().sum() == 24
    assert set(HOSTILE) <= set(table["prompt"])


def test_every_fixed_column_is_documented() -> None:
    assert all(column.meaning for column in COLUMNS.values())


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
