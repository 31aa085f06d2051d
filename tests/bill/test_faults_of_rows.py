"""Every row against its model's schema, as `plan` and `run` read it: what is right passes, each fault is found."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchgen.core.row import Problem, Row
from batchgen.manifest import read
from batchgen.models import ModelSchema, shipped, shipped_model_ids
from batchgen.models.media_check import MediaCheck
from tests.processes import MODEL, Batchgen, Server, serving

URL = "https://example.com/a.png"
Field = Mapping[str, Any]


def known(model_id: str) -> ModelSchema:
    schema = shipped(model_id)
    assert schema is not None
    return schema


def fitting(field: Field) -> Any:
    """A value that fits *field*, at the edge of its limits where it has some."""
    if "enum" in field:
        return field["enum"][-1]
    match field.get("type"):
        case "array":
            return [URL] * (field.get("maxItems") or max(1, field.get("minItems", 1)))
        case "integer":
            return field.get("maximum", 7)
        case "number" | "float":
            return field.get("minimum", 0.5)
        case "boolean":
            return True
    return URL if "uri" in field.get("format", "") else "x" * min(field.get("maxLength", 20), 5000)


def faulty(field: Field) -> Iterator[tuple[str, Any]]:
    """(the kind of fault, a value with it): every rule of *field*, broken by as little as can be."""
    kind = field.get("type")
    if kind in ("integer", "number", "float", "boolean"):
        yield "type", "12a"
    elif kind == "string" and "enum" not in field:
        yield "type", ["a", "b"]
    elif kind == "array":
        yield "type", {"a": "b"}
    if kind == "integer":
        yield "type", 1.5
    if "enum" in field:
        yield "enum", "no such choice"
    if "minimum" in field:
        yield "minimum", field["minimum"] - 1
    if "maximum" in field:
        yield "maximum", field["maximum"] + 1
    if "maxLength" in field:
        yield "maxLength", "x" * (field["maxLength"] + 1)
    if field.get("minItems"):
        yield "minItems", [URL] * (field["minItems"] - 1)
    if "maxItems" in field:
        yield "maxItems", [URL] * (field["maxItems"] + 1)


def told(folder: Path, rows: Sequence[Mapping[str, Any]], model_id: str) -> tuple[list[Row], list[Problem]]:
    """What reading a manifest of *rows* brings: the rows that are right, and the problems of the others."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({**row, "model": model_id}) + "\n" for row in rows), "utf-8")
    found = list(read(path, known))
    return [one for one in found if isinstance(one, Row)], [one for one in found if isinstance(one, Problem)]


def test_the_nineteen_models_are_shipped() -> None:
    assert len(shipped_model_ids()) >= 19


@pytest.mark.parametrize("model_id", shipped_model_ids())
def test_a_generated_row_of_each_model_passes_and_each_fault_of_each_field_is_found_at_its_path(
    tmp_path: Path, model_id: str
) -> None:
    schema = known(model_id)
    right = {name: fitting(field) for name, field in schema.fields.items()}
    rows: list[Mapping[str, Any]] = [{"id": "right", **right}]
    expected: dict[str, str] = {}
    for name, field in schema.fields.items():
        for number, (kind, value) in enumerate(faulty(field)):
            rows.append({"id": f"{name}-{kind}-{number}", **right, name: value})
            expected[f"{name}-{kind}-{number}"] = f"$.{name}"
    for name in schema.required:
        rows.append({"id": f"{name}-missing", **{key: value for key, value in right.items() if key != name}})
        expected[f"{name}-missing"] = f"$.{name}"
    rows.append({"id": "unknown-key", **right, "no_such_field": "1"})
    expected["unknown-key"] = "$.no_such_field"
    passed, problems = told(tmp_path, rows, model_id)
    assert [row.row_id for row in passed] == ["right"]
    assert {problem.row: (problem.path or "").partition("[")[0] for problem in problems} == expected
    lines = {str(row["id"]): line for line, row in enumerate(rows, 1)}
    assert {problem.row: problem.line for problem in problems} == {row_id: lines[row_id] for row_id in expected}


