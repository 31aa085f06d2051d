"""Every format is read back by the readers people use, and agrees with the run folder."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from typing import Any

import pytest

import batchgen
from batchgen.results.export import Told
from batchgen.results.export.columns import COLUMNS, in_order
from batchgen.results.export.formats.webdataset import header
from tests.bench.export import make_run
from tests.export.conftest import HOSTILE, HOSTILE_IDS, PICTURE, Run
from tests.export.readers import READERS, compare, hugging_face, read_csv, read_jsonl

pytestmark = pytest.mark.filterwarnings("ignore")  # the readers' own

SPLIT: dict[str, Any] = {"split": "train=0.8,val=0.2", "group_by": "meta.subject"}
OPEN = {
    "input.text", "input.prompt", "input.images", "input.image_size", "input.seed", "input.start_image_url",
    "input.duration", "input.sequential_image_generation_options", "meta.subject", "meta.take", "meta.told",
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(rehearsed: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Told]]:
    """The rehearsal in every format."""
    dests = tmp_path_factory.mktemp("exported")
    return {to: (dests / to, rehearsed.export(dests / to, to, shard_size=100_000, **SPLIT)) for to in READERS}


@pytest.mark.parametrize(("to", "reader"), [(to, name) for to, readers in READERS.items() for name in readers])
def test_a_reader_finds_in_a_format_what_the_run_folder_holds(
    rehearsed: Run, exported: dict[str, tuple[Path, Told]], to: str, reader: str
) -> None:
    dest, told = exported[to]
    compared = compare(rehearsed.truth, to, told, READERS[to][reader](dest))
    pictures, videos = {"imagefolder": (384, 0), "videofolder": (0, 8)}.get(to, (384, 8))
    assert compared["lines"] == pictures + videos == sum(told.items.values())
    if to not in ("jsonl", "csv"):
        assert compared["files"] + compared["pictures"] == pictures + videos
        assert compared["source files"] + compared["source pictures"] == (184 if pictures else 0)


def test_hostile_ids_are_among_them(rehearsed: Run) -> None:
    assert set(HOSTILE_IDS) <= set(rehearsed.truth.sidecars())


def test_columns_are_the_same_everywhere(rehearsed: Run) -> None:
    assert rehearsed.truth.columns == in_order(OPEN)


def test_an_imagefolder_has_pairs(exported: dict[str, tuple[Path, Told]]) -> None:
    loaded = hugging_face().load_dataset(str(exported["imagefolder"][0]), split="train")
    assert loaded.column_names == ["source", "target", *in_order(OPEN)]
    for line in loaded:
        assert (line["source"] is not None) == line["row_id"].startswith("edit")


def test_an_imagefolder_without_edits_has_one_picture_a_line(rehearsed: Run, tmp_path: Path) -> None:
    told = rehearsed.export(tmp_path / "data", "imagefolder", where=f"model == '{PICTURE}'")
    assert (told.items, told.left_out) == ({"train": 200}, {"kind": 8, "where": 184})
    loaded = hugging_face().load_dataset("imagefolder", data_dir=str(tmp_path / "data"), split="train")
    assert "image" in loaded.column_names
    assert "source" not in loaded.column_names


def test_shards_hold_to_the_size_that_was_asked_for(exported: dict[str, tuple[Path, Told]]) -> None:
    shards = sorted(exported["webdataset"][0].glob("train/*.tar"))
    assert len(shards) > 5
    for path in shards:
        if path.stat().st_size > 100_000 + 10_240:  # tar fills up its last record
            with tarfile.open(path) as shard:
                assert len({name.partition(".")[0] for name in shard.getnames()}) == 1  # a film alone is larger
    full = [path.stat().st_size > 80_000 for path in shards]
    assert full.count(False) < len(full) / 3
    assert len(list(exported["parquet"][0].glob("train/*.parquet"))) == len(shards)


@pytest.mark.parametrize("size_bytes", [0, 1, 511, 512, 5_000_000_000, (8 << 30) - 1])
def test_a_header_is_the_one_that_tarfile_writes(size_bytes: int) -> None:
    told = tarfile.TarInfo("00000012.source.png")
    told.size = size_bytes
    assert header(told.name, size_bytes) == told.tobuf(tarfile.USTAR_FORMAT)


def test_parquet_without_media_is_the_table_alone(rehearsed: Run, tmp_path: Path) -> None:
    told = rehearsed.export(tmp_path / "data", "parquet", embed=False)
    for read in READERS["parquet"].values():
        samples = list(read(tmp_path / "data"))
        assert all(sample.medium is sample.source is None for sample in samples)
        assert compare(rehearsed.truth, "jsonl", told, iter(samples))["lines"] == 392


def test_a_table_by_the_standard_library_holds_every_hostile_text(exported: dict[str, tuple[Path, Told]]) -> None:
    lines = [line for name in ("train", "val") for line in read_jsonl(exported["jsonl"][0] / f"{name}.jsonl")]
    rows = [row for name in ("train", "val") for row in read_csv(exported["csv"][0] / f"{name}.csv")]
    assert rows == [{name: "" if value is None else str(value) for name, value in line.items()} for line in lines]
    assert {line["prompt"] for line in lines} >= set(HOSTILE)
    assert {line["meta.told"] for line in lines} >= set(HOSTILE)


def test_a_folder_keeps_the_very_bytes(exported: dict[str, tuple[Path, Told]]) -> None:
    for to in ("imagefolder", "videofolder"):
        for path in exported[to][0].glob("*/metadata.jsonl"):
            for line in read_jsonl(path):
                content = (path.parent / (line.get("target_file_name") or line["file_name"])).read_bytes()
                assert hashlib.sha256(content).hexdigest() == line["sha256"]
                if line["source_sha256"]:
                    source = (path.parent / line["source_file_name"]).read_bytes()
                    assert hashlib.sha256(source).hexdigest() == line["source_sha256"]


def test_records_are_the_same_lines_for_a_notebook(rehearsed: Run) -> None:
    table = batchgen.records(rehearsed.out)
    truth = rehearsed.truth
    assert list(table.columns) == truth.columns
    assert sorted(table["sha256"]) == sorted(truth.outputs)
    assert table["cost_usd"].sum() == pytest.approx(sum(told["cost_usd"] for told in truth.sidecars().values()))
    assert table["seed"].isna().sum() == 208
    assert set(HOSTILE) <= set(table["prompt"])


def test_records_of_a_run_without_outputs_have_every_fixed_column_and_its_type(tmp_path: Path) -> None:
    make_run(tmp_path / "out", 0, 400)
    table = batchgen.records(tmp_path / "out")
    kinds = {"text": "str", "whole": "Int64", "decimal": "float64"}
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == {
        name: kinds[column.kind] for name, column in COLUMNS.items()
    }
    assert len(table) == 0


def test_every_fixed_column_is_documented() -> None:
    assert all(column.meaning for column in COLUMNS.values())
