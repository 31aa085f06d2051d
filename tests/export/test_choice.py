"""What goes into a data set, and what is said of the rest."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.errors import Refusal
from batchgen.results.export.captions import NotACaption, caption
from batchgen.results.export.columns import in_order
from batchgen.results.export.filters import Choice
from batchgen.results.export.selection import Condition, NotACondition
from batchgen.results.export.splits import NotASplit, read_split, split_of
from tests.export.conftest import EDIT, Run

COLUMNS = in_order(["meta.subject", "input.guidance", "input.image size"])
LINE: dict[str, Any] = {
    "row_id": "dune-1", "model": "a/b", "width": 1024, "height": 768, "seed": None, "review": "accepted",
    "prompt": "a dune at dusk", "output": 1, "media_type": "image/png", "meta.subject": "dune",
    "input.guidance": "7.5", "input.image size": "2K",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "review == 'accepted'",
        "width >= 1024 and height < 1024",
        "512 <= width <= 1024",
        "meta.subject in ['dune', 'lake'] and not model == 'c/d'",
        "'dusk' in prompt and 'dawn' not in prompt",
        "input.guidance > 7 and input.guidance == 7.5",
        "input['image size'] == '2K'",
        "seed is None and seed != 3",
        "seed > 5 or width == 1024",
        "-1 < output",
        "not " * 400 + "width",
    ],
)
def test_a_condition_holds(text: str) -> None:
    assert Condition(text, COLUMNS).holds(LINE)
    assert not Condition(f"not ({text})", COLUMNS).holds(LINE)


@pytest.mark.parametrize("text", ["seed > 5", "seed < 5", "meta.subject > 5", "prompt < 5", "seed in [1, 2]"])
def test_a_comparison_with_what_is_absent_or_no_number_does_not_hold(text: str) -> None:
    assert not Condition(text, COLUMNS).holds(LINE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("widht > 5", "did you mean 'width'?"),
        ("meta.subjct == 'dune'", "did you mean 'meta.subject'?"),
        ("review == accepted", "write it in quotes: 'accepted'"),
        ("review = 'accepted'", "write == to compare"),
        ("width > 5 && height > 5", "write `and` and `or`"),
        ("__import__('os').system('true')", "is not allowed"),
        ("prompt.upper() == 'A'", "is not allowed"),
        ("[x for x in prompt]", "is not allowed"),
        ("width ** 9 > 5", "is not allowed"),
        ("(lambda: 1)()", "is not allowed"),
        ("(" * 500 + "width" + ")" * 500, "cannot be read"),
        ("width > 5 or " * 200 + "width", "at most 2000"),
        ("", "cannot be read"),
    ],
)
def test_a_condition_that_cannot_be_understood_says_what_to_write(text: str, told: str) -> None:
    with pytest.raises(NotACondition) as refused:
        Condition(text, COLUMNS)
    assert told in str(refused.value)


def test_the_smallest_side_counts_at_its_limit_and_for_pictures_only() -> None:
    choice = Choice(frozenset({"image", "video"}), None, False, 768)
    assert choice.against(LINE) is None
    assert choice.against(LINE | {"height": 767}) is not None
    assert choice.against(LINE | {"media_type": "video/mp4", "width": None, "height": None}) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train=0.9,val=0.2", r"makes 1\.1"),
        ("train", "write a name and a share"),
        ("Train=1", "small letters"),
        ("train=0.5,train=0.5", "twice"),
        ("train=0,val=1", "more than 0"),
        ("a/../b=1", "small letters"),
    ],
)
def test_a_split_that_cannot_be_understood_says_what_to_write(text: str, told: str) -> None:
    with pytest.raises(NotASplit, match=told):
        read_split(text)


def test_splits_come_near_their_shares_and_hang_on_the_group_alone() -> None:
    shares = read_split("train=0.9, val=0.1")
    assert shares == {"train": Decimal("0.9"), "val": Decimal("0.1")}
    counted = [split_of(f"group {number}", shares) for number in range(2_000)]
    assert 150 < counted.count("val") < 250
    assert split_of("dune", shares) == split_of("dune", read_split("train=0.9,val=0.1"))


def test_a_caption_is_a_column_or_a_confined_template() -> None:
    line = {"row_id": "r", "prompt": "a dune", "seed": None, "meta.subject": "dune {{ 7*7 }}", "input.guidance": "7.5"}
    columns = list(line)
    assert caption("meta.subject", columns)(line) == "dune {{ 7*7 }}"
    assert caption("seed", columns)(line) == ""
    assert caption("a photo of {{ meta.subject }}, {{ prompt|upper }}", columns)(line) == (
        "a photo of dune {{ 7*7 }}, A DUNE"
    )
    for wrong in (
        "subject",
        "{{ subject }}",
        "{{ meta.clear() }}",
        "{{ ''.__class__ }}",
        "{{",
        "{% import 'x' as y %}",
    ):
        with pytest.raises(NotACaption):
            caption(wrong, columns)(line)
    with pytest.raises(NotACaption, match="row r"):
        caption("{{ meta.subjct }}", columns)(line)


def test_marks_choose_and_the_last_word_counts(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(run.out, out)
    for number, index, mark in [(0, 0, "accepted"), (1, 1, "accepted"), (2, 0, "rejected"), (3, 0, "accepted")]:
        marked(run, out, f"edit-{number:03d}", index, mark)
    marked(run, out, "edit-003", 0, "none")
    with (out / "marks.jsonl").open("a") as stream:
        stream.write('{"row": "edit-004", "file": "images-00.png", "sha256": "0", "mark": "accepted"}\n{"row": "edi')
    told = Run(out, run.command).export(tmp_path / "data", "jsonl", where="review == 'accepted'")
    lines = [json.loads(line) for line in (tmp_path / "data/train.jsonl").read_text().splitlines()]
    assert [(line["row_id"], line["output"]) for line in lines] == [("edit-000", 0), ("edit-001", 1)]
    assert told.left_out == {"where": 82}


def marked(run: Run, out: Path, row_id: str, index: int, mark: str) -> None:
    """Mark an output as the page does."""
    file = run.truth.sidecars()[row_id]["files"][index]
    with (out / "marks.jsonl").open("a") as stream:
        told = {"at": 1.0, "row": row_id, "file": file["name"], "sha256": file["sha256"], "mark": mark}
        stream.write(json.dumps(told) + "\n")


def test_the_first_output_of_each_row(run: Run, tmp_path: Path) -> None:
    told = run.export(tmp_path / "data", "jsonl", outputs="first")
    assert (told.items, told.left_out) == ({"train": 54}, {"outputs": 30})


def test_the_same_bytes_come_in_once_and_the_decision_is_on_record(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(run.out, out)
    twin(out, "picture-002", "picture-001")
    told = Run(out, run.command).export(tmp_path / "data", "imagefolder")
    assert told.left_out == {"duplicate": 1}
    (line,) = map(json.loads, (tmp_path / "data/.batchgen/left-out.jsonl").read_text().splitlines())
    assert (line["row_id"], line["reason"]) == ("picture-002", "duplicate")
    kept = line["detail"].removeprefix("the same bytes as item ")
    assert list((tmp_path / "data/train").glob(f"*/{kept}.png"))


def twin(out: Path, row_id: str, of: str) -> None:
    """Let *row_id* have the very file of the row *of*, as a provider that answers twice with the same would."""
    shutil.copy(out / f"rows/{of}/images-00.png", out / f"rows/{row_id}/images-00.png")
    with closing(sqlite3.connect(out / "state.db")) as state:
        state.execute(
            "UPDATE jobs SET saved = (SELECT saved FROM jobs JOIN rows USING (key) WHERE row_id = ?) "
            "WHERE key = (SELECT key FROM rows WHERE row_id = ?)",
            (of, row_id),
        )
        state.commit()


def test_a_lost_file_is_left_out_and_a_damaged_one_stops_the_export(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(run.out, out)
    (out / "rows/picture-001/images-00.png").unlink()
    damaged = out / "rows/picture-002/images-00.png"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + b"?")
    here = Run(out, run.command)
    with pytest.raises(Refusal, match="is not as it was when it was verified"):
        here.export(tmp_path / "data", "imagefolder")
    damaged.write_bytes(whole)
    told = here.export(tmp_path / "data", "imagefolder")
    assert told.left_out == {"lost": 1}
    assert not list(tmp_path.glob("data/**/*.part"))


def test_an_edit_whose_source_has_changed_is_left_out(run: Run, tmp_path: Path) -> None:
    source = run.command.folder / "inputs/3.png"
    whole, times = source.read_bytes(), source.stat()
    source.write_bytes(whole + b"?")
    try:
        told = run.export(tmp_path / "data", "webdataset")
    finally:
        source.write_bytes(whole)
        os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert told.left_out == {"source": 8}


def test_edits_that_come_to_a_data_set_without_any_are_left_out_by_name(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(run.out, out)
    here = Run(out, run.command)
    set_state(out, EDIT, "submitted")
    assert here.export(tmp_path / "data", "imagefolder").new == 24
    line = json.loads((tmp_path / "data/train/metadata.jsonl").read_text().splitlines()[0])
    assert "source_file_name" not in line
    assert (tmp_path / "data/train" / line["file_name"]).is_file()
    set_state(out, EDIT, "collected")
    assert here.export(tmp_path / "data", "imagefolder").left_out == {"source": 60}


def set_state(out: Path, model: str, state: str) -> None:
    with closing(sqlite3.connect(out / "state.db")) as connection:
        connection.execute("UPDATE jobs SET state = ? WHERE model = ?", (state, model))
        connection.commit()


def test_a_choice_without_edits_has_no_place_for_sources(run: Run, tmp_path: Path) -> None:
    run.export(tmp_path / "data", "imagefolder", where=f"model != '{EDIT}'")
    assert "source_file_name" not in (tmp_path / "data/train/metadata.jsonl").read_text()