def ruled_fields() -> list[tuple[str, str, str, float]]:
    """(model, field, rule, bound) of every validation that the shipped models have."""
    return [
        (model_id, name, rule["validation_rule"], rule["validation_value"])
        for model_id in shipped_model_ids()
        for name, field in known(model_id).fields.items()
        for rule in field.get("validations", ())
    ]


def picture(path: Path, width: int, height: int, size_bytes: int = 0) -> Path:
    """A PNG of this many pixels, filled up to *size_bytes* without taking them on disk."""
    content = io.BytesIO()
    Image.new("1", (width, height)).save(content, "PNG")
    path.write_bytes(content.getvalue())
    if size_bytes:
        os.truncate(path, size_bytes)
    return path


def on_both_sides(folder: Path, rule: str, bound: float) -> tuple[Path, Path]:
    """A file just inside the strict limit, and one that is exactly on it or as near beyond it as pixels go."""
    inside = 1 if rule.endswith(">") else -1
    match rule[:-1]:
        case "file_size_mb":
            on = int(bound * 1_000_000)
            return picture(folder / "in.png", 99, 99, on - 1), picture(folder / "on.png", 99, 99, on)
        case "width_pixels":
            return picture(folder / "in.png", int(bound) + inside, 20), picture(folder / "on.png", int(bound), 20)
        case "height_pixels":
            return picture(folder / "in.png", 20, int(bound) + inside), picture(folder / "on.png", 20, int(bound))
        case "width/height":
            high = 2_000 if bound < 1 else 200
            on = round(bound * high)
            return picture(folder / "in.png", on + inside, high), picture(folder / "on.png", on, high)
    raise AssertionError(f"no file is made here for the rule {rule!r}")


@pytest.mark.parametrize(("model_id", "name", "rule", "bound"), ruled_fields())
async def test_each_rule_of_each_model_takes_the_file_inside_its_limit_and_refuses_the_one_on_it(
    tmp_path: Path, model_id: str, name: str, rule: str, bound: float
) -> None:
    schema = known(model_id)
    files = on_both_sides(tmp_path, rule, bound)
    if rule.startswith(("width_", "height_")):  # the file's other side must not break the rule about its shape
        files = square(files[0], rule), square(files[1], rule)
    if schema.media_fields[name].kind == "video":
        for file in files:
            with file.open("r+b") as film:
                film.write(b"\0\0\0\x18ftypmp42")
    many = schema.media_fields[name].many
    base = {key: fitting(schema.fields[key]) for key in schema.required}
    rows = [
        {"id": side, **base, name: [str(file)] if many else str(file)}
        for side, file in zip(("inside", "on-it"), files, strict=True)
    ]
    read_rows, problems = told(tmp_path, rows, model_id)
    assert problems == []
    problems = await MediaCheck(known).problems(read_rows)
    path = f"$.{name}[0]" if many else f"$.{name}"
    assert [(problem.row, problem.path, problem.line) for problem in problems] == [("on-it", path, 2)]
    assert problems[0].severity == "error"


def square(file: Path, rule: str) -> Path:
    """*file* as a picture whose side that *rule* does not speak of is chosen to keep every other rule."""
    with Image.open(file) as image:
        size = image.size
    length = size[0] if rule.startswith("width") else size[1]
    other = max(15, min(length, 5_999))
    return picture(file, length, other) if rule.startswith("width") else picture(file, other, length)


# ── through the command ─────────────────────────────────────────────────────────────────────────────────

COLUMNS = (
    "id", "model", "text", "images", "image_size", "sequential_image_generation_options", "seed", "priority",
    "meta.series",
)  # fmt: skip


def row(number: int, **changed: str) -> list[str]:
    cells = {
        "id": f"row-{number:05d}",
        "model": MODEL,
        "text": f"Generate 2 images of dune {number}",
        "images": URL,
        "image_size": "2048:2048 (1:1)",
        "sequential_image_generation_options": "2",
        "seed": str(number),
        "priority": "0",
        "meta.series": "dunes",
    } | changed
    return [cells[column] for column in COLUMNS]


