"""The provider's `validations` of input media: rules on size and shape. Pure.

The dossier's reading, kept on the safe side: a bound is never itself allowed unless the rule says so with
`=`, and a megabyte is 10^6 bytes. A rule nobody knows is a warning, never silently kept.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MEGABYTE = 1_000_000

_RULE = re.compile(r"\s*([a-z_/]+?)\s*(<=|>=|<|>)\s*")
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What is known of one file; None where it could not be measured."""

    size_bytes: int | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a field: *quantity* must compare as *comparison* with *bound*; *demand* is the provider's text."""

    quantity: str
    comparison: str
    bound: float
    demand: str

    def verdict(self, facts: MediaFacts) -> str | None:
        """What breaks the rule, with what was measured; None if it is kept. Raises Unmeasured."""
        measured = _QUANTITIES[self.quantity](facts)
        if measured is None:
            raise Unmeasured
        if _COMPARISONS[self.comparison](measured, self.bound):
            return None
        allowed = {"<": "less than", ">": "more than", "<=": "at most", ">=": "at least"}[self.comparison]
        unit = _UNITS[self.quantity]
        name = self.quantity.removesuffix("_mb").removesuffix("_pixels").replace("_", " ")
        have = f"{name} is {measured:.6g}{unit} and must be {allowed} {self.bound:.6g}{unit}"
        return f"{have}; {self.demand}" if self.demand else have


class Unmeasured(Exception):
    """A rule asks for what could not be measured."""


def _ratio(facts: MediaFacts) -> float | None:
    return facts.width / facts.height if facts.width and facts.height else None


_QUANTITIES: Mapping[str, Callable[[MediaFacts], float | None]] = {
    "file_size_mb": lambda facts: None if facts.size_bytes is None else facts.size_bytes / MEGABYTE,
    "width_pixels": lambda facts: facts.width,
    "height_pixels": lambda facts: facts.height,
    "width/height": _ratio,
}
_UNITS = {"file_size_mb": " MB", "width_pixels": " pixels", "height_pixels": " pixels", "width/height": ""}


def rules_of(field: Mapping[str, Any]) -> tuple[list[Rule], list[str]]:
    """The rules of one field, which hold for each of its files, and in words those that are not understood."""
    rules: list[Rule] = []
    unknown: list[str] = []
    items = field.get("items")
    inner = items.get("validations") if isinstance(items, Mapping) else None
    for written in [*(field.get("validations") or ()), *(inner or ())]:
        rule = _rule(written) if isinstance(written, Mapping) else None
        if rule is not None:
            rules.append(rule)
        else:
            name = written.get("validation_rule", written) if isinstance(written, Mapping) else written
            unknown.append(f"the model's rule {str(name)!r} is not known here and was not checked")
    return rules, unknown


def _rule(written: Mapping[str, Any]) -> Rule | None:
    match = _RULE.fullmatch(str(written.get("validation_rule")))
    bound = written.get("validation_value")
    if match is None or match[1] not in _QUANTITIES or isinstance(bound, bool):
        return None
    try:
        return Rule(match[1], match[2], float(str(bound)), str(written.get("validation_error") or ""))
    except ValueError:
        return None
