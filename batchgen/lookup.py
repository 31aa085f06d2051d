"""One model's schema, from wherever it can be had."""

from __future__ import annotations

import asyncio

from batchgen.catalogue import Catalogue
from batchgen.providers.runcomfy import RunComfy, api_base
from batchgen.schema import ModelSchema
from batchgen.token import TokenMissing, find_token


async def model_schema(model_id: str, base: str | None) -> ModelSchema:
    """Asks the catalogue if there is a token, else the cache and what is shipped. Raises ModelUnknown."""
    try:
        provider = RunComfy(api_base(base), find_token())
    except TokenMissing:
        return await asyncio.to_thread(Catalogue(api_base(base), None).schema, model_id)
    try:
        return await asyncio.to_thread(Catalogue(api_base(base), provider).schema, model_id)
    finally:
        await provider.close()
