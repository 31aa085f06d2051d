"""Schemas as somebody's catalogue may give them: whatever is in them, a row is checked in bounded time or refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.cli.commands.inspect import _limits
from batchgen.core.job import Job, State
from batchgen.models import ModelSchema, ModelUnknown, SchemaCache, from_catalogue_entry, init
from batchgen.models.media_rules import rules_of
from batchgen.models.standard import DEEPEST, MOST_PARTS, standard
from batchgen.runner.seeds import NoNewSeed, new_seed


def model(properties: Any, **more: Any) -> ModelSchema:
    return ModelSchema("a/b", {"type": "object", "properties": properties, **more})


def paths(schema: ModelSchema, **cells: Any) -> list[str]:
    """Where the cells are at fault."""
    return [fault.path for fault in schema.checked(cells)[1]]


@pytest.fixture
def host() -> Iterator[socket.socket]:
    """A host that would notice whoever asks it for anything."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.setblocking(False)
        yield listening


@pytest.mark.parametrize("word", ["$ref", "$dynamicRef", "$recursiveRef"])
@pytest.mark.parametrize("rest", ["/size.json", "/size.json#/$defs/size", "#size"])
def test_a_reference_out_of_the_schema_is_told_and_never_followed(host: socket.socket, word: str, rest: str) -> None:
    address = f"http://127.0.0.1:{host.getsockname()[1]}"
    for field in ({word: address + rest}, {"anyOf": [{"type": "integer"}, {word: rest}], "$id": address}):
        schema = model({"size": field}, **{"$id": address, "$schema": address + "/draft"})
        assert paths(schema, size="large") == []
        (oddity,) = schema.oddities
        assert f".{word}' is left aside" in oddity
    with pytest.raises(BlockingIOError):
        host.accept()


def test_a_reference_inside_the_schema_stands_for_what_it_names() -> None:
    defs = {"size/x": {"type": "integer", "maximum": 9}, "same": {"$ref": "#/$defs/size~1x"}}
    schema = model({"size": {"$ref": "#/$defs/same", "minimum": 2}}, **{"$defs": defs})
    assert schema.checked({"size": "7"}) == ({"size": 7}, [])
    assert paths(schema, size="10") == paths(schema, size="1") == ["$.size"]
    assert schema.oddities == []


@pytest.mark.parametrize("reference", ["#/$defs/none", "#/properties/0", "#anchor", 7, None, ["#"], "#/$defs/round"])
def test_a_reference_that_leads_nowhere_is_left_aside(reference: Any) -> None:
    schema = model({"size": {"$ref": reference}}, **{"$defs": {"round": {"$ref": "#/$defs/round"}}})
    assert paths(schema, size="x") == []
    assert len(schema.oddities) == 1


def parts(schema: Any) -> int:
    """How many schemas there are in *schema*, itself included."""
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    return isinstance(schema, dict) + sum(map(parts, inner))


def test_a_schema_that_doubles_at_each_level_is_cut_and_what_was_cut_is_told() -> None:
    defs = {f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(12)}
    schema = model({"size": {"$ref": "#/$defs/d0"}}, **{"$defs": defs | {"d12": {"type": "integer"}}})
    assert parts(standard(schema.input_schema).schema) <= 2 * MOST_PARTS  # with what stands for those that were cut
    assert any("too large or too deep" in oddity for oddity in schema.oddities)
    assert paths(schema, size="large") != []  # what is left still holds


def test_a_schema_that_holds_itself_is_followed_so_deep_and_no_deeper() -> None:
    schema = model({"child": {"$ref": "#"}, "n": {"type": "integer"}})
    held: Any = {"n": "x"}
    for _ in range(3):
        held = {"child": held}
    assert schema.checked(held)[1] != []
    for _ in range(2 * DEEPEST):
        held = {"child": held}
    assert schema.checked(held)[1] == []


def test_a_pattern_is_left_to_the_provider_and_told_once_with_its_places() -> None:
    colour = {"type": "string", "pattern": "^#[0-9a-f]{6}$", "maxLength": 7}
    schema = model(dict.fromkeys(("a", "b", "c", "d", "e"), colour))
    assert paths(schema, a="red") == []
    assert paths(schema, a="scarlet red") == ["$.a"]
    assert schema.oddities == [
        "a/b: of its schema, '$.properties.a.pattern', '$.properties.b.pattern', '$.properties.c.pattern' and 2 more "
        "are left aside: it is not checked here"
    ]


@pytest.mark.parametrize(
    "rule",
    [
        {"not": {"pattern": "x"}},
        {"oneOf": [{"type": "string", "pattern": "^a"}, {"type": "string"}]},
        {"if": {"pattern": "^a"}, "then": {"maxLength": 1}},
        {"contains": {"pattern": "x"}, "maxContains": 0, "type": "array"},
        {"type": "object", "patternProperties": {"^x-": {}}, "additionalProperties": False},
    ],
)
def test_what_is_left_aside_never_makes_a_schema_stricter(rule: dict[str, Any]) -> None:
    value = {"array": ["abc"], "object": {"x-note": "abc"}}.get(rule.get("type", ""), "abc")
    assert model({"f": rule}).faults({"f": value}) == []


