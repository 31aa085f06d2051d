"""Models and their schemas, from wherever they can be had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from batchgen.catalogue import Catalogue
from batchgen.providers.runcomfy import RunComfy, api_base
from batchgen.schema import ModelSchema, did_you_mean, shipped_model_ids
from batchgen.token import TokenMissing, find_token


async def model_schema(model_id: str, base: str | None) -> ModelSchema:
    """Asks the catalogue if there is a token, else the cache and what is shipped. Raises ModelUnknown."""
    async with _account(base) as provider:
        return await asyncio.to_thread(Catalogue(api_base(base), provider).schema, model_id)


async def search(words: str, base: str | None) -> tuple[list[Mapping[str, Any]], str]:
    """Catalogue entries that match *words*, and where they came from; what is shipped if it cannot be asked."""
    async with _account(base) as provider:
        found = None if provider is None else await provider.search(words)
    if found is not None:
        return found, "the provider's catalogue"
    matching = [model_id for model_id in shipped_model_ids() if all(word in model_id for word in words.lower().split())]
    return [{"model_id": model_id} for model_id in matching], "the models shipped with batchgen"


def no_such_model(words: str) -> str:
    """What to try where *words* found nothing."""
    hint = did_you_mean(words, shipped_model_ids())
    return hint or "; try fewer or other words, such as a maker's name or image-to-video; without words all are listed"


@asynccontextmanager
async def _account(base: str | None) -> AsyncIterator[RunComfy | None]:
    """The account, if there is a token."""
    try:
        provider = RunComfy(api_base(base), find_token())
    except TokenMissing:
        yield None
        return
    try:
        yield provider
    finally:
        await provider.close()
