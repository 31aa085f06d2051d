"""The schemas that come with the package, for a first look and for working without a network."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

from batchgen.models.schema import ModelSchema, from_catalogue_entry

_FOLDER = files("batchgen.models.shipped")


@cache
def shipped(model_id: str) -> ModelSchema | None:
    """The schema shipped for *model_id*, or None."""
    name = model_id.replace("/", "__") + ".json"
    if PurePosixPath(name).name != name or not (file := _FOLDER.joinpath(name)).is_file():
        return None
    return from_catalogue_entry(json.loads(file.read_text("utf-8")), source="shipped")


def shipped_model_ids() -> list[str]:
    """Every model whose schema is shipped, sorted."""
    names = [entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".json")]
    return sorted(name.removesuffix(".json").replace("__", "/") for name in names)