@pytest.mark.parametrize(
    "rule",
    [
        {"minimum": "5"},
        {"maximum": True},
        {"exclusiveMinimum": True},
        {"maximum": float("nan")},
        {"multipleOf": 0},
        {"multipleOf": 0.1},
        {"maxLength": "long"},
        {"minLength": -1},
        {"enum": {"a": 1}},
        {"enum": []},
        {"type": 7},
        {"type": ["string", 7]},
        {"type": "file"},
        {"type": []},
        {"items": ["string"]},
        {"anyOf": {}},
        {"anyOf": [7]},
        {"allOf": []},
        {"required": "name"},
        {"properties": ["name"]},
        {"dependentRequired": ["a"]},
        {"format": 7},
        {"validations": {"a": 1}},
        {"not": 7},
    ],
)
def test_a_rule_that_is_none_is_left_aside_and_told_and_the_others_hold(rule: dict[str, Any]) -> None:
    schema = model({"f": {"description": "any", **rule}, "n": {"type": "integer", "maximum": 3}}, required=["n"])
    assert len(schema.oddities) == 1, schema.oddities
    assert schema.faults({"f": "x", "n": 3}) == []
    assert paths(schema, f="x", n="4") == ["$.n"]


def test_a_text_that_only_looks_like_a_number_is_a_choice_like_others() -> None:
    schema = model({"f": {"enum": ["²", "³", "--5", "1", "9" * 5000]}})
    ((fault),) = schema.checked({"f": "x"})[1]
    assert "²" in fault.message


@pytest.mark.parametrize("name", ["it's", 'a "b"', "a.b", "weird key"])
def test_a_required_field_is_named_whatever_its_name_is(name: str) -> None:
    (fault,) = model({name: {"type": "string"}}, required=[name]).checked({})[1]
    assert fault.message.startswith(f"{name!r} is required")


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-9, 9), st.just(10**40), st.floats(), st.sampled_from(["auto", "7s", "x"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abf"), inner, max_size=3)),
    max_leaves=6,
)
WORDS = st.sampled_from(
    [
        "type",
        "enum",
        "const",
        "minimum",
        "maximum",
        "exclusiveMaximum",
        "multipleOf",
        "maxLength",
        "minItems",
        "maxItems",
        "uniqueItems",
        "items",
        "properties",
        "required",
        "additionalProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "contains",
        "maxContains",
        "propertyNames",
        "patternProperties",
        "dependentRequired",
        "dependentSchemas",
        "prefixItems",
        "minProperties",
        "unevaluatedProperties",
        "default",
        "examples",
        "format",
        "title",
        "description",
        "validations",
        "$ref",
        "$id",
        "$defs",
        "$schema",
        "$anchor",
    ]
)
TYPES = st.sampled_from(["string", "integer", "number", "float", "boolean", "array", "object", "null"])


def schema_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A schema whose rules may be anything: sound, of another kind, or schemas again."""
    anything = st.one_of(JSON, TYPES, inner, st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("ab"), inner))
    return st.dictionaries(WORDS, anything, max_size=4)


ODD = st.recursive(st.dictionaries(WORDS, st.one_of(JSON, TYPES), max_size=4), schema_of, max_leaves=5)
NAMES = st.sampled_from(["a", "seed", "duration", "num_images", "length"])


@settings(max_examples=250, deadline=None)
@given(
    whole=ODD,
    properties=st.one_of(JSON, st.dictionaries(NAMES, st.one_of(JSON, ODD), max_size=3)),
    about=st.dictionaries(st.sampled_from(["base_price_usd", "price_unit", "pricing_note", "categories"]), JSON),
    cells=st.dictionaries(NAMES, JSON, max_size=3),
)
def test_whatever_a_catalogue_gives_is_a_model_or_an_unknown_one(
    whole: Any, properties: Any, about: Any, cells: Any
) -> None:
    entry = {**about, "model_id": "a/b", "input_schema": {**whole, "properties": properties}}
    with suppress(ModelUnknown):
        schema = from_catalogue_entry(json.loads(json.dumps(entry)))
        typed_input, _ = schema.checked(cells)
        schema.faults(typed_input)
        assert schema.units(typed_input) >= 0
        assert schema.outputs_asked(typed_input) >= 1
        assert isinstance(schema.oddities, list)
        assert schema.digest
        assert init(schema)
        for field in schema.fields.values():
            rules_of(field)
            _limits(field)
        with suppress(NoNewSeed):
            new_seed([Job(1, "r", 1, State.FAILED, "a/b", typed_input, (), "f")], schema)


def test_a_schema_with_half_a_character_is_kept_like_others(tmp_path: Path) -> None:
    cache = SchemaCache(tmp_path)
    cache.put("base", {"model_id": "a/b", "input_schema": {"title": "\ud800", "properties": {"x": {}}}})
    found = cache.get("base", "a/b")
    assert found is not None
    assert found.input_schema["title"] == "\ud800"


def test_a_schema_that_is_nested_too_deeply_to_read_is_no_model() -> None:
    deep: Any = 1
    for _ in range(150):
        deep = {"items": deep}
    with pytest.raises(ModelUnknown, match="nested too deeply"):
        from_catalogue_entry({"model_id": "a/b", "input_schema": deep})
