"""YAML manifests: what they can say, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from batchgen.manifest import sources
from tests.manifest.reading import SEED, Reading, reading_in

URL = "https://example.com/a.png"
HEAD = f"model: {SEED}\n"


@pytest.fixture
def manifest(tmp_path: Path) -> Reading:
    return reading_in(tmp_path)


def test_the_example_of_the_contract_makes_a_row_of_every_combination(manifest: Reading, tmp_path: Path) -> None:
    (tmp_path / "subjects.csv").write_text(f"id,subject,images\ncat,a cat,{URL}\n")
    found = manifest(
        HEAD
        + f"""
defaults: {{image_size: "2048:2048 (1:1)", sequential_image_generation_options: 3}}
rows_from: subjects.csv
matrix: {{style: [watercolour, oil], seed: [1, 2, 3]}}
template: {{text: "Generate 3 images of {{{{ subject }}}}, {{{{ style }}}} style"}}
rows:
  - {{id: dune, subject: a dune at dusk, images: ["{URL}"]}}
""",
        "ads.yaml",
    )
    assert not found.problems, found.said
    assert [row.row_id for row in found.rows[5:8]] == ["cat-oil-3", "dune-watercolour-1", "dune-watercolour-2"]
    last = found.rows[-1]
    assert last.input == {
        "image_size": "2048:2048 (1:1)",
        "sequential_image_generation_options": 3,
        "images": [URL],
        "seed": 3,
        "text": "Generate 3 images of a dune at dusk, oil style",
    }
    assert last.meta == {"subject": "a dune at dusk", "style": "oil"}
    assert sources(tmp_path / "ads.yaml") == [tmp_path / "ads.yaml", tmp_path / "subjects.csv"]


@pytest.mark.parametrize("text", ["yes", "007", "1.50", "12:30", "2024-01-01", "null_", "0x1F", "~/a", "'null'"])
def test_plain_words_stay_as_they_are_written(manifest: Reading, text: str) -> None:
    row = manifest(f"{HEAD}rows:\n  - {{text: {text}, images: ['{URL}'], seed: 007}}\n", "ads.yaml").row
    assert row.input == {"text": text.strip("'"), "images": [URL], "seed": 7}


def test_null_takes_a_default_away(manifest: Reading) -> None:
    text = f"{HEAD}defaults: {{seed: 7}}\nrows:\n  - {{text: x, images: ['{URL}'], seed: null}}\n"
    assert "seed" not in manifest(text, "ads.yaml").row.input


def test_a_problem_stands_at_the_line_of_its_key(manifest: Reading) -> None:
    text = f"{HEAD}rows:\n  - id: one\n    text: |\n      a\n      b\n    images: ['{URL}']\n    sed: 1\n    seed: x\n"
    found = manifest(text, "ads.yaml")
    assert found.places == [(8, "sed"), (9, "seed")]
    assert {problem.row for problem in found.problems} == {"one"}


def test_a_fault_of_all_rows_stands_where_it_is_written(manifest: Reading) -> None:
    text = f"{HEAD}defaults:\n  seed: x\nmatrix:\n  image_size: [square]\nrows:\n  - {{text: x, images: ['{URL}']}}\n"
    assert sorted(manifest(text, "ads.yaml").places) == [(3, "seed"), (5, "image_size")]


def test_a_fault_of_a_row_is_told_once_and_not_for_each_combination(manifest: Reading) -> None:
    text = f"{HEAD}matrix: {{style: [a, b, c]}}\nrows:\n  - {{id: q, text: x, images: ['{URL}'], seed: x}}\n"
    assert manifest(text, "ads.yaml").places == [(2, "style"), (4, "seed")], "the first is told of as used nowhere"


def test_columns_of_a_table_can_be_called_otherwise(manifest: Reading, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "shop.csv").write_text("Product,Photo\nmug,mug.png\n")
    (tmp_path / "in" / "mug.png").write_bytes(b"x")
    head = f"{HEAD}rows_from: in/shop.csv\ncolumns: {{Product: text, Photo: images}}\n"
    row = manifest(head, "ads.yaml").row
    assert row.input == {"text": "mug", "images": ["mug.png"]}
    assert row.files[0].path == str(tmp_path / "in" / "mug.png")
    assert manifest(head.replace("Photo:", "Foto:"), "ads.yaml").places[0] == (3, "Foto")


def test_paths_are_relative_to_the_file_they_are_written_in(manifest: Reading, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "shop.csv").write_text("text,id\nmug,a\n")
    (tmp_path / "mug.png").write_bytes(b"x")
    row = manifest(f"{HEAD}rows_from: in/shop.csv\ndefaults: {{images: [mug.png]}}\n", "ads.yaml").row
    assert row.files[0].path == str(tmp_path / "mug.png")


def test_a_row_that_would_lose_its_own_text_to_a_template_is_a_problem(manifest: Reading) -> None:
    row = f"rows:\n  - {{text: mine, images: ['{URL}'], subject: x}}\n"
    found = manifest(f"{HEAD}template: {{text: 'a {{{{ subject }}}}'}}\n{row}", "ads.yaml")
    assert found.places == [(4, "text")]
    assert "would be lost" in found.said
    found = manifest(f"{HEAD}template: {{text: '{{{{ text }}}}, {{{{ subject }}}}'}}\n{row}", "ads.yaml")
    assert found.row.input["text"] == "mine, x"


def test_a_template_may_write_the_id_and_a_list(manifest: Reading) -> None:
    text = f"""{HEAD}
