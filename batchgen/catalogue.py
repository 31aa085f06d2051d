"""Which schema and price a model has: asked of the provider's catalogue, kept for a day, shipped for some models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from batchgen.budget import Price, micro
from batchgen.schema import (
    ModelSchema,
    ModelUnknown,
    SchemaCache,
    from_catalogue_entry,
    shipped,
    shipped_model_ids,
)

_FRESH_S = 24 * 3600.0
_ASK_S = 20.0


class Asks(Protocol):
    """As much of a provider as schemas need."""

    async def catalogue_entry(self, model: str) -> Mapping[str, Any] | None: ...


class Catalogue:
    """Schemas by model id for the loader's thread; the provider is asked in the event loop that made this.

    *provider* None works offline: from the cache, then from what is shipped. *price_list* (USD for one output or
    second) goes before the catalogue's prices.
    """

    def __init__(
        self,
        base: str,
        provider: Asks | None,
        price_list: Mapping[str, Decimal] | None = None,
        cache: SchemaCache | None = None,
    ) -> None:
        self._base = base
        self._provider = provider
        self._price_list = price_list or {}
        self._cache = cache or SchemaCache()
        self._loop = asyncio.get_running_loop()
        self._known: dict[str, ModelSchema] = {}
        self.unreachable = ""
        """Why the provider could not be asked; empty while it answers."""

    def schema(self, model: str) -> ModelSchema:
        """The schema of *model*. Call it from a worker thread until it is known. Raises ModelUnknown."""
        if model not in self._known:
            self._known[model] = self._look_up(model)
        return self._known[model]

    def known(self, model: str) -> ModelSchema | None:
        """The schema of *model* if it was looked up already."""
        return self._known.get(model)

    def price(self, model: str, highest_seen_micro: int | None = None) -> Price:
        """The price of *model*, its reserve raised to the highest one seen."""
        schema = self._known.get(model)
        listed = micro(self._price_list.get(model, None if schema is None else schema.base_price_usd))
        known = [amount for amount in (listed, highest_seen_micro) if amount is not None]
        return Price(listed, max(known) if known else None)

    def units(self, model: str, request_input: Mapping[str, Any]) -> int:
        """What the price is multiplied by: outputs, or seconds of the longest duration that may be billed."""
        schema = self._known[model]
        return schema.units(request_input, schema.outputs_asked(request_input))

    def _look_up(self, model: str) -> ModelSchema:
        cached = self._cache.get(self._base, model)
        if cached is not None and time.time() - (cached.fetched_at or 0.0) < _FRESH_S:
            return cached
        if (entry := self._ask(model)) is not None:
            self._cache.put(self._base, entry)
            return from_catalogue_entry(entry, fetched_at=time.time())
        if (known := cached or shipped(model)) is not None:
            return known
        raise ModelUnknown(model, shipped_model_ids())

    def _ask(self, model: str) -> Mapping[str, Any] | None:
        if self._provider is None or self.unreachable:
            return None
        asking = asyncio.run_coroutine_threadsafe(self._provider.catalogue_entry(model), self._loop)
        try:
            return asking.result(_ASK_S)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the cache and the shipped schemas remain
            asking.cancel()
            self.unreachable = str(error) or f"no answer in {_ASK_S:.0f} s"
            return None
