"""The same request, however it is written, is the same request: re-formatting a manifest never pays twice."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.row import fingerprint, folded, published_input, row_id_fault, without_signature
from tests.manifest.reading import SEED, Reading, reading_in

URL = "https://example.com/a.png"
OTHER = "https://example.com/b.png"


@pytest.fixture
def manifest(tmp_path: Path) -> Reading:
    return reading_in(tmp_path)


def test_csv_yaml_and_json_lines_of_one_content_are_one_request(manifest: Reading) -> None:
    cells = f'"{URL}|{OTHER}"'
    columns = "2048:2048 (1:1),7,x"
    spelled = [
        manifest(f"images,image_size,seed,text\n{cells},{columns}\n"),
        manifest(f'text,seed,image_size,images\nx,007,2048:2048 (1:1),"[""{URL}"", ""{OTHER}""]"\n'),
        manifest(f"images.0,images.1,image_size,seed,text\n{URL},{OTHER},{columns}\n"),
        manifest(f"images\timage_size\tseed\ttext\n{URL}|{OTHER}\t2048:2048 (1:1)\t7.0\tx\n", "ads.tsv"),
        manifest(
            json.dumps({"text": "x", "images": [URL, OTHER], "seed": 7.0, "image_size": "2048:2048 (1:1)"}),
            "ads.jsonl",
        ),
        manifest(
            f"model: {SEED}\ndefaults: {{image_size: '2048:2048 (1:1)'}}\nrows:\n"
            f"  - {{text: x, seed: '7', images: ['{URL}', \"{OTHER}\"]}}\n",
            "ads.yaml",
        ),
        manifest(
            f"model: {SEED}\nmatrix: {{seed: [7]}}\ntemplate: {{text: '{{{{ word }}}}'}}\nrows:\n"
            f"  - {{word: x, images: '{URL}|{OTHER}', image_size: '2048:2048 (1:1)'}}\n",
            "ads.yaml",
        ),
    ]
    assert len({found.row.fingerprint for found in spelled}) == 1


def test_a_url_signed_again_is_the_same_request(manifest: Reading) -> None:
    first = manifest(f"text,images\nx,{URL}?X-Amz-Signature=1&X-Amz-Expires=60\n").row
    again = manifest(f"text,images\nx,{URL}?X-Amz-Signature=2&X-Amz-Expires=90\n").row
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != manifest(f"text,images\nx,{URL}?version=2\n").row.fingerprint


SIGNED = [
    "Policy={0}_&Signature={0}~&Key-Pair-Id=K{0}",
    "q-sign-algorithm=sha1&q-ak=k&q-sign-time={0};2&q-key-time={0};2&q-header-list=&q-url-param-list=&q-signature={0}",
    "X-Obs-Algorithm=a&X-Obs-Credential=c&X-Obs-Date={0}&X-Obs-Expires=60&X-Obs-Signature={0}",
    "hdnts=exp={0}~acl=/*~hmac={0}",
    "__token__=exp={0}~hmac={0}",
    "ex=6700000{0}&is=6600000{0}&hm={0}",
    "token=eyJhbGciOiJIUzI1NiJ9.eyJleHAiOj{0}.c2ln{0}",
]


@pytest.mark.parametrize("query", SIGNED)
def test_every_signature_that_ends_can_be_made_again_without_a_change_of_the_request(query: str) -> None:
    first, again, other = (
        {"text": "x", "images": [f"{URL}?file={file}&{query.format(number)}"]}
        for file, number in (("a", 1), ("a", 2), ("b", 1))
    )
    assert fingerprint(SEED, first) == fingerprint(SEED, again) != fingerprint(SEED, other)
    assert published_input(first) == {"text": "x", "images": [f"{URL}?file=a"]}
    assert fingerprint(SEED, first, version=2) != fingerprint(SEED, again, version=2)  # an older folder keeps its own


@pytest.mark.parametrize("query", ["policy=fair&signature=none", "token=5", "ex=1&is=2", "token=a.b.c", "exp=3&key=4"])
def test_fields_that_are_no_signature_count(query: str) -> None:
    url = f"{URL}?{query}"
    assert without_signature(url) == url


def test_a_local_file_counts_by_its_content_and_not_by_its_name(manifest: Reading, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"dune")
    (tmp_path / "b.png").write_bytes(b"dune")
    (tmp_path / "c.png").write_bytes(b"sea")
    a, b, c = (manifest(f"text,images\nx,{name}.png\n").row for name in "abc")
    assert a.fingerprint == b.fingerprint != c.fingerprint
    assert (a.files[0].pointer, a.files[0].size_bytes) == ("images.0", 4)


def test_every_field_counts(manifest: Reading) -> None:
    plain = manifest(f"text,images\nx,{URL}\n").row.fingerprint
    for cells in ("x,seed,0", "y,seed,", "x,image_size,2048:2048 (1:1)"):
        text, column, cell = cells.split(",")
        assert manifest(f"text,images,{column}\n{text},{URL},{cell}\n").row.fingerprint != plain


def test_what_is_about_the_row_does_not_count(manifest: Reading) -> None:
    plain = manifest(f"text,images\nx,{URL}\n").row.fingerprint
    about = manifest(f"text,images,id,note,priority,meta.client\nx,{URL},one,n,4,Ada\n").row
    assert about.fingerprint == plain


def test_ids_that_a_file_system_confuses_fold_to_one() -> None:
    assert folded("Dune") == folded("dUNE")
    assert folded("caf\u00e9") == folded("cafe\u0301") == folded("CAF\u00c9")
    assert folded("dune") != folded("dune-2")


def test_ids_no_system_can_keep_are_refused_and_common_ones_are_not() -> None:
    for row_id in (
        "",
        " ",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a:b",
        "nul",
        "COM1.png",
        "a.",
        "a ",
        "x" * 201,
        "a\tb",
        "é" * 101,
    ):
        assert row_id_fault(row_id), row_id
    for row_id in ("1", "dune", "a.b", "Ä 7", "console", "com", "x" * 200, "r-0123456789abcdef-2"):
        assert row_id_fault(row_id) is None, row_id


@given(st.text(max_size=12))
def test_an_accepted_id_makes_a_folder(row_id: str) -> None:
    if row_id_fault(row_id) is None:
        assert Path("rows", row_id).parts == ("rows", row_id)
        assert row_id.encode()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_saved_with_other_line_ends_is_the_same_table(manifest: Reading, end: str) -> None:
    text = f'text,images\n"one\ntwo\n",{URL}\n'
    saved = manifest(text.replace("\n", end)).row
    assert saved.fingerprint == manifest(text).row.fingerprint
    assert saved.input["text"] == f"one{end}two{end}"  # it is sent as it is written


def test_letters_composed_otherwise_are_the_same_request_and_the_same_row(manifest: Reading, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"dune")
    composed, apart = (
        manifest(unicodedata.normalize(form, "id,text,images,meta.where\nN\u00fcsse,a caf\u00e9,a.png,\u00dc\n"))
        for form in ("NFC", "NFD")
    )
    assert composed.row.fingerprint == apart.row.fingerprint
    assert composed.row.row_id == apart.row.row_id == "N\u00fcsse"
    assert apart.row.input["text"] == "a cafe\u0301"


def test_a_folder_of_the_first_version_keeps_its_fingerprints() -> None:
    plain = {"text": "a dune", "images": [URL], "seed": 7}
    assert fingerprint(SEED, plain, version=1) == fingerprint(SEED, plain)
    for text in ("one\r\ntwo", "a cafe\u0301"):
        request = {"text": text, "images": [URL]}
        assert fingerprint(SEED, request, version=1) != fingerprint(SEED, request)
    assert fingerprint(SEED, {"text": "a caf\u00e9"}, version=1) == fingerprint(SEED, {"text": "a caf\u00e9"})