matrix: {{n: [1, 2]}}
template: {{id: "shot-{{{{ n }}}}", images: ["https://e.com/{{{{ n }}}}.png"]}}
rows: [{{text: x}}]
"""
    rows = manifest(text, "ads.yaml").rows
    assert [row.row_id for row in rows] == ["shot-1", "shot-2"]
    assert rows[1].input["images"] == ["https://e.com/2.png"]


def test_a_name_no_row_has_is_told_at_the_row_with_what_was_meant(manifest: Reading) -> None:
    text = f"{HEAD}template: {{text: '{{{{ subject }}}}'}}\nrows:\n  - {{subjct: x, images: ['{URL}']}}\n"
    found = manifest(text, "ads.yaml")
    assert found.places == [(4, "subject"), (4, "subjct")]
    assert found.said.count("did you mean") == 2


def test_a_matrix_alone_is_a_manifest(manifest: Reading) -> None:
    found = manifest(f"{HEAD}matrix: {{seed: [1, 2], text: [x], images: [['{URL}']]}}\n", "ads.yaml")
    assert [row.input["seed"] for row in found.rows] == [1, 2]


def test_a_list_of_the_matrix_that_changes_no_request_is_warned_of(manifest: Reading) -> None:
    """Each of its values is paid for."""
    rows = f"rows:\n  - {{text: x, images: ['{URL}']}}\n"
    found = manifest(f"{HEAD}matrix: {{sead: [1, 2, 3]}}\n{rows}", "ads.yaml")
    (problem,) = found.problems
    assert (problem.severity, problem.line, problem.column) == ("warning", 2, "sead")
    assert "3 equal requests, and each is paid for" in problem.message
    assert "did you mean 'seed'?" in problem.message
    used = f"rows:\n  - {{images: ['{URL}']}}\n"
    template = "template: {text: 'a {{ colour }} cat'}\n"
    assert not manifest(f"{HEAD}matrix: {{seed: [1, 2], colour: [red, blue]}}\n{template}{used}", "ads.yaml").problems
    assert not manifest(f"{HEAD}matrix: {{series: [spring]}}\n{rows}", "ads.yaml").problems


def test_an_anchor_may_be_used_again(manifest: Reading) -> None:
    text = f"{HEAD}defaults: {{images: &refs ['{URL}']}}\nrows:\n  - {{text: x, images: *refs}}\n"
    assert manifest(text, "ads.yaml").row.input["images"] == [URL]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
REFUSED: dict[str, tuple[str, int, str]] = {
    "a key twice": (f"{HEAD}rows:\n  - {{text: x, text: y, images: ['{URL}']}}\n", 3, "'text' stands twice"),
    "a key of the top twice": (f"{HEAD}model: x\nrows: [{{text: x, images: ['{URL}']}}]\n", 2, "stands twice"),
    "a python tag": (f"{HEAD}rows:\n  - {{text: !!python/object/apply:os.system [id]}}\n", 3, "the tag"),
    "any tag": (f"{HEAD}rows:\n  - text: x\n    images: ['{URL}']\n    seed: !!int 7\n", 5, "the tag"),
    "an alias bomb": (HEAD + BOMB + "rows: [{text: x}]\n", 6, "more than 20000 values, aliases counted"),
    "deep nesting": (f"{HEAD}\nrows: {'[' * 500}{']' * 500}\n", 3, "nested more than 20 deep"),
    "a merge key": (f"{HEAD}rows:\n  - <<: {{text: x}}\n    images: ['{URL}']\n", 3, "merge keys"),
    "an alias without anchor": (f"{HEAD}rows:\n  - text: *none\n", 3, "no anchor &none"),
    "an anchor inside itself": (f"{HEAD}rows:\n  - &a {{text: x, images: [*a]}}\n", 3, "no anchor &a"),
    "no YAML": (f"{HEAD}rows:\n  - text: 'x\n", 3, "not YAML"),
    "two documents": (f"{HEAD}rows: [{{text: x, images: ['{URL}']}}]\n---\n{HEAD}", 3, "second document"),
    "a list": ("- a\n", 1, "a manifest is a mapping"),
    "an unknown key": (f"{HEAD}row: []\nrows: [{{text: x, images: ['{URL}']}}]\n", 2, "did you mean 'rows'"),
    "a row that is text": (f"{HEAD}rows:\n  - a dune\n", 3, "a row is field: value pairs"),
    "rows that are no list": (f"{HEAD}rows: {{text: x}}\n", 2, "a list of rows"),
    "an id for all": (f"{HEAD}defaults: {{id: x}}\nrows: [{{text: x, images: ['{URL}']}}]\n", 2, "one row's own"),
    "an empty axis": (f"{HEAD}matrix: {{seed: []}}\nrows: [{{text: x, images: ['{URL}']}}]\n", 2, "list is empty"),
    "an exclude of nothing": (
        f"{HEAD}matrix: {{style: [a, b], exclude: [{{stile: a}}]}}\nrows: [{{text: x, images: ['{URL}']}}]\n",
        2,
        "did you mean 'style'",
    ),
    "a row and the matrix": (
        f"{HEAD}matrix: {{seed: [1]}}\nrows:\n  - {{text: x, images: ['{URL}'], seed: 1}}\n",
        4,
        "by this row and by the matrix",
    ),
    "a broken template": (f"{HEAD}template: {{text: '{{{{ x'}}\nrows: [{{images: ['{URL}']}}]\n", 2, "cannot be read"),
    "a missing table": (f"{HEAD}rows_from: none.csv\n", 0, "no such file"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_a_manifest_must_not_say_is_refused_with_its_line(manifest: Reading, kind: str) -> None:
    text, line, said = REFUSED[kind]
    started = time.process_time()
    found = manifest(text, "ads.yaml")
    assert said in found.said
    assert line in [problem.line or 0 for problem in found.problems], found.said
    assert time.process_time() - started < 5


def test_bytes_of_another_encoding_are_told_with_their_line(manifest: Reading) -> None:
    found = manifest(f"{HEAD}rows:\n  - text: caf".encode() + b"\xe9\n", "ads.yaml")
    assert found.places == [(3, None)], found.said
    assert "0xE9 is not UTF-8" in found.said


TEMPLATE = "template: {{text: '{0}'}}\nrows_from: shop.csv\n"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ subject }}{{ style }}", "a cat"),
        ("{{ subject }}{% if style %} in {{ style }}{% endif %}", "a cat"),
        ("{{ subject }}{{ style|upper }}", "a cat"),
        ('{{ subject }} {{ style|default("oil") }}', "a cat oil"),
        ("{{ subject }}{% if style is defined %} in {{ style }}{% endif %}", "a cat"),
        ("{{ subject ~ style }}", "a cat"),
        ("{{ subject }}{{ style }} {{ meta.client }}", "a cat "),
        ('{{ subject }}{{ style }} for {{ meta.client|default("all") }}', "a cat for all"),
        ('{{ subject if style == "" else style }}', "a cat"),
    ],
)
def test_an_empty_cell_is_empty_in_a_template_and_not_unknown(
    manifest: Reading, tmp_path: Path, template: str, text: str
) -> None:
    (tmp_path / "shop.csv").write_text(f"subject,style,meta.client,images\na cat,,,{URL}\na dog,oil,Ada,{URL}\n")
    found = manifest(HEAD + TEMPLATE.format(template), "ads.yaml")
    assert not found.problems, found.said
    assert found.rows[0].input["text"] == text
    lines = "\n".join(f'{{"subject": "a cat", "style": {cell}, "images": "{URL}"}}' for cell in ("null", '""'))
    (tmp_path / "shop.jsonl").write_text(lines)
    if "meta" not in template:
        of_lines = manifest(HEAD + TEMPLATE.format(template).replace(".csv", ".jsonl"), "ads.yaml")
        assert of_lines.rows[0].input["text"] == text, of_lines.said


def test_a_name_that_is_no_column_stays_unknown(manifest: Reading, tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(f"subject,style,images\na cat,,{URL}\n")
    found = manifest(HEAD + TEMPLATE.format("{{ subject }} {{ stile }}"), "ads.yaml")
    assert "uses 'stile', which this row does not have" in found.said


def test_a_template_of_empty_cells_alone_leaves_its_field_out(manifest: Reading, tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(f"first,second,size,text\n{URL},,,x\n,,,y\n")
    head = "rows_from: shop.csv\ntemplate: {images: ['{{ first }}', '{{ second }}'], image_size: '{{ size }}'}\n"
    found = manifest(HEAD + head, "ads.yaml")
    assert [row.input for row in found.rows] == [{"text": "x", "images": [URL]}]
    assert "'images' is required and missing" in found.said


@pytest.mark.parametrize(
    ("value", "lost"),
    [
        ("a dune #4 at dusk, style #red", "#4 at dusk, style #red"),
        ("a dune\n      at dusk #golden", "#golden"),
        ("a caf\u00e9 #1", "#1"),
    ],
)
def test_text_that_yaml_takes_for_a_comment_is_warned_of_at_its_line(manifest: Reading, value: str, lost: str) -> None:
    found = manifest(f"{HEAD}rows:\n  - id: a\n    text: {value}\n    images: ['{URL}']\n", "ads.yaml")
    (problem,) = found.problems
    assert (problem.severity, problem.line) == ("warning", 4)
    assert f"{lost!r} is a comment in YAML and is not sent; put the whole text in quotes" in problem.message
    assert len(found.rows) == 1


def test_lost_text_is_seen_in_flows_defaults_and_templates_too(manifest: Reading) -> None:
    head = f"{HEAD}defaults:\n  seed: 7 #lucky\nmatrix:\n  style: [oil, ink #2\n    ]\n"
    text = "template:\n  text: in {{ style }} #so\n"
    found = manifest(f"{head}{text}rows: [{{images: ['{URL}']}}]\n", "ads.yaml")
    assert [problem.line for problem in found.problems] == [3, 5, 8]
    assert {problem.severity for problem in found.problems} == {"warning"}


@pytest.mark.parametrize(
    "text",
    [
        "a dune  # the good one",
        "'a dune #4'",
        '"a dune #4"',
        "a dune#4",
        "a dune ## ours",
        "|\n      a dune #4",
        ">-\n      a #4",
    ],
)
def test_comments_as_people_write_them_and_texts_in_quotes_are_not_warned_of(manifest: Reading, text: str) -> None:
    found = manifest(f"{HEAD}rows:\n  - id: a\n    text: {text}\n    images: ['{URL}']\n", "ads.yaml")
    assert not found.problems, found.said


@pytest.mark.parametrize("sign", ["\x7f", "\x01", "\x9b", "\x1b"])
def test_a_control_character_is_told_with_its_line(manifest: Reading, sign: str) -> None:
    found = manifest(f'{HEAD}rows:\n  - {{id: a, text: "hi{sign}"}}\n', "ads.yaml")
    assert [problem.line for problem in found.problems] == [3]
    assert f"U+{ord(sign):04X} stands in this line; delete it" in found.said
