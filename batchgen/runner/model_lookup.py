"""Models and their schemas, from wherever they can be had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from batchgen.models import ModelSchema, did_you_mean, shipped_model_ids
from batchgen.models.catalog import Catalogue
from batchgen.providers.credentials import TokenMissing, find_token
from batchgen.providers.runcomfy.model_api import RunComfy, api_base


async def model_schema(model_id: str, base: str | None) -> ModelSchema:
    """Asks the catalogue if there is a token, else the cache and what is shipped. Raises ModelUnknown."""
    async with _account(base) as provider:
        return await asyncio.to_thread(Catalogue(api_base(base), provider).schema, model_id)


async def search(words: str, base: str | None) -> tuple[list[Mapping[str, Any]], str]:
    """Catalogue entries that hold each of *words* in id, name or description, and where they came from: the shipped
    models if the catalogue cannot be asked."""
    wanted = words.casefold().split()
    async with _account(base) as provider:
        found = None if provider is None else await provider.search(max(wanted, key=len, default=""))
    if found is None:
        entries: list[Mapping[str, Any]] = [{"model_id": model_id} for model_id in shipped_model_ids()]
        return [entry for entry in entries if _holds(entry, wanted)], "the models shipped with batchgen"
    return [entry for entry in found if len(wanted) < 2 or _holds(entry, wanted)], "the provider's catalogue"


def _holds(entry: Mapping[str, Any], words: Sequence[str]) -> bool:
    about = " ".join(str(entry.get(key) or "") for key in ("model_id", "display_name", "description")).casefold()
    return all(word in about for word in words)


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
