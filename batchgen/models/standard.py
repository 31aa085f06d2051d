"""A schema as somebody's catalogue gives it, made one that can be enforced: in bounded time, with nothing fetched.

Only rules that are what JSON Schema says they are stay. Everything else is left aside and told: the provider still
checks what is not checked here, and an input that it refuses costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

Schema: TypeAlias = dict[str, Any]
T = TypeVar("T")

DEEPEST = 24
MOST_PARTS = 2000
"""More parts than any real model has; a row is held against each of them at most once."""

_LONGEST_CHAIN = 8

_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
_UNBOUNDED = frozenset({"pattern", "patternProperties", "unevaluatedItems", "unevaluatedProperties"})
"""One takes as long as a pattern likes; the others check what was checked already once more at each level."""
_ONE = frozenset({"items", "contains", "additionalProperties", "propertyNames"})
_SEVERAL = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED = frozenset({"properties", "dependentSchemas"})
_EXACT = frozenset({"not", "if", "contains"})
"""What is left aside below these would make them stricter, not more lenient."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_factor(value: Any) -> bool:
    return type(value) is int and value > 0  # 0.3 is no multiple of 0.1 as computers see it


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _are_names_by_name(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_are_names, value.values()))


def _is_some_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


_SOUND: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _is_size),
    **dict.fromkeys(("minProperties", "maxProperties", "minContains", "maxContains"), _is_size),
    **dict.fromkeys(("enum", *_SEVERAL), _is_some_list),
    **dict.fromkeys(("title", "description", "format"), lambda value: isinstance(value, str)),
    **dict.fromkeys(_NAMED, lambda value: isinstance(value, Mapping)),
    "multipleOf": _is_factor,
    "uniqueItems": lambda value: isinstance(value, bool),
    "required": _are_names,
    "dependentRequired": _are_names_by_name,
    "validations": lambda value: isinstance(value, list),
}


class Standard(NamedTuple):
    """What of a schema can be enforced, and the places of what was *left_aside*, by the reason."""

    schema: Schema
    left_aside: Mapping[str, Sequence[str]]


def standard(schema: Mapping[str, Any]) -> Standard:
    """*schema* in standard JSON Schema, each reference inside it replaced by what it stands for."""
    reading = _Reading(schema)
    return Standard(reading.part(schema, "$", 0), reading.left_aside)


def is_nested_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects lie more than *levels* deep in each other."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return True


class _Reading:
    """One schema on its way to a standard one."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.left_aside: dict[str, list[str]] = {}
        self._root = root
        self._parts = 0
        self._losses = 0

    def part(self, schema: Any, place: str, depth: int) -> Schema:
        """One schema inside the whole; what is none says nothing."""
        self._parts += 1
        if depth > DEEPEST or self._parts > MOST_PARTS:
            return self._leave(place, "the schema is too large or too deep to check all of it", {})
        if isinstance(schema, bool):
            return {} if schema else {"not": {}}
        if not isinstance(schema, Mapping):
            return self._leave(place, "it is no schema", {})
        if "$ref" in schema:
            schema = self._meant(schema, place)
        kept: Schema = {}
        for key, value in schema.items():
            kept |= self._rule(str(key), value, place, depth)
        if "patternProperties" in schema:
            kept.pop("additionalProperties", None)  # which of them are additional is not known
        return kept

    def _rule(self, key: str, value: Any, place: str, depth: int) -> Schema:
        inside = f"{place}.{key}"
        if key in _UNBOUNDED or key in ("$dynamicRef", "$recursiveRef"):
            return self._leave(inside, "it is not checked here", {})
        if key.startswith("$") or (value is None and key not in ("default", "const")):
            return {}
        if key == "type":
            return self._type(value, inside)
        if key in _SOUND and not _SOUND[key](value):
            return self._leave(inside, "it is not what JSON Schema has there", {})
        losses = self._losses
        kept = {key: self._inner(key, value, inside, depth)}
        if self._losses > losses:
            if key in _EXACT:
                return {}
            if key == "oneOf":
                return {"anyOf": kept["oneOf"]}
        return kept

    def _inner(self, key: str, value: Any, place: str, depth: int) -> Any:
        if key == "additionalProperties" and isinstance(value, bool):
            return value
        if key in _ONE | _EXACT | {"then", "else"}:
            return self.part(value, place, depth + 1)
        if key in _SEVERAL:
            return [self.part(one, f"{place}[{index}]", depth + 1) for index, one in enumerate(value)]
        if key in _NAMED:
            return {str(name): self.part(one, f"{place}.{name}", depth + 1) for name, one in value.items()}
        return value

    def _type(self, value: Any, place: str) -> Schema:
        """The catalogue's `float` is a number, and a type that nobody knows is any."""
        names = value if isinstance(value, list) else [value]
        kinds = ["number" if name == "float" else name for name in names]
        if not kinds or not all(isinstance(kind, str) and kind in _TYPES for kind in kinds):
            return self._leave(place, "no such type is known", {})
        return {"type": kinds if isinstance(value, list) else kinds[0]}

    def _meant(self, schema: Mapping[str, Any], place: str) -> Mapping[str, Any]:
        """*schema* with what its `$ref` stands for, where that is inside the same schema."""
        rest = dict(schema)
        for _ in range(_LONGEST_CHAIN):
            if "$ref" not in rest:
                return rest
            target = self._root_part(rest.pop("$ref"))
            if target is None:
                break
            rest = {**target, **rest}
        rest.pop("$ref", None)
        return self._leave(f"{place}.$ref", "it leads out of the schema", rest)

    def _root_part(self, reference: Any) -> Mapping[str, Any] | None:
        """What `#/$defs/size` stands for; None for what is no place in this schema."""
        if not isinstance(reference, str) or reference.split("/")[0] != "#":
            return None
        found: Any = self._root
        for name in reference.split("/")[1:]:
            found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else None

    def _leave(self, place: str, why: str, instead: T) -> T:
        self._losses += 1
        self.left_aside.setdefault(why, []).append(place)
        return instead
