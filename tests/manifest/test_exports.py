"""What spreadsheets and other programs make of a table: read as it is meant, or told in one sentence."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from batchgen.manifest.formats.jsonl import read_jsonl
from batchgen.manifest.problems import in_short
from batchgen.manifest.record import Record
from batchgen.manifest.unchanged import RecordDigests
from tests.manifest.reading import SEED, Reading, reading_in

URL = "https://example.com/a.png"
ROW = {"text": "hello, world", "images": [URL]}

READ_AS_MEANT = {
    "a line sep= above": f'sep=,\nid,text,images\na,"hello, world",{URL}\n',
    "a line sep= with another sign": f"sep=;\nid;text;images\na;hello, world;{URL}\n",
    "a line sep= in capitals, quoted, with its own commas": f'"SEP=;";;\r\nid;text;images\r\na;hello, world;{URL}\r\n',
    "a line sep= with a sign of one's own": f"sep=^\nid^text^images\na^hello, world^{URL}\n",
    "semicolons": f"id;text;images\na;hello, world;{URL}\n",
    "semicolons, all quoted, and a byte order mark": f'\ufeff"id";"text";"images"\n"a";"hello, world";"{URL}"\n',
    "tabs in a CSV": f"id\ttext\timages\na\thello, world\t{URL}\n",
    "columns without a name or a cell": f'id,text,images,,,\na,"hello, world",{URL},,,\n',
    "columns without a name in the middle": f'id,,text,images\na,,"hello, world",{URL}\n',
    "rows that end in commas": f'id,text,images\na,"hello, world",{URL},,\n',
    "a header that ends in commas above rows that do not": f'id,text,images,,\na,"hello, world",{URL}\n',
    "blanks before quotes": f'id, text, images\na, "hello, world",  "{URL}"\n',
    "blanks before a quote, and quotes in the text": f'id,text,images\na, "hello, world","{URL}"\n',
    "lines of blanks and of commas": f'id,text,images\n,,\n   \n,\n,,,,\na,"hello, world",{URL}\n\n',
    "a header of quoted names after blanks": f'"id", "text", "images"\na,"hello, world",{URL}\n',
    "old Mac line ends": f'id,text,images\ra,"hello, world",{URL}\r',
}


@pytest.fixture
def manifest(tmp_path: Path) -> Reading:
    return reading_in(tmp_path)


@pytest.mark.parametrize("how", READ_AS_MEANT)
def test_a_table_is_read_as_it_is_meant(manifest: Reading, how: str) -> None:
    row = manifest(READ_AS_MEANT[how]).row
    assert (row.row_id, row.input) == ("a", ROW)
    assert READ_AS_MEANT[how].splitlines()[row.line - 1].startswith(("a,", "a;", "a\t", "a^", '"a"'))


def test_commas_in_a_tsv_are_taken_for_what_they_are(manifest: Reading) -> None:
    assert manifest(f'id,text,images\na,"hello, world",{URL}\n', "ads.tsv").row.input == ROW


@pytest.mark.parametrize("text", ["“so” she said", "  padded", "a “b” c", "„so“", 'she said "so"', " x ", "5 o'clock"])
def test_texts_that_were_right_are_sent_as_ever(manifest: Reading, text: str) -> None:
    quoted = text.replace('"', '""')
    assert manifest(f'id,text,images\na,"{quoted}",{URL}\n').row.input["text"] == text
    if '"' not in text:
        assert manifest(f"id,text,images\na,{text},{URL}\n").row.input["text"] == text
    mixed = manifest(f'id,text,images\na,"{quoted}", "{URL}"\n')  # beside a cell that is mended
    assert mixed.row.input["text"] == text


TOLD = {
    "smart quotes": (f"id,text,images\na,“hello, world”,{URL}\n", 'write " around a text'),
    "German smart quotes": (f"id;text;images\na;„hello; world“;{URL}\n", "are not the quotes of a CSV"),
    "smart quotes that happen to fit": (f"id,text,images,seed\na,“hello, world”,{URL}\n", "are not the quotes"),
    "bars": (f"id|text|images\na|x|{URL}\n", "the columns look separated by |; save the file with commas"),
    "a cell in a column without a name": (f"id,text,images,\na,x,{URL},lost\n", "column 4 has no name"),
    "cells left out at the end": ("id,text,seed,images\na,x\n", "leave out empty cells at the end of a row"),
    "a title above the header": (f"Table 1\nid,text,images\na,x,{URL}\n", "delete a title that stands above it"),
    "a title that is padded": (f"Table 1,,\nid,text,images\na,x,{URL}\n", "delete the title that stands above them"),
    "too many fields": (f"id;text;images\na;x;y;{URL}\n", "put quotes around a text that holds a semicolon"),
    "a decimal comma": (f"id;text;images;seed\na;x;{URL};7,0\n", "write 7.0"),
    "a column twice": (f"id,text,images,text\na,x,{URL},y\n", "two columns are called 'text'"),
    "another alphabet": (f"id,text,images\na,caf\xe9,{URL}\n".encode("cp1252"), "byte 0xE9 is not UTF-8"),
    "a workbook": (b"PK\x03\x04\x14\x00\x06\x00", "this is an Excel workbook"),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save the sheet as CSV UTF-8"),
    "a web page": (b"\n<!DOCTYPE html><html><title>Sign in</title>", "this is a web page"),
    "a table of markup alone": (b"<table><tr><td>id</td></tr></table>", "another document in markup"),
    "JSON in one line": (f'[{{"id":"a","text":"x","images":["{URL}"]}}]', "let its name end in .jsonl"),
    "JSON in many lines": (f'[\n  {{\n    "id": "a",\n    "images": ["{URL}"]\n  }}\n]\n', "this is JSON, not a table"),
    "markup": (b'\xef\xbb\xbf<?xml version="1.0"?><Workbook>', "download the file itself"),
    "UTF-16": ("id\ttext\n".encode("utf-16"), "save it as UTF-8"),
    "a compressed file": (gzip.compress(b"id,text"), "unpack it first"),
    "a PDF": (b"%PDF-1.7", "a document, not a table"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "a picture, not a manifest"),
}


@pytest.mark.parametrize("what", TOLD)
def test_what_cannot_be_read_as_meant_is_one_problem_that_says_what_it_is(manifest: Reading, what: str) -> None:
    text, said = TOLD[what]
    found = manifest(text)
    assert len(in_short(found.problems)) == 1
    assert said in found.said
    assert not found.rows or found.problems[0].line == 1


def test_one_column_that_is_padded_is_no_title(manifest: Reading) -> None:
    model = "blackforestlabs/flux-2/flash/text-to-image"
    assert manifest('prompt,,\n"a cat, sitting",,\n', model=model).row.input["prompt"] == "a cat, sitting"


@pytest.mark.parametrize("name", ["sheet.xlsx", "sheet.ods", "sheet.numbers"])
def test_a_workbook_by_its_own_name_is_told_how_to_save_it(manifest: Reading, name: str) -> None:
    content = io.BytesIO()
    zipfile.ZipFile(content, "w").close()
    assert "CSV UTF-8" in manifest(b"PK\x03\x04", name).said


def test_a_cell_without_a_column_is_told_once_and_not_for_each_row(manifest: Reading) -> None:
    found = manifest("id,text,images,\n" + f"a,x,{URL},lost\n" * 3)
    assert found.said.count("column 4 has no name") == 1


PRETTY = json.dumps([{"id": "a", **ROW}, {"id": "b", **ROW}], indent=2)


@pytest.mark.parametrize("name", ["ads.json", "ads.jsonl", "ads.ndjson"])
@pytest.mark.parametrize(
    "text", [PRETTY, json.dumps(json.loads(PRETTY)), "\ufeff\n" + PRETTY + "\n\n", PRETTY.replace("\n", "\r\n")]
)
def test_an_array_of_objects_is_rows(manifest: Reading, name: str, text: str) -> None:
    found = manifest(text, name)
    assert not found.problems, found.said
    assert [(row.row_id, row.input) for row in found.rows] == [("a", ROW), ("b", ROW)]


def test_rows_of_an_array_stand_at_the_lines_they_begin_in(manifest: Reading) -> None:
    assert [row.line for row in manifest(PRETTY, "ads.json").rows] == [2, 9]


@pytest.mark.parametrize("name", ["ads.json", "ads.jsonl", "ads.ndjson"])
def test_lines_of_objects_are_rows_whatever_the_suffix(manifest: Reading, name: str) -> None:
    text = "\n".join(json.dumps(row) for row in json.loads(PRETTY))
    assert [row.line for row in manifest(text, name).rows] == [1, 2]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[{"text": "x"},\n{"text": }]', 2, "this is not JSON"),
        ('[{"text": "x"}\n{"text": "y"}]', 2, "a comma or the end of the array is expected here"),
        ('[\n{"text": "x"}', 2, "a comma or the end of the array is expected here"),
        ('[{"text": "x"}]\n[', 2, "something follows the end of the array"),
        ('[\n{"text": 1, "text": 2}]', 2, "stands twice"),
        ('[{"seed": Infinity}]', 1, "no number that can be sent"),
        ("[\n1]", 2, "each row is one JSON object"),
        ("[]", None, "the manifest has no rows"),
        ("[" * 100_000, 1, "nested too deeply"),
        ('{\n"rows": []}', 1, "in an array, [{...}, {...}]"),
    ],
)
def test_json_that_is_no_rows_is_told_at_its_line(manifest: Reading, text: str, line: int | None, said: str) -> None:
    found = manifest(text, "ads.json")
    assert found.problems[0].line == line, found.said
    assert said in found.problems[0].message


def test_a_long_array_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    with path.open("w") as file:
        file.write("[")
        for number in range(60_000):
            file.write(("," if number else "") + json.dumps({"id": str(number), "text": "x" * 200}, indent=1))
        file.write("]")
    tracemalloc.start()
    try:
        found = read_jsonl(path, RecordDigests()).records
        assert sum(isinstance(record, Record) for record in found) == 60_000
        assert tracemalloc.get_traced_memory()[1] < 8_000_000  # the file has 14 MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text", ['{{"text": "x", "images": ["{0}"], "seed": NaN}}', '[{{"text": "x", "images": ["{0}"], "seed": NaN}}]']
)
def test_nan_is_no_value(manifest: Reading, text: str) -> None:
    assert manifest(text.format(URL), "ads.jsonl").row.input == {"text": "x", "images": [URL]}


def test_nan_where_a_value_is_required_is_a_missing_value_and_infinity_is_told(manifest: Reading) -> None:
    found = manifest(
        f'{{"text": NaN, "images": ["{URL}"]}}\n{{"text": "x", "images": ["{URL}"], "seed": -Infinity}}', "a.jsonl"
    )
    assert [problem.line for problem in found.problems] == [1, 2]
    assert "'text' is required and missing" in found.problems[0].message
    assert "-Infinity is no number" in found.problems[1].message


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("#REF!", "an error of the spreadsheet"),
        ("#NAME?", "an error of the spreadsheet"),
        ("#N/A", "an error of the spreadsheet"),
        ("#DIV/0!", "an error of the spreadsheet"),
        ("#SPILL!", "an error of the spreadsheet"),
        ("#NUM! ", "an error of the spreadsheet"),
        ("#BEZUG!", "an error of the spreadsheet"),
        ("#ÜBERLAUF!", "an error of the spreadsheet"),
        ("#NV", "an error of the spreadsheet"),
        ("#¿NOMBRE?", "an error of the spreadsheet"),
        ("#DEL/0!", "an error of the spreadsheet"),
        ("#ССЫЛКА!", "an error of the spreadsheet"),
        ("Err:502", "an error of the spreadsheet"),
        ("Loading...", "export again when it has"),
        ("########", "too narrow"),
        ('=CONCAT(A1,"x")', "a formula, not its result"),
        ('="a "&B2', "a formula"),
        ("=A1", "a formula"),
        ("=$B$2&C3", "a formula"),
        ("=Sheet2!A1", "a formula"),
        ("=-SUM(A1:A3)", "a formula"),
    ],
)
@pytest.mark.parametrize("name", ["ads.csv", "ads.jsonl"])
def test_what_a_spreadsheet_could_not_compute_is_no_text(manifest: Reading, cell: str, said: str, name: str) -> None:
    quoted = cell.replace('"', '""')
    as_csv = f'id,text,images\na,"{quoted}",{URL}\n'
    found = manifest(as_csv if name == "ads.csv" else json.dumps({"id": "a", "text": cell, "images": [URL]}), name)
    (problem,) = found.problems
    assert (problem.column, problem.row, problem.path) == ("text", "a", "$.text")
    assert said in problem.message


def test_an_error_where_a_picture_or_a_number_belongs_is_told_as_what_it_is(manifest: Reading) -> None:
    found = manifest("text,images,seed\nx,#REF!,#VALUE!\n")
    assert sorted(found.places, key=str) == [(2, "images"), (2, "seed")]
    assert found.said.count("an error of the spreadsheet") == 2


@pytest.mark.parametrize(
    "text",
    [
        "#4 at dusk",
        "# a title",
        "#red",
        "#Red!",
        "#1!",
        "#NVIDIA",
        "= equals",
        "==",
        "=)",
        "Loading dock at dawn",
        "Err: what",
        "-",
        "+1",
        "@home",
    ],
)
def test_texts_that_only_look_a_little_like_it_are_sent(manifest: Reading, text: str) -> None:
    assert manifest(f"text,images\n{text},{URL}\n").row.input["text"] == text


@pytest.mark.parametrize(("cell", "said"), [("7,5", "write 7.5"), ("0,25", "write 0.25"), ("1,000", "write 1000")])
def test_a_number_with_a_comma_is_answered_with_the_number_that_is_meant(
    manifest: Reading, cell: str, said: str
) -> None:
    assert said in manifest(f'text,images,seed\nx,{URL},"{cell}"\n').said


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ("ID,Model,Text,Images", ["id", "model", "text", "images"]),
        ("id,Prompt,Image URL", ["text", "images"]),
        ("id,caption,photo", ["text", "images"]),
        ("ID,TEXT,IMAGES,Size,Count", ["id", "text", "images", "image_size", "sequential_image_generation_options"]),
        ("id,Notes,text,images", ["note"]),
    ],
)
def test_columns_that_are_called_otherwise_are_each_told_what_was_meant_and_nothing_else(
    manifest: Reading, header: str, meant: list[str]
) -> None:
    found = manifest(f"{header}\n" + ",".join(["a", SEED, "hello", URL, "1"][: header.count(",") + 1]) + "\n")
    assert [line for line, _ in found.places] == [1] * len(meant), found.said
    assert [problem.message.partition("did you mean ")[2].partition("?")[0] for problem in found.problems] == [
        repr(name) for name in meant
    ]
