"""A model as its provider describes it: what its fields are, how a row's cells become its input."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from batchgen.core.suggest import did_you_mean, nearest_name
from batchgen.models import messages
from batchgen.models.amounts import Amounts, amounts_of
from batchgen.models.cells import Convert, Misfit, converter, natural, to_string
from batchgen.models.fast_check import Fits, quick_test
from batchgen.models.fault import Fault, ModelUnknown, shown
from batchgen.models.standard import is_nested_deeper, standard

_PLACES_NAMED = 3
_DEEPEST_ENTRY = 100
_COUNTING_RULES = 2
"""Version of the rules by which outputs and seconds are counted: rows that were counted by others are counted anew."""

ABOUT_THE_ROW = frozenset({"id", "model", "priority", "note", "meta"})
"""The columns that are about the row and are never sent."""

_RULES_ACROSS_FIELDS = (
    "allOf", "anyOf", "oneOf", "not", "if", "dependentRequired", "dependentSchemas", "minProperties",
    "maxProperties", "propertyNames", "enum", "const",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MediaField:
    """A field that takes the address of a file, or (*many*) a list of addresses."""

    kind: Literal["image", "video", "audio"]
    many: bool


@dataclass(frozen=True, slots=True)
class _Compiled:
    enforceable: Mapping[str, Any]
    left_aside: Mapping[str, Sequence[str]]
    fields: Mapping[str, Mapping[str, Any]]
    amounts: Amounts
    converters: Mapping[str, tuple[Convert, Fits]]
    media_fields: Mapping[str, MediaField]
    required: tuple[str, ...]
    required_set: frozenset[str]
    required_absent: tuple[str, ...]
    has_rules_across_fields: bool
    takes_any_key: bool


@dataclass(frozen=True, slots=True)
class ModelSchema:
    """One model's input schema and list price, from *source*; *fetched_at* is seconds since the epoch."""

    model_id: str
    input_schema: Mapping[str, Any]
    base_price_usd: Decimal | None = None
    price_unit: str | None = None
    pricing_note: str | None = None
    source: Literal["catalogue", "cache", "shipped"] = "catalogue"
    fetched_at: float | None = None
    _compiled: _Compiled = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_compiled", _compile(self.input_schema))

    @property
    def fields(self) -> Mapping[str, Mapping[str, Any]]:
        """The input's properties by name, as the provider publishes them."""
        return self._compiled.fields

    @property
    def digest(self) -> str:
        """Of all by which rows are typed, checked and counted."""
        said = json.dumps([_COUNTING_RULES, self.input_schema, self.price_unit], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    @property
    def required(self) -> tuple[str, ...]:
        """The fields a row must give, whatever default they may have."""
        return self._compiled.required

    @property
    def media_fields(self) -> Mapping[str, MediaField]:
        """The fields that hold addresses of pictures, videos or sound."""
        return self._compiled.media_fields

    @property
    def oddities(self) -> list[str]:
        """What the schema itself gets wrong, or nobody can enforce in bounded time, in words."""
        left_aside = [
            f"{self.model_id}: of its schema, {_some(places)} {'is' if len(places) == 1 else 'are'} left aside: {why}"
            for why, places in self._compiled.left_aside.items()
        ]
        return left_aside + [
            f"{self.model_id} requires {name!r} but describes no such field{did_you_mean(name, self.fields)} "
            "The demand cannot be kept and is left aside."
            for name in self._compiled.required_absent
        ]

    def takes(self, key: str) -> bool:
        """Whether *key* may be sent to this model."""
        return key in self._compiled.converters or self._compiled.takes_any_key

    def unknown(self, key: str) -> Fault | None:
        """The fault of a *key* this model does not take; None if it does."""
        if self.takes(key):
            return None
        meant = nearest_name(key, [*self.fields, *ABOUT_THE_ROW])
        hint = f"; did you mean {meant!r}?" if meant else f"; its fields are {', '.join(self.fields)}"
        return Fault(f"$.{key}", f"{self.model_id} has no field {key!r}{hint}", rule="unknown field")

    def typed(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
        """*cells* as the model's input, and a fault for every cell that cannot be.

        A cell is text, or a list or object of cells; None is left out, and so are cells at fault. Defaults
        are not filled in.
        """
        typed_input: dict[str, Any] = {}
        faults: list[Fault] = []
        converters = self._compiled.converters
        for key, cell in cells.items():
            if cell is None:
                continue
            if key not in converters and (fault := self.unknown(key)):
                faults.append(fault)
                continue
            convert, _ = converters.get(key, (natural, None))
            try:
                typed_input[key] = convert(cell)
            except Misfit as misfit:
                faults.append(Fault(f"$.{key}{misfit.path}", misfit.message))
        return typed_input, faults

    def faults(self, request_input: Mapping[str, Any]) -> list[Fault]:
        """Everything the schema has against *request_input*, by field; the media themselves are not seen."""
        if self._certainly_fits(request_input):
            return []
        return messages.faults(self._compiled.enforceable, self.required, request_input)

    def _certainly_fits(self, request_input: Mapping[str, Any]) -> bool:
        converters = self._compiled.converters
        return self._has_required(request_input) and all(
            key in converters and converters[key][1](value) for key, value in request_input.items()
        )

    def _has_required(self, cells: Mapping[str, Any]) -> bool:
        if self._compiled.has_rules_across_fields:
            return False
        return self._compiled.required_set <= cells.keys()

    def _plainly_right(self, cells: Mapping[str, Any]) -> dict[str, Any] | None:
        """The typed input, if there is certainly nothing wrong with it: the path of nearly every row."""
        converters = self._compiled.converters
        typed_input = {}
        try:
            for key, cell in cells.items():
                if cell is None:
                    continue
                convert, fits = converters[key]
                value = cell if convert is to_string and type(cell) is str else convert(cell)
                if not fits(value):
                    return None
                typed_input[key] = value
        except (Misfit, KeyError):
            return None
        return typed_input if self._has_required(typed_input) else None

    def checked(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
        """`typed` and `faults` in one: a field that could not be typed is not also called missing."""
        plain = self._plainly_right(cells)
        if plain is not None:
            return plain, []
        typed_input, faults = self.typed(cells)
        at_fault = {fault.path.split(".")[1].split("[")[0] for fault in faults}
        further = messages.faults(self._compiled.enforceable, self.required, typed_input)
        return typed_input, faults + [fault for fault in further if fault.path[2:] not in at_fault]

    def outputs_asked(self, request_input: Mapping[str, Any]) -> int:
        """How many outputs the request may bring: its count, else the default, else the maximum; 1 if unbounded."""
        return self._compiled.amounts.outputs(request_input) or 1

    @property
    def amount_fields(self) -> tuple[str, ...]:
        """The fields that say how many outputs, and of a model that is priced by the second, how long ones."""
        amounts = self._compiled.amounts
        lengths = amounts.lengths.amounts if self.price_unit == "second" else ()
        return tuple(amount.name for amount in (*lengths, *amounts.counts))

    def units(self, request_input: Mapping[str, Any]) -> int:
        """What the price is multiplied by: the outputs asked for or their seconds, whichever the price is one of.

        0 where nobody knows: no field bounds how many or how long they are, or the price is of something else.
        """
        match self.price_unit:
            case "output":
                return self._compiled.amounts.outputs(request_input) or 0
            case "second":
                return self._compiled.amounts.seconds(request_input) or 0
        return 0


def from_catalogue_entry(
    entry: Mapping[str, Any],
    source: Literal["catalogue", "cache", "shipped"] = "catalogue",
    fetched_at: float | None = None,
) -> ModelSchema:
    """The model of one entry of the provider's catalogue. Raises ModelUnknown if it gives no usable input schema."""
    model_id = str(entry.get("model_id", ""))
    input_schema = entry.get("input_schema")
    if not model_id or not isinstance(input_schema, Mapping):
        raise ModelUnknown(model_id, reason=f"the catalogue gives no input schema for {shown(model_id)}")
    if is_nested_deeper(entry, _DEEPEST_ENTRY):
        raise ModelUnknown(model_id, reason=f"the catalogue's schema of {shown(model_id)} is nested too deeply to read")
    return ModelSchema(
        model_id=model_id,
        input_schema=input_schema,
        base_price_usd=_price(entry.get("base_price_usd")),
        price_unit=_text_or_none(entry.get("price_unit")),
        pricing_note=_text_or_none(entry.get("pricing_note")),
        source=source,
        fetched_at=fetched_at,
    )


def properties_of(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The properties of an object schema; what is no schema counts as one that says nothing."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {str(name): of if isinstance(of, Mapping) else {} for name, of in properties.items()}


def _compile(published: Mapping[str, Any]) -> _Compiled:
    schema, left_aside = standard(published)
    properties = properties_of(schema)
    required = [str(name) for name in schema.get("required") or ()]
    media = {name: found for name, of in properties.items() if (found := _media(of))}
    return _Compiled(
        enforceable=schema,
        left_aside=left_aside,
        fields=properties,
        amounts=amounts_of(properties),
        converters={name: (converter(of), quick_test(of)) for name, of in properties.items()},
        media_fields=media,
        required=tuple(name for name in required if name in properties),
        required_set=frozenset(required) & properties.keys(),
        required_absent=tuple(name for name in required if name not in properties),
        has_rules_across_fields="object" not in schema.get("type", "object")
        or any(rule in schema for rule in _RULES_ACROSS_FIELDS),
        takes_any_key=bool(schema.get("additionalProperties")),
    )


def _some(places: Sequence[str]) -> str:
    more = f" and {len(places) - _PLACES_NAMED:,} more" if len(places) > _PLACES_NAMED else ""
    return ", ".join(shown(place) for place in places[:_PLACES_NAMED]) + more


def _media(of: Mapping[str, Any]) -> MediaField | None:
    items = of.get("items")
    inner = _media(items) if isinstance(items, Mapping) else None
    if inner:
        return MediaField(inner.kind, many=True)
    name, _, ending = str(of.get("format", "")).partition("_")
    is_list = of.get("type") == "array" or ending == "uris"
    match name:
        case "image" | "video" | "audio" if ending in ("uri", "uris"):
            return MediaField(name, many=is_list)
    return None


def _price(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        return None
    return price if price.is_finite() and price >= 0 else None


def _text_or_none(value: Any) -> str | None:
    return str(value) if value not in (None, "") else None
