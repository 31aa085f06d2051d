"""Which schema and price a model has: asked of the provider's catalogue, kept for a day, shipped for some models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

from batchgen.core.money import Price, micro
from batchgen.models import (
    ModelSchema,
    ModelUnknown,
    SchemaCache,
    UnitPrice,
    from_catalogue_entry,
    shipped,
    shipped_model_ids,
)
from batchgen.models.fault import shown
from batchgen.models.price import UNITS

_FRESH_S = 24 * 3600.0
_ASK_S = 20.0


class Asks(Protocol):
    """As much of a provider as schemas need."""

    async def catalogue_entry(self, model: str) -> Mapping[str, Any] | None:
        """None if there is no such model. Raises OSError if nobody can be asked, anything else for a useless answer."""


class Catalogue:
    """Schemas by model id for the loader's thread; the provider is asked in the event loop that made this.

    *provider* None works offline: from the cache, then from what is shipped. *price_list* (USD for one output or
    second) goes before the catalogue's prices, and says of what a price is that the catalogue gives for anything else.
    """

    def __init__(
        self,
        base: str,
        provider: Asks | None,
        price_list: Mapping[str, UnitPrice | Decimal] | None = None,
        cache: SchemaCache | None = None,
    ) -> None:
        self._base = base
        self._provider = provider
        self._price_list = {
            model: price if isinstance(price, UnitPrice) else UnitPrice(price)
            for model, price in (price_list or {}).items()
        }
        self._cache = cache or SchemaCache()
        self._loop = asyncio.get_running_loop()
        self._known: dict[str, ModelSchema] = {}
        self.unreachable = ""
        """Why the provider could not be asked; empty while it answers."""
        self.useless_answers: dict[str, str] = {}
        """What was wrong with the answer, by the model asked for. It says nothing of other models."""

    def schema(self, model: str) -> ModelSchema:
        """The schema of *model*. Call it from a worker thread until it is known. Raises ModelUnknown."""
        if model not in self._known:
            self._known[model] = self._repriced(self._look_up(model), model)
        return self._known[model]

    def known(self, model: str) -> ModelSchema | None:
        """The schema of *model* if it was looked up already."""
        return self._known.get(model)

    def price(self, model: str, highest_seen_micro: int | None = None) -> Price:
        """The price of *model*, its reserve raised to the highest one seen."""
        schema = self._known.get(model)
        given = self._price_list.get(model)
        listed = micro(given.usd if given is not None else None if schema is None else schema.base_price_usd)
        known = [amount for amount in (listed, highest_seen_micro) if amount is not None]
        return Price(listed, max(known) if known else None)

    def units(self, model: str, request_input: Mapping[str, Any]) -> int:
        """What the price is multiplied by: outputs, or seconds of the longest duration that may be billed; 0 if nobody
        knows."""
        return self._known[model].units(request_input)

    def _repriced(self, schema: ModelSchema, model: str) -> ModelSchema:
        """*schema* with the price that the list gives for *model*, if it gives one."""
        given = self._price_list.get(model)
        if given is None:
            return schema
        unit = given.unit or (schema.price_unit if schema.price_unit in UNITS else "output")
        return replace(schema, base_price_usd=given.usd, price_unit=unit)

    def _look_up(self, model: str) -> ModelSchema:
        cached = self._cache.get(self._base, model)
        if cached is not None and time.time() - (cached.fetched_at or 0.0) < _FRESH_S:
            return cached
        if (entry := self._ask(model)) is not None:
            _check_is_about(model, entry)
            schema = from_catalogue_entry(entry, fetched_at=time.time())
            self._cache.put(self._base, entry)
            return schema
        if (known := cached or shipped(model)) is not None:
            return known
        raise ModelUnknown(model, shipped_model_ids(), self._why_unknown(model))

    def _why_unknown(self, model: str) -> str:
        """Empty if the provider, or what there is without it, has no such model."""
        if why := self.useless_answers.get(model):
            return f"the provider's answer about the model {shown(model)} is of no use: {why}"
        if self.unreachable:
            return f"the provider is out of reach, and nothing is known here of a model {shown(model)}"
        return ""

    def _ask(self, model: str) -> Mapping[str, Any] | None:
        if self._provider is None or self.unreachable or model in self.useless_answers:
            return None
        asking = asyncio.run_coroutine_threadsafe(self._provider.catalogue_entry(model), self._loop)
        try:
            return asking.result(_ASK_S)
        except OSError as error:  # a time-out is one too
            asking.cancel()
            self.unreachable = str(error) or f"no answer in {_ASK_S:.0f} s"
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the cache and the shipped schemas remain
            self.useless_answers[model] = str(error) or type(error).__name__
        return None


def _check_is_about(model: str, entry: Mapping[str, Any]) -> None:
    """Rows are sent to the model that their schema names. Raises ModelUnknown for one that was not asked for."""
    other = str(entry.get("model_id", model))
    if other != model:
        raise ModelUnknown(
            model, reason=f"the catalogue answers the question for {shown(model)} with the entry of {shown(other)}"
        )
