"""Model schemas: what each shipped model accepts and refuses, and what the catalogue gets wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.core.row import Row, canonical
from batchgen.core.suggest import nearest
from batchgen.manifest import read
from batchgen.models import (
    Fault,
    MediaField,
    ModelSchema,
    ModelUnknown,
    SchemaCache,
    from_catalogue_entry,
    init,
    shipped,
    shipped_model_ids,
)
from batchgen.models.cache import cache_folder
from batchgen.models.standard import standard

SEED = "bytedance/seedream-4-0/edit-sequential"
URL = "https://example.com/a.png"
INTEGER = {"type": "integer"}


def model(properties: dict[str, Any], **more: Any) -> ModelSchema:
    """A model of the given fields."""
    return ModelSchema("a/b", {"type": "object", "properties": properties, **more})


def known(model_id: str) -> ModelSchema:
    schema = shipped(model_id)
    assert schema is not None
    return schema


def valid_cell(field: dict[str, Any]) -> Any:
    """A cell that fits *field*, as a manifest would write it."""
    if "enum" in field:
        return str(field["enum"][-1])
    match field.get("type"):
        case "array":
            return "|".join([URL] * max(1, field.get("minItems", 1)))
        case "integer":
            return str(field.get("minimum", 7))
        case "number" | "float":
            return str(field.get("maximum", 0.5))
        case "boolean":
            return "yes"
    return URL if "uri" in field.get("format", "") else "a dune"


def faulty_cells(field: dict[str, Any]) -> Iterator[str]:
    """Every cell that breaks one rule of *field*."""
    if "enum" in field:
        yield "no such choice"
    if field.get("type") in ("integer", "number", "float", "boolean"):
        yield "12a"
    if "minimum" in field:
        yield str(field["minimum"] - 1)
    if "maximum" in field:
        yield str(field["maximum"] + 1)
    if "maxLength" in field:
        yield "x" * (field["maxLength"] + 1)
    if field.get("minItems"):
        yield "[]"
    if "maxItems" in field:
        yield "|".join([URL] * (field["maxItems"] + 1))


@pytest.mark.parametrize("model_id", shipped_model_ids())
def test_every_shipped_model_takes_a_full_row_and_refuses_each_fault_at_its_path(model_id: str) -> None:
    schema = known(model_id)
    cells = {name: valid_cell(dict(field)) for name, field in schema.fields.items()}
    typed_input, faults = schema.checked(cells)
    assert faults == []
    assert schema.faults(typed_input) == []
    for name, field in schema.fields.items():
        for cell in faulty_cells(dict(field)):
            _, faults = schema.checked({**cells, name: cell})
            assert [fault.path for fault in faults] == [f"$.{name}"], (name, cell, faults)
    for name in schema.required:
        _, faults = schema.checked({key: cell for key, cell in cells.items() if key != name})
        assert [(fault.path, fault.rule) for fault in faults] == [(f"$.{name}", "required")]
    _, faults = schema.checked({**cells, "no_such_field": "1"})
    assert [(fault.path, fault.rule) for fault in faults] == [("$.no_such_field", "unknown field")]


def test_nothing_is_filled_in_where_a_schema_has_a_default() -> None:
    assert known(SEED).checked({"images": URL, "text": "x"})[0] == {"images": [URL], "text": "x"}


def test_the_examples_own_empty_list_of_images_is_refused() -> None:
    faults = known(SEED).faults({"images": [], "text": "Generate 3 images of a beautiful sunset"})
    assert faults == [Fault("$.images", "the list is empty; give at least 1")]


@pytest.mark.parametrize(
    ("field", "cell", "typed"),
    [
        ({"type": "string"}, "007", "007"),
        ({"type": "string"}, " x ", " x "),
        ({"type": "string"}, 7.0, "7"),
        ({"type": "string", "format": "image_uri"}, f" {URL} ", URL),
        ({"type": "integer"}, "007", 7),
        ({"type": "integer"}, " -7.0 ", -7),
        ({"type": "integer"}, "1e3", 1000),
        ({"type": "float"}, "2.50", 2.5),
        ({"type": "number"}, "3", 3),
        ({"type": "boolean"}, "No", False),
        ({"type": ["string", "null"]}, "x", "x"),
        ({"type": "array", "format": "image_uris"}, "a|b", ["a", "b"]),
        ({"type": "array", "items": {"type": "integer"}}, "[1, 2.0]", [1, 2]),
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, '{"n": "7", "m": 1.5}', {"n": 7, "m": 1.5}),
        (
            {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
            [{"n": "7"}],
            [{"n": 7}],
        ),
        ({"enum": [5, 10]}, "5", 5),
        ({"type": "string", "enum": ["5", "10"]}, "5", "5"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "x7", "x7"),
        ({}, "7", "7"),
    ],
)
def test_a_cell_becomes_what_its_field_wants(field: dict[str, Any], cell: Any, typed: Any) -> None:
    got, faults = model({"f": field}).checked({"f": cell})
    assert faults == []
    assert got == {"f": typed}
    assert type(got["f"]) is type(typed)


@pytest.mark.parametrize("cell", ["", " ", "x", "1_0", "1,5", "٣", "1.5", "1e99999999999", "inf", "nan", "0x10", "--1"])
def test_what_is_no_whole_number_is_refused(cell: str) -> None:
    assert [fault.path for fault in model({"f": {"type": "integer"}}).checked({"f": cell})[1]] == ["$.f"]


def test_a_demand_for_a_field_that_is_not_there_cannot_be_kept_and_is_told() -> None:
    schema = model({"images": {"type": "array"}, "prompt": {"type": "string"}}, required=["image_urls", "prompt"])
    assert schema.checked({"prompt": "x"})[1] == []
    (oddity,) = schema.oddities
    assert "did you mean 'images'" in oddity


def test_required_means_required_whatever_the_default() -> None:
    schema = model({"prompt": {"type": "string", "default": ""}}, required=["prompt"])
    assert [fault.path for fault in schema.checked({})[1]] == ["$.prompt"]
    assert [fault.path for fault in schema.checked({"prompt": None})[1]] == ["$.prompt"]


@pytest.mark.parametrize(
    ("model_id", "media"),
    [
        (SEED, {"images": MediaField("image", many=True)}),
        ("bytedance/seedream-5.0-pro/image-to-image", {"image": MediaField("image", many=True)}),
        ("runwayml/runway-aleph-2/video-to-video", {"video_url": MediaField("video", many=False)}),
    ],
)
def test_fields_that_hold_addresses_are_known_by_their_format(model_id: str, media: dict[str, MediaField]) -> None:
    assert known(model_id).media_fields == media


def test_the_outputs_asked_are_the_count_or_what_it_may_come_to() -> None:
    assert known(SEED).outputs_asked({"sequential_image_generation_options": 7}) == 7
    assert known(SEED).outputs_asked({}) == 3
    assert model({"num_images": {"type": "integer", "default": None, "maximum": 4}}).outputs_asked({}) == 4
    assert model({"max_images": {"type": "string", "enum": ["1", "2"], "default": "2"}}).outputs_asked({}) == 2
    assert model({"prompt": {"type": "string"}}).outputs_asked({}) == 1


def test_a_catalogue_entry_brings_its_price() -> None:
    entry = {"model_id": "a/b", "input_schema": {"properties": {}}, "base_price_usd": 0.035, "price_unit": "image"}
    schema = from_catalogue_entry(entry)
    assert (schema.base_price_usd, schema.price_unit) == (Decimal("0.035"), "image")
    assert from_catalogue_entry({**entry, "base_price_usd": None}).base_price_usd is None
    with pytest.raises(ModelUnknown):
        from_catalogue_entry({"model_id": "a/b"})


def test_a_cache_gives_back_what_it_was_given_for_that_base_with_its_age(tmp_path: Path) -> None:
    cache = SchemaCache(tmp_path, now=lambda: 1000.5)
    entry = {"model_id": "a/b", "input_schema": {"properties": {"x": {"type": "float"}}}, "base_price_usd": "0.1"}
    cache.put("https://one/v1", entry)
    found = cache.get("https://one/v1", "a/b")
    assert found is not None
    assert (found.source, found.fetched_at, found.base_price_usd) == ("cache", 1000.5, Decimal("0.1"))
    assert cache.get("https://two/v1", "a/b") is None
    assert cache.get("https://one/v1", "a/c") is None


def test_a_damaged_cache_is_a_miss_and_one_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    cache = SchemaCache(tmp_path)
    cache.put("base", {"model_id": "a/b", "input_schema": {}})
    (file,) = (tmp_path / "schemas").iterdir()
    file.write_text("{")
    assert cache.get("base", "a/b") is None
    (tmp_path / "file").write_text("")
    SchemaCache(tmp_path / "file").put("base", {"model_id": "a/b", "input_schema": {}})


def test_the_cache_lies_where_the_platform_keeps_such_things(tmp_path: Path) -> None:
    assert cache_folder("linux", {"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "batchgen"
    assert cache_folder("linux", {"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache" / "batchgen"
    assert cache_folder("darwin", {}) == Path.home() / "Library" / "Caches" / "batchgen"
    assert cache_folder("win32", {"LOCALAPPDATA": str(tmp_path)}).is_relative_to(tmp_path)


def test_the_nearest_word_is_the_one_meant() -> None:
    sizes = known(SEED).fields["image_size"]["enum"]
    assert nearest("16:9", sizes) == "2560:1440 (16:9)"
    assert nearest("2560x1440", sizes) == "2560:1440 (16:9)"
    assert nearest("Image-Size", known(SEED).fields) == "image_size"
    assert nearest("zzz", sizes) is None


@pytest.mark.parametrize("model_id", shipped_model_ids())
def test_a_first_manifest_is_valid_once_its_blanks_are_filled(tmp_path: Path, model_id: str) -> None:
    schema = known(model_id)
    text = init(schema)
    for name in schema.required:
        text = text.replace(f"    {name}:  # required", f"    {name}: {valid_cell(dict(schema.fields[name]))}")
    path = tmp_path / "first.yaml"
    path.write_text(text)
    (row,) = read(path, known)
    assert isinstance(row, Row), str(row)


def test_the_offers_of_a_first_manifest_are_valid_when_taken(tmp_path: Path) -> None:
    text = init(known(SEED)).replace("# defaults:", "defaults:").replace("#   ", "  ")
    (tmp_path / "first.yaml").write_text(
        text.replace("images:  # required", f"images: {URL}").replace("text:  #", "text: x #")
    )
    (row,) = read(tmp_path / "first.yaml", known)
    assert isinstance(row, Row), str(row)
    assert row.input["image_size"] == "2560:1440 (16:9)"


def test_a_first_manifest_shows_the_form_of_what_is_nested() -> None:
    element = {"type": "object", "properties": {"url": {"type": "string"}, "weight": {"type": "number"}}}
    element["required"] = ["url"]
    elements = {"type": "array", "title": "Elements", "items": element}
    schema = from_catalogue_entry({"model_id": "a/b", "input_schema": {"properties": {"elements": elements}}})
    text = init(schema)
    assert "# Elements. Each entry has url (required), weight" in text
    assert '#   elements: [{"url": "", "weight": 1}]' in text


SMALL = st.integers(-3, 3)
LENGTH = st.integers(0, 3)
FIELD = st.one_of(
    st.fixed_dictionaries({"type": st.just("integer")}, optional={"minimum": SMALL, "maximum": SMALL}),
    st.fixed_dictionaries({"type": st.sampled_from(["number", "float"])}, optional={"minimum": SMALL}),
    st.fixed_dictionaries({"type": st.just("string")}, optional={"maxLength": LENGTH, "pattern": st.just("a")}),
    st.fixed_dictionaries({"type": st.just("string"), "enum": st.lists(st.sampled_from("a1x"), min_size=1)}),
    st.fixed_dictionaries({"type": st.just("integer"), "enum": st.lists(SMALL, min_size=1)}),
    st.fixed_dictionaries(
        {"type": st.just("array")},
        optional={"minItems": LENGTH, "maxItems": LENGTH, "items": st.just({"type": "string"})},
    ),
    st.fixed_dictionaries({"type": st.just("boolean")}),
    st.just({}),
)
VALUE = st.one_of(
    st.integers(-4, 4),
    st.floats(-4, 4),
    st.booleans(),
    st.text("a1x", max_size=4),
    st.lists(st.sampled_from(["a", 1]), max_size=3),
)


@settings(max_examples=300, deadline=None)
@given(field=FIELD, value=VALUE)
def test_the_quick_test_never_passes_what_the_schema_refuses(field: dict[str, Any], value: Any) -> None:
    schema = model({"f": field}, required=["f"])
    is_valid = jsonschema.Draft202012Validator(standard(schema.input_schema).schema).is_valid({"f": value})
    assert (schema.faults({"f": value}) == []) == is_valid


@settings(max_examples=200, deadline=None)
@given(field=FIELD, value=VALUE)
def test_typing_changes_no_content(field: dict[str, Any], value: Any) -> None:
    typed_input, faults = model({"f": field}).typed({"f": value})
    if not faults and field.get("type") != "boolean" and not isinstance(value, str):
        assert canonical(typed_input["f"]) == canonical(value)


def test_shipped_schemas_are_json_and_named_after_their_model() -> None:
    assert len(shipped_model_ids()) >= 19
    assert shipped("../secret") is None
    assert shipped("no/such") is None
    json.dumps([known(model_id).input_schema for model_id in shipped_model_ids()])
