"""A row's cells by what they are for: about the row, kept with it, or sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import Any

from batchgen.models import ABOUT_THE_ROW, Fault, ModelSchema, did_you_mean
from batchgen.models.cells import to_string


class Columns:
    """*own* cells are about the row, *meta* is kept with it, *fields* are for the model."""

    __slots__ = ("faults", "fields", "meta", "own")

    def __init__(self, own: dict[str, Any], fields: dict[str, Any]) -> None:
        self.own = own
        self.fields = fields
        self.meta: dict[str, str] = {}
        self.faults: list[Fault] = []

    def without(self, names: Set[str]) -> None:
        """Drop the fields in *names*."""
        for name in names:
            self.fields.pop(name, None)

    def without_empty(self, schema: ModelSchema) -> None:
        """Drop the fields that say nothing and that *schema* does not have: they are there for another model."""
        for name in [name for name, cell in self.fields.items() if cell in (None, [], {}) and not schema.takes(name)]:
            del self.fields[name]

    def set_aside(self, variables: Set[str], schema: ModelSchema) -> None:
        """Move to `meta` what is there for templates only: it is kept and not sent."""
        for name in [name for name in self.fields if not schema.takes(name)]:
            if name in variables:
                if (cell := self.fields.pop(name)) is not None:
                    self.meta.setdefault(name, as_text(cell))
            elif hint := did_you_mean(name, variables):
                del self.fields[name]
                message = f"neither {schema.model_id} nor a template knows {name!r}{hint}"
                self.faults.append(Fault(f"$.{name}", message, rule="unknown field"))


def split(cells: Mapping[str, Any]) -> Columns:
    """*cells* in their parts, `images.0` and `images.1` gathered to one list."""
    own: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    is_dotted = False
    for key, cell in cells.items():
        if key in ABOUT_THE_ROW:
            own[key] = cell
        else:
            fields[key] = cell
            is_dotted = is_dotted or "." in key
    parts = Columns(own, fields)
    if is_dotted:
        _gather(parts)
    if "meta" in own:
        cell = own.pop("meta")
        _keep(parts, cell if isinstance(cell, dict) else {"meta": cell})
    return parts


def _gather(parts: Columns) -> None:
    """Put dotted columns together: a list or object of the field before the dot."""
    inner: dict[str, dict[str, Any]] = {}
    for key in [key for key in parts.fields if "." in key]:
        root, _, rest = key.partition(".")
        inner.setdefault(root, {})[rest] = parts.fields.pop(key)
    _keep(parts, inner.pop("meta", {}))
    for root, found in inner.items():
        if parts.fields.get(root) is not None:
            both = f"{root!r} and {root + '.' + next(iter(found))!r}"
            parts.faults.append(Fault(f"$.{root}", f"{both} are both given; write one of the two forms"))
        given = {key: cell for key, cell in found.items() if cell is not None}
        is_list = all(key.isdecimal() for key in given)
        parts.fields[root] = [given[key] for key in sorted(given, key=int)] if is_list else given


def _keep(parts: Columns, found: Mapping[str, Any]) -> None:
    for name, cell in found.items():
        if cell is not None:
            parts.meta[name] = as_text(cell)


def as_text(cell: Any) -> str:
    """A cell that is kept and not sent, as text."""
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, list | dict) else to_string(cell)