FAULTS: dict[str, tuple[str, dict[str, str]]] = {
    "a seed that is no number": ("seed", {"seed": "12a"}),
    "a seed with a fraction": ("seed", {"seed": "1.5"}),
    "a count above the choices": ("sequential_image_generation_options", {"sequential_image_generation_options": "16"}),
    "a count below the choices": ("sequential_image_generation_options", {"sequential_image_generation_options": "0"}),
    "a count in words": ("sequential_image_generation_options", {"sequential_image_generation_options": "two"}),
    "a size that is no choice": ("image_size", {"image_size": "16x9"}),
    "an empty list": ("images", {"images": "[]"}),
    "a required list left out": ("images", {"images": ""}),
    "more pictures than allowed": ("images", {"images": "|".join([URL] * 11)}),
    "a list with a hole": ("images", {"images": f"{URL}||{URL}"}),
    "a list that is no JSON": ("images", {"images": f'["{URL}"'}),
    "a local file that is not there": ("images", {"images": "nowhere.png"}),
    "a local file that is too narrow": ("images", {"images": "narrow.png"}),
    "a local file that is no picture": ("images", {"images": "words.png"}),
    "a required text left out": ("text", {"text": ""}),
    "a text that is too long": ("text", {"text": "x" * 100_000}),
    "a priority in words": ("priority", {"priority": "high"}),
    "an id with a slash": ("id", {"id": "a/b"}),
    "an id that Windows keeps": ("id", {"id": "con"}),
    "an id that is used already": ("id", {"id": "ROW-00000"}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as started:
        yield started


@pytest.mark.slow
def test_ten_thousand_rows_with_forty_faults_of_twenty_kinds_are_told_of_exactly_these_and_nothing_is_sent(
    tmp_path: Path, server: Server
) -> None:
    assert len(FAULTS) == 20
    picture(tmp_path / "narrow.png", 14, 20)
    (tmp_path / "words.png").write_text("these are words" * 20)
    chosen = random.Random(7).sample(range(1, 10_000), 40)
    faults = {number: list(FAULTS.values())[place % 20] for place, number in enumerate(chosen)}
    expected: set[tuple[int, str, str]] = set()
    used: set[str] = set()
    manifest = tmp_path / "ads.csv"
    with open(manifest, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for number in range(10_000):
            column, changed = faults.get(number, ("", {}))
            cells = row(number, **changed)
            if cells[0] in used and cells[0] in ("a/b", "con"):
                cells[0] += "/" if cells[0] == "a/b" else ".txt"  # the same fault, under a name of its own
            used.add(cells[0])
            table.writerow(cells)
            if column:
                expected.add((number + 2, column, cells[0]))
    batchgen = Batchgen(tmp_path, server.url)
    before = server.ledger(summary=True)["counters"].get("submit", 0)
    for command in (("plan", manifest, "--json"), ("run", manifest, "--yes", "--json")):
        ended = batchgen(*command)
        assert ended.exit == 2
        problems = ended.json["problems"]
        assert sorted((problem["line"], problem["column"], problem["row"]) for problem in problems) == sorted(expected)
        assert [problem["line"] for problem in problems] == sorted(problem["line"] for problem in problems)
        assert all(problem["file"] == str(manifest) and problem["message"] for problem in problems)
        with_path = [problem for problem in problems if problem["column"] not in ("id", "priority")]
        assert all(problem["path"].startswith(f"$.{problem['column']}") for problem in with_path)
        assert "40 problems in" in ended.stderr
    assert server.ledger(summary=True)["counters"].get("submit", 0) == before
    assert not (tmp_path / "out").exists()


def test_the_providers_own_example_is_refused_for_its_empty_list(tmp_path: Path, server: Server) -> None:
    example = {
        "text": "Generate 3 images of a beautiful sunset",
        "images": [],
        "sequential_image_generation_options": 3,
    }
    manifest = tmp_path / "example.jsonl"
    manifest.write_text(json.dumps({"id": "example", **example}) + "\n")
    ended = Batchgen(tmp_path, server.url)("plan", manifest, "--json")
    (problem,) = ended.json["problems"]
    assert (ended.exit, problem["row"], problem["path"], problem["line"]) == (2, "example", "$.images", 1)
    assert "give at least 1" in problem["message"]
    manifest.write_text(json.dumps({"id": "example", **example, "images": [URL]}) + "\n")
    assert Batchgen(tmp_path, server.url)("plan", manifest).exit == 0
