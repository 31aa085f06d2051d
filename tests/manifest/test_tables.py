"""CSV, TSV and JSON Lines: what becomes a row, and what a problem at its true line."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.manifest import ManifestError, read
from batchgen.manifest.formats.csv import read_csv
from batchgen.manifest.record import Record
from batchgen.manifest.unchanged import RecordDigests
from tests.manifest.reading import SEED, Read, Reading, reading_in, schemas

URL = "https://example.com/a.png"


@pytest.fixture
def manifest(tmp_path: Path) -> Reading:
    return reading_in(tmp_path)


def test_a_cell_gets_its_type_from_the_model_and_an_empty_one_is_left_out(manifest: Reading) -> None:
    row = manifest(f"id,text,images,seed,image_size\none,007,{URL},007,\n").row
    assert row.input == {"text": "007", "images": [URL], "seed": 7}
    assert (row.row_id, row.explicit_id, row.line) == ("one", True, 2)


def test_the_words_na_and_null_are_text(manifest: Reading) -> None:
    rows = manifest(f"text,images\nNA,{URL}\nnull,{URL}\nNone,{URL}\n").rows
    assert [row.input["text"] for row in rows] == ["NA", "null", "None"]


@pytest.mark.parametrize(
    "cells",
    ['images\n"[""{0}"", ""{1}""]"', "images\n{0}|{1}", "images.0,images.1\n{0},{1}", "images.1,images.0\n{1},{0}"],
)
def test_a_list_has_three_spellings(manifest: Reading, cells: str) -> None:
    first, second = "https://e.com/1.png", "https://e.com/2.png"
    header, row = cells.format(first, second).split("\n")
    assert manifest(f"text,{header}\nx,{row}\n").row.input["images"] == [first, second]


def test_what_is_about_the_row_is_kept_and_not_sent(manifest: Reading) -> None:
    row = manifest(f"text,images,priority,note,meta.client,model\nx,{URL},5,urgent,Ada,{SEED}\n", model=None).row
    assert row.input == {"text": "x", "images": [URL]}
    assert (row.priority, row.note, row.meta, row.model) == (5, "urgent", {"client": "Ada"}, SEED)


def test_a_row_without_id_is_named_by_its_fingerprint(manifest: Reading) -> None:
    row = manifest(f"text,images\nx,{URL}\n").row
    assert row.row_id == "r-" + row.fingerprint[:16]
    assert not row.explicit_id


def test_lines_are_true_across_quoted_newlines_blank_lines_and_a_byte_order_mark(manifest: Reading) -> None:
    text = f'\ufeffid,text,images\none,"a\nb\r\nc",{URL}\n\n\ntwo,x,{URL}\n'
    assert [(row.row_id, row.line) for row in manifest(text).rows] == [("one", 2), ("two", 7)]


def test_lines_of_nothing_but_commas_are_no_rows(manifest: Reading) -> None:
    assert len(manifest(f"text,images\nx,{URL}\n,\n,\n").rows) == 1


FAULTS: dict[str, tuple[str, tuple[int | None, str | None], str]] = {
    "an unknown column": ("text,images,sed\nx,{u},1\n", (1, "sed"), "did you mean 'seed'"),
    "a column without name": ("text,images,\nx,{u},1\n", (1, None), "column 3 has no name"),
    "a column twice": ("text,images,text\nx,{u},y\n", (1, "text"), "two columns are called 'text'"),
    "a column too few": ("images\n{u}\n{u}\n", (1, "text"), "requires; add it"),
    "bars": ("text|images\nx|{u}\n", (1, None), "separated by |; save the file with commas"),
    "a field too many": ("text,images\nx,{u}\na, b,{u}\n", (3, None), "put quotes around"),
    "a field too few": ("text,images\nx,{u}\nx\n", (3, "images"), "add the missing commas"),
    "text after a quote": ('text,images\n"x"y,{u}\n', (2, None), "write a quote inside quoted text twice"),
    "an open quote": ('text,images\nx,{u}\n"x,{u}\ny,{u}\n', (3, None), "never closed"),
    "bytes of another encoding": ("text,images\ncaf\udce9,{u}\n", (2, None), "byte 0xE9 is not UTF-8"),
    "a nul": ("text,images\na\0b,{u}\n", (2, None), "NUL"),
    "a word for a number": ("text,images,seed\nx,{u},12a\n", (2, "seed"), "write 12 or leave it empty"),
    "a fraction for a whole number": ("text,images,seed\nx,{u},1.5\n", (2, "seed"), "not a whole number; write 2"),
    "a choice that is none": ("text,images,image_size\nx,{u},16:9\n", (2, "image_size"), "2560:1440 (16:9)"),
    "a number that is no choice": (
        "text,images,sequential_image_generation_options\nx,{u},16\n",
        (2, "sequential_image_generation_options"),
        "1 to 15",
    ),
    "a text too long": ("text,images\n" + "x" * 601 + ",{u}\n", (2, "text"), "601 characters long and 600"),
    "an empty list": ("text,images\nx,[]\n", (2, "images"), "the list is empty; give at least 1"),
    "eleven pictures": ("text,images\nx," + "|".join(["{u}"] * 11) + "\n", (2, "images"), "11 given and 10"),
    "a list with a hole": ("text,images\nx,{u}||{u}\n", (2, "images"), "entry 2 of the list is empty"),
    "a broken JSON list": ('text,images\nx,"[""{u}"""\n', (2, "images"), "is not a JSON list"),
    "half a character in a JSON list": ('text,images\nx,"[""{u}/\\ud800""]"\n', (2, "images"), "write both halves"),
    "both forms of a list": ("text,images,images.0\nx,{u},{u}\n", (2, "images"), "write one of the two forms"),
    "a required cell left empty": ("text,images\n,{u}\n", (2, "text"), "required and missing"),
    "a word without digits": ("text,images,seed\nx,{u},high\n", (2, "seed"), "write one such as 12, or leave it empty"),
    "a missing file": ("text,images\nx,a.png\n", (2, "images"), "no file 'a.png' beside this manifest; write a path"),
    "another scheme": ("text,images\nx,s3://b/a.png\n", (2, "images"), "write an https:// URL or a path"),
    "an id no folder can have": ("id,text,images\na/b,x,{u}\n", (2, "id"), "cannot hold '/'"),
    "an id Windows keeps": ("id,text,images\ncon,x,{u}\n", (2, "id"), "Windows keeps the name"),
    "a priority in words": ("text,images,priority\nx,{u},high\n", (2, "priority"), "not a whole number"),
    "a model nobody knows": (
        "model,text,images\nbytedance/seedream-4-0/edit-sequental,x,{u}\n",
        (2, "model"),
        "did you mean 'bytedance/seedream-4-0/edit-sequential'",
    ),
    "no row": ("text,images\n", (None, None), "no rows"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_every_kind_of_fault_is_told_once_at_its_line_with_its_cure(manifest: Reading, kind: str) -> None:
    text, place, cure = FAULTS[kind]
    found = manifest(text.format(u=URL).encode(errors="surrogateescape"))
    assert found.places == [place], found.said
    assert cure in found.said


def test_all_problems_come_in_one_report_in_order_and_the_good_rows_with_them(manifest: Reading) -> None:
    bad = f"bad,x,{URL},1b\n"
    found = manifest(f"id,text,images,seed\n{bad}ok,x,{URL},1\nx\n{bad}nul,x,{URL},2\n")
    assert [row.row_id for row in found.rows] == ["ok"]
    assert [line for line, _ in found.places] == [2, 4, 5, 6]
    assert [problem.row for problem in found.problems] == ["bad", None, "bad", "nul"]


def test_a_row_may_have_several_faults(manifest: Reading) -> None:
    found = manifest(f"text,images,seed\n,{URL},x\n")
    assert sorted(found.places) == [(2, "seed"), (2, "text")]
    assert {problem.path for problem in found.problems} == {"$.text", "$.seed"}


def test_a_missing_file_is_answered_with_the_path_of_one_of_a_like_name_and_not_of_a_like_suffix(
    manifest: Reading, tmp_path: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    for name in ("harbour.jpg", "mug.jpg"):
        (tmp_path / "pictures" / name).write_bytes(b"x")
    found = manifest("text,images\nx,pictures/harbor.png\nx,pictures/dune.jpg\n")
    meant, alone = (problem.message for problem in found.problems)
    assert meant.endswith("did you mean 'pictures/harbour.jpg'?")
    assert "did you mean" not in alone
    assert "write a path from there, or an https:// URL" in alone


def test_a_line_that_ends_early_is_told_by_its_last_character(manifest: Reading) -> None:
    (problem,) = manifest('{"text": "x"\n', name="m.jsonl").problems
    assert "at character 14:" in problem.message


def test_a_wrong_entry_of_a_list_is_named_by_path_and_by_its_column(manifest: Reading, tmp_path: Path) -> None:
    (tmp_path / "dune.png").write_bytes(b"x")
    (problem,) = manifest("text,images.0,images.1\nx,dune.png,dun.png\n").problems
    assert (problem.path, problem.column) == ("$.images[1]", "images.1")
    assert "did you mean 'dune.png'" in problem.message


def test_a_row_without_any_model_is_told_how_to_give_one(manifest: Reading) -> None:
    found = manifest(f"text,images\nx,{URL}\n", model=None)
    assert found.places == [(2, "model")]
    assert "add a `model` column" in found.said


def test_an_unknown_model_is_told_of_each_of_its_rows(manifest: Reading) -> None:
    found = manifest("id,model,text\n" + "".join(f"{number},no/such,x\n" for number in range(12)), model=None)
    assert found.places == [(line, "model") for line in range(2, 14)]
    assert [problem.row for problem in found.problems] == [str(number) for number in range(12)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", None, "there is no such file"),
        ("empty.csv", b"", "the file is empty"),
        ("blank.csv", b"\n\n", "the file is empty"),
        ("wide.csv", "text\nx".encode("utf-16"), "UTF-16"),
        ("ads.docx", b"x", "manifests end in .csv"),
        ("ads.parquet", b"x", "Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_one_error(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=said):
        list(read(tmp_path / name, schemas, default_model=SEED))


def test_tabs_separate_a_tsv(manifest: Reading) -> None:
    assert manifest(f"text\timages\ta\n, x\t{URL}\t\n", "ads.tsv").places == [(1, "a")]
    assert manifest(f"text\timages\n, x\t{URL}\n", "ads.tsv").row.input["text"] == ", x"


def test_json_lines_name_their_own_keys(manifest: Reading) -> None:
    cells = {"id": 7, "text": "x", "images": [URL], "seed": 7.0, "meta": {"client": "Ada"}}
    text = json.dumps(cells)
    row = manifest(text, "ads.jsonl").row
    assert row.input == {"text": "x", "images": [URL], "seed": 7}
    assert (row.row_id, row.meta) == ("7", {"client": "Ada"})


def test_json_lines_that_cannot_be_read_are_told_with_their_lines(manifest: Reading) -> None:
    deep = "[" * 100_000
    lines = ['{"text": }', '{"text": 1, "text": 2}', "[1]", deep, '{"text": "x", "sed": 1}', '{"text": "x", "sed": 2}']
    found = manifest("\n".join(lines), "ads.jsonl")
    assert [line for line, _ in found.places] == [1, 2, 3, 4, 5, 5, 6, 6], found.said
    assert found.said.count("has no field 'sed'") == 2


def test_a_large_whole_number_keeps_every_digit(manifest: Reading) -> None:
    text = '{"text": "x", "images": "URL", "seed": 9223372036854775807}\n{"text": "y", "images": "URL"}'
    assert manifest(text.replace("URL", URL), "ads.jsonl").rows[0].input["seed"] == 9223372036854775807


def test_half_a_character_in_a_json_line_is_told_and_both_halves_are_one(manifest: Reading) -> None:
    found = manifest('{"text": "x", "meta.a": "\\ud83d", "images": ["URL"]}\n'.replace("URL", URL), "ads.jsonl")
    assert found.places == [(1, None)]
    assert "\\ud83d is half of a character; write both halves" in found.said
    whole = manifest('{"text": "\\ud83d\\ude00", "images": ["URL"]}\n'.replace("URL", URL), "ads.jsonl")
    assert whole.row.input["text"] == "\N{GRINNING FACE}"


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELL, CELL, CELL), max_size=8), newline=st.sampled_from(["\n", "\r\n"]))
def test_every_cell_comes_back_as_csv_wrote_it(tmp_path: Path, rows: list[tuple[str, ...]], newline: str) -> None:
    text = io.StringIO()
    alone = any("\r" in cell for row in rows for cell in row)  # which csv.writer does not quote by itself
    plain, quoted = (
        csv.writer(text, lineterminator=newline, quoting=how) for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    (quoted if alone else plain).writerows([("a", "b", "c"), *rows])
    path = tmp_path / "cells.csv"
    path.write_bytes(text.getvalue().encode())
    records = [record for record in read_csv(path, RecordDigests()).records if isinstance(record, Record)]
    got = [tuple(record.cells.get(name, "") for name in "abc") for record in records]
    assert got == [row for row in rows if any(row)]


def test_a_record_may_lie_across_the_blocks_a_file_is_read_in(tmp_path: Path) -> None:
    rows = "".join(f'{number},"line\n{"x" * 300}",{URL}\n' for number in range(8_000))
    path = tmp_path / "long.csv"
    path.write_text(f"id,text,images\n{rows}")
    found = Read(path, SEED)
    assert not found.problems
    assert [row.row_id for row in found.rows[:3]] == ["0", "1", "2"]
    assert [row.line for row in found.rows] == list(range(2, 16_002, 2))


FLASH = "blackforestlabs/flux-2/flash/text-to-image"
FILM = "kling/kling-3.0/pro/image-to-video"


def test_a_table_of_several_models_may_have_columns_that_are_empty_for_a_rows_model(tmp_path: Path) -> None:
    found = reading_in(tmp_path)(
        "id,model,text,images.0,images.1,prompt,start_image_url,duration\n"
        f"a,{SEED},a dune,https://e.com/a.png,https://e.com/b.png,,,\n"
        f"b,{FLASH},,,,the sea,,\n"
        f"c,{FILM},,,,the sky,https://e.com/c.png,5\n"
    )
    assert found.problems == [], found.said
    assert [row.input for row in found.rows] == [
        {"text": "a dune", "images": ["https://e.com/a.png", "https://e.com/b.png"]},
        {"prompt": "the sea"},
        {"prompt": "the sky", "start_image_url": "https://e.com/c.png", "duration": 5},
    ]


def test_a_cell_for_a_field_that_its_rows_model_does_not_have_is_a_problem_of_that_row(tmp_path: Path) -> None:
    found = reading_in(tmp_path)(
        f"id,model,prompt,duration,promt\na,{FLASH},a dune,,\nb,{FLASH},the sea,5,\nc,{FLASH},the sky,,clouds\n"
    )
    assert found.places == [(3, "duration"), (4, "promt")]
    assert "has no field 'promt'; did you mean 'prompt'?" in found.said
    assert [row.row_id for row in found.rows] == ["a"]


@pytest.mark.parametrize(("written", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_a_file_is_found_under_either_unicode_form_of_its_name(
    manifest: Reading, tmp_path: Path, written: Literal["NFC", "NFD"], on_disk: Literal["NFC", "NFD"]
) -> None:
    name = "Bücher/café.jpg"
    path = tmp_path / unicodedata.normalize(on_disk, name)
    path.parent.mkdir()
    path.write_bytes(b"dune")
    row = manifest(f"text,images\nx,{unicodedata.normalize(written, name)}\n").row
    assert row.files[0].path == str(path)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sub\\ok.jpg", "did you mean 'sub/ok.jpg'?"),
        ("a.png,b.png", "for several files write 'a.png|b.png'"),
        ("a.png; b.png", "for several files write 'a.png|b.png'"),
        ("a.png\nb.png", "for several files write 'a.png|b.png'"),
        ("www.example.com/a.png", "write 'https://www.example.com/a.png'"),
        ("//example.com/a.png", "write 'https://example.com/a.png'"),
        ("HTTPS://example.com/a.png", "write the address alone, as https://...: 'https://example.com/a.png'"),
        ("<https://example.com/a.png", "write the address alone, as https://...: 'https://example.com/a.png'"),
        ("file:///tmp/a.png", "write an https:// URL or a path"),
        ("gs://bucket/a.png", "write an https:// URL or a path"),
    ],
)
def test_a_path_or_address_that_is_written_otherwise_is_answered_with_the_right_one(
    manifest: Reading, tmp_path: Path, address: str, said: str
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "ok.jpg").write_bytes(b"x")
    found = manifest(f'text,images\nx,"{address}"\n')
    assert found.places == [(2, "images")]
    assert said in found.said
