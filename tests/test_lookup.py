"""Looking for a model: what is searched, and that all of a long catalogue is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from batchgen.runner.model_lookup import search

MODELS: list[dict[str, Any]] = [
    {"model_id": "pixverse/v5/animate", "display_name": "Pixverse V5", "description": "Brings a Still to life."},
    {"model_id": "kling/turbo", "display_name": "Kling Turbo", "description": "Film from a still picture."},
    {"model_id": "recraft/vector", "display_name": None, "description": 7},
    *({"model_id": f"filler/{number}"} for number in range(1100)),
]


@pytest.fixture
async def base() -> AsyncIterator[str]:
    """A provider that searches as the real one does, in pages, with one entry that is none on the way."""

    async def page(request: web.Request) -> web.Response:
        word, limit, offset = (request.query[name] for name in ("search", "limit", "offset"))
        keys = ("model_id", "display_name", "description")
        found = [one for one in MODELS if any(word.lower() in str(one.get(key)).lower() for key in keys)]
        shown = [*found[int(offset) : int(offset) + int(limit)]]
        return web.json_response({"models": shown, "total": len(found)})

    app = web.Application()
    app.router.add_get("/v1/models", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNCOMFY_TOKEN", "t")
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("words", "models"),
    [
        ("PIXVERSE", ["pixverse/v5/animate"]),
        ("kling turbo", ["kling/turbo"]),  # each word by itself, wherever it stands
        ("still", ["pixverse/v5/animate", "kling/turbo"]),
        ("picture STILL", ["kling/turbo"]),
        ("film v5", []),
        ("vector", ["recraft/vector"]),
    ],
)
async def test_ids_names_and_descriptions_are_searched_whatever_the_case(
    base: str, words: str, models: list[str]
) -> None:
    found, where = await search(words, base)
    assert ([entry["model_id"] for entry in found], where) == (models, "the provider's catalogue")


async def test_without_words_every_model_is_listed_however_many_pages_they_are(base: str) -> None:
    found, _ = await search("", base)
    assert len(found) == len(MODELS)


async def test_without_an_answer_the_shipped_models_are_searched() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNCOMFY_TOKEN", "t")
        found, where = await search("Wan 3.0", "http://127.0.0.1:9/v1")
    assert ([entry["model_id"] for entry in found], where) == (
        ["wan-ai/wan-3.0/image-to-video"],
        "the models shipped with batchgen",
    )
