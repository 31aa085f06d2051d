"""Outputs of one colour are named wherever a person looks: in status, on the page, as a column."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchgen.cli.live.view import view
from batchgen.results.export.dataframe import records
from batchgen.results.export.export import export
from batchgen.results.export.settings import Settings
from batchgen.results.report.write import write_report
from batchgen.results.status import status
from tests.report.folders import STARTED, a_row, collected, enrol, happen, jobs_of, opened, save, scene, sent
from tests.report.test_page import rows_of
from tests.verify.files import saved


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three rows: a landscape, a black picture, and a deep one from black to white."""
    deep = Image.new("I;16", (256, 32))
    deep.putdata([x * 257 for _ in range(32) for x in range(256)])
    pictures = [scene(1), saved(Image.new("RGB", (64, 48)), "PNG"), saved(deep, "PNG")]
    place = tmp_path / "run"
    rows = [a_row(row_id, "a dune") for row_id in ("dune", "black", "deep")]
    with opened(place) as state:
        enrol(state, rows)

        async def everything() -> None:
            for number, (job, picture) in enumerate(zip(jobs_of(state, rows), pictures, strict=True)):
                (file,) = save(place, job, [("image/png", picture)])
                known = file._replace(checked="decoded", blank=number == 1)
                await happen(state, job, *sent(STARTED, job), *collected(STARTED, 5.0, (known,)))

        asyncio.run(everything())
        plan = state.reader._connection.execute(
            "EXPLAIN QUERY PLAN SELECT COUNT(*) FROM jobs, json_each(jobs.saved) WHERE jobs.latest AND "
            """instr(saved, '"blank": true') AND json_extract(json_each.value, '$.blank')"""
        ).fetchall()
        assert any("jobs_blank" in step[-1] for step in plan)  # no look at every attempt
    return place


def test_status_counts_what_is_blank(folder: Path) -> None:
    standing = status(folder)
    assert standing.as_json()["blank"] == 1
    assert "1 blank (one colour)" in " ".join(line.plain for line in view(standing, 100, 40))


def files_on_the_page(folder: Path) -> dict[str, list[Any]]:
    """The first file of each row, as the page has it; the page is made anew."""
    page = write_report(folder, False, lambda count, total: None).path
    assert "1 of them blank (one colour)" in page.read_text("utf-8")
    return {row[0]: row[16][0] for row in rows_of(page)}


def test_the_page_marks_what_is_blank(folder: Path) -> None:
    files = files_on_the_page(folder)
    assert {row_id: file[-1] for row_id, file in files.items()} == {"dune": False, "black": True, "deep": False}


def test_the_small_picture_of_a_deep_one_goes_from_black_to_white(folder: Path) -> None:
    key = files_on_the_page(folder)["deep"][5]
    with Image.open(folder / "thumbs" / key[:2] / f"{key}.webp") as thumb:
        grey = thumb.convert("L")
    assert [grey.getpixel((x, 16)) for x in (0, 128, 255)] == pytest.approx([0, 128, 255], abs=6)


def test_a_data_set_has_a_column_that_says_what_is_blank(folder: Path, tmp_path: Path) -> None:
    assert dict(zip(records(folder)["row_id"], records(folder)["blank"], strict=True)) == {
        "dune": 0,
        "black": 1,
        "deep": 0,
    }
    export(folder, tmp_path / "set", Settings(to="jsonl", where="blank == 0"))
    lines = (tmp_path / "set" / "train.jsonl").read_text("utf-8").splitlines()
    assert [(json.loads(line)["row_id"], json.loads(line)["blank"]) for line in lines] == [("dune", 0), ("deep", 0)]
