"""The models this server offers: the shipped schemas, with prices invented for the rehearsal."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from typing import Any, cast

from jsonschema import Draft202012Validator, TypeChecker
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from batchgen.simulator.sizes import requested_s

JsonObject = dict[str, Any]
PRICING_NOTE = "rehearsal price, not RunComfy's"
COUNT_FIELDS = ("sequential_image_generation_options", "num_images", "number_of_images", "max_images")
MICRODOLLARS = 1_000_000

# model_id -> micro-dollars for one output or second, as its file says. Invented; only their order of size is meant to
# feel real.
PRICES: dict[str, int] = {
    "acestep-ai/ace-step-1.5/text-to-audio": 300,
    "blackforestlabs/flux-2/flash/text-to-image": 8_000,
    "blackforestlabs/flux-3/image": 40_000,
    "bytedance/seed-audio-1.0/text-to-audio": 2_000,
    "bytedance/seedance-2.5/image-to-video/720p": 90_000,
    "bytedance/seedream-4-0/edit-sequential": 30_000,
    "bytedance/seedream-5.0-pro/image-to-image": 60_000,
    "bytedance/seedream-5.0-pro/text-to-image": 60_000,
    "google/nano-banana-2/text-to-image": 40_000,
    "ideogram-ai/ideogram-v4/text-to-image": 50_000,
    "kling/kling-3.0/pro/image-to-video": 112_000,
    "kling/kling-video-o3/pro/reference-to-video": 140_000,
    "openai/gpt-image-2.5/flare/text-to-image": 20_000,
    "openai/gpt-image-2/edit": 70_000,
    "qwen/qwen-image-2.1/edit": 25_000,
    "runwayml/runway-aleph-2/video-to-video": 150_000,
    "wan-ai/wan-2.7/reference-to-video": 100_000,
    "wan-ai/wan-2.7/text-to-image": 30_000,
    "wan-ai/wan-3.0/image-to-video": 80_000,
}

_NUMBERS: TypeChecker = Draft202012Validator.TYPE_CHECKER.redefine(
    "float", lambda checker, value: checker.is_type(value, "number")
)
_ProviderValidator: type[Validator] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, type_checker=_NUMBERS
)


def _checkable(schema: JsonObject) -> JsonObject:
    """*schema* without the provider's oddities: `required` naming an absent property is dropped, and a property
    whose default is null may be null."""
    checkable = copy.deepcopy(schema)
    properties = checkable.get("properties", {})
    checkable["required"] = [name for name in checkable.get("required", []) if name in properties]
    for field_schema in properties.values():
        if "default" in field_schema and field_schema["default"] is None and isinstance(field_schema.get("type"), str):
            field_schema["type"] = [field_schema["type"], "null"]
    return checkable


@dataclass(frozen=True)
class Model:
    """One entry of the catalogue."""

    model_id: str
    kind: str
    categories: list[str]
    input_schema: JsonObject
    base_price_micro: int
    price_unit: str
    properties: JsonObject = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "properties", self.input_schema.get("properties", {}))

    @cached_property
    def media(self) -> str:
        """What its outputs are: image, video or audio."""
        return self.categories[0].rpartition("-")[2]

    @property
    def display_name(self) -> str:
        return self.model_id.partition("/")[2].replace("/", " ").replace("-", " ").title()

    @property
    def description(self) -> str:
        return f"Rehearsal double of {self.model_id}: {', '.join(self.categories)}."

    @cached_property
    def validator(self) -> Validator:
        return _ProviderValidator(_checkable(self.input_schema))

    def problems(self, submitted: JsonObject) -> list[JsonObject]:
        """What the schema has against *submitted*, as the entries of a 422's `detail`; empty if nothing."""
        if self.validator.is_valid(submitted):
            return []
        errors = sorted(self.validator.iter_errors(submitted), key=lambda error: list(map(str, error.absolute_path)))
        return [{"loc": ["body", *error.absolute_path], "msg": error.message[:300]} for error in errors]

    @property
    def count_field(self) -> str | None:
        return next((name for name in COUNT_FIELDS if name in self.properties), None)

    def outputs_asked(self, submitted: JsonObject) -> int:
        """How many outputs *submitted* asks for at most: its count field, that field's default, else 1."""
        if self.count_field is None:
            return 1
        asked = submitted.get(self.count_field, self.properties[self.count_field].get("default", 1))
        return asked if isinstance(asked, int) and not isinstance(asked, bool) and 1 <= asked <= 100 else 1

    def price_micro(self, submitted: JsonObject) -> int:
        """The list price of *submitted* in micro-dollars: per output asked for, or per second of its length."""
        if self.price_unit == "output":
            return self.base_price_micro * self.outputs_asked(submitted)
        return round(self.base_price_micro * requested_s(submitted, self.properties))

    def entry(self, *, include_schema: bool) -> JsonObject:
        """This model as the catalogue's answers show it."""
        entry: JsonObject = {
            "model_id": self.model_id,
            "display_name": self.display_name,
            "description": self.description,
            "categories": self.categories,
            "kind": self.kind,
            "inputs": list(self.properties),
            "required_inputs": self.input_schema.get("required", []),
            "base_price_usd": self.base_price_micro / MICRODOLLARS,
            "price_unit": self.price_unit,
            "pricing_note": PRICING_NOTE,
            "model_url": f"https://www.runcomfy.com/models/{self.model_id}",
        }
        return {**entry, "input_schema": self.input_schema} if include_schema else entry


def _shipped() -> Iterator[Model]:
    for file in resources.files("batchgen.models.shipped").iterdir():
        if file.name.endswith(".json"):
            read = cast(JsonObject, json.loads(file.read_text(encoding="utf-8")))
            model_id = read["model_id"]
            about = read["kind"], read["categories"], read["input_schema"]
            yield Model(model_id, *about, PRICES[model_id], read["price_unit"])


class Catalogue:
    """Every model by its id, in alphabetical order."""

    def __init__(self) -> None:
        self.models = {model.model_id: model for model in sorted(_shipped(), key=lambda model: model.model_id)}

    def categories(self) -> list[str]:
        return sorted({category for model in self.models.values() for category in model.categories})

    def page(self, query: dict[str, str]) -> JsonObject:
        """The answer to `GET /v1/models`. Raises ValueError if *limit* or *offset* is not a usable number."""
        limit, offset = int(query.get("limit", 50)), int(query.get("offset", 0))
        if not 1 <= limit <= 500 or offset < 0:
            raise ValueError("limit must be 1 to 500 and offset 0 or more")
        found = [model for model in self.models.values() if _matches(model, query)]
        with_schema = query.get("include_schema", "").lower() in ("true", "1")
        shown = [model.entry(include_schema=with_schema) for model in found[offset : offset + limit]]
        return {"models": shown, "total": len(found), "limit": limit, "offset": offset}


def _matches(model: Model, query: dict[str, str]) -> bool:
    wanted = query.get("search", "").lower()
    return (
        any(wanted in text.lower() for text in (model.model_id, model.display_name, model.description))
        and query.get("category", model.categories[0]) in model.categories
        and query.get("kind", model.kind) == model.kind
    )
