"""A first manifest for a model: what its schema asks for, and what it offers, in comments."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from batchgen.models.messages import shown_options
from batchgen.models.schema import MediaField, ModelSchema, properties_of

_WIDTH = 100


def init(schema: ModelSchema) -> str:
    """A commented YAML manifest of *schema*'s model that validates once its required blanks are filled."""
    optional = [name for name in schema.fields if name not in schema.required]
    return "\n".join([
        *_comment(f"A manifest for {schema.model_id}.", ""),
        *_comment("Fill in the row below, add more, and see the bill with: batchgen plan THIS_FILE", ""),
        f"model: {schema.model_id}",
        "",
        *_comment("What all rows share. Take away the # before what you want; the rest is left to the model.", ""),
        "# defaults:" if optional else "",
        *(line for name in optional for line in _field(schema, name, "#   ", "# ")),
        "",
        "rows:",
        "  - id: first",
        *(line for name in schema.required for line in _field(schema, name, "    ", "    # ")),
        "",
    ])  # fmt: skip


def _field(schema: ModelSchema, name: str, before: str, comment_before: str) -> Iterator[str]:
    of = schema.fields[name]
    yield from _comment(". ".join(_says(of, schema.media_fields.get(name))), comment_before.replace("# ", ""))
    example = json.dumps(_example(of), ensure_ascii=False)
    yield f"{before}{_key(name)}:" + ("  # required" if name in schema.required else f" {example}")


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() and name[0].isalpha() else json.dumps(name)


def _says(of: Mapping[str, Any], media: MediaField | None) -> Iterator[str]:
    for key in ("title", "description"):
        text = " ".join(str(of.get(key) or "").split()).rstrip(".")
        if text:
            yield text
    if media is not None:
        place = "a path beside this file or an https:// address"
        yield f"Each is {place}, as a list: [a.png, b.png]" if media.many else place.capitalize()
    inner = properties_of(_entry(of))
    if inner:
        required = _entry(of).get("required") or ()
        parts = [f"{name} (required)" if name in required else name for name in inner]
        yield f"{'Each entry has' if of.get('type') == 'array' else 'It has'} {', '.join(parts)}"
    if of.get("enum"):
        yield "One of: " + shown_options([str(option) for option in of["enum"]])
    limits = {"minimum": "At least {}", "maximum": "At most {}", "maxLength": "{} characters at most"}
    for key, words in {**limits, "maxItems": "{} entries at most"}.items():
        if key in of:
            yield words.format(of[key])
    if of.get("default") not in (None, ""):
        yield f"Default: {shown_default(of['default'])}"


def shown_default(value: Any) -> str:
    """A default, as short as a comment wants it."""
    return textwrap.shorten(str(value), 60, placeholder=" …")


def _entry(of: Mapping[str, Any]) -> Mapping[str, Any]:
    """The field itself, or what the entries of a list are."""
    items = of.get("items")
    return items if of.get("type") == "array" and isinstance(items, Mapping) else of


def _example(of: Mapping[str, Any]) -> Any:
    """A value that would be accepted in an optional field; of what is nested, its form."""
    if of.get("default") not in (None, ""):
        return of["default"]
    if inner := properties_of(_entry(of)):
        form = {name: _example(field) for name, field in inner.items()}
        return [form] if of.get("type") == "array" else form
    if of.get("enum"):
        return of["enum"][0]
    low, high = of.get("minimum", 1), of.get("maximum", 1)
    by_kind: Mapping[Any, Any] = {
        "integer": max(low, min(1, high)),
        "number": max(low, min(1, high)),
        "float": max(low, min(1, high)),
        "boolean": True,
        "array": [],
        "object": {},
    }
    kind = of.get("type")
    return by_kind.get(kind[0] if isinstance(kind, list) else kind, "")


def _comment(text: str, indent: str) -> list[str]:
    before = f"{indent}# "
    return textwrap.wrap(text, _WIDTH, initial_indent=before, subsequent_indent=before, break_on_hyphens=False)
