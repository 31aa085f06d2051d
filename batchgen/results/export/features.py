"""What Hugging Face's readers are told of the columns, so that no type hangs on the first rows they meet."""

from __future__ import annotations

from typing import Any, TypeAlias

from batchgen.results.export.columns import column
from batchgen.results.export.dataset import DataSet

Feature: TypeAlias = dict[str, Any]
"""One column as the card's front matter names it."""

_DTYPES = {"text": "string", "whole": "int64", "decimal": "float64"}


def media(name: str, kind: str) -> Feature:
    """A column of pictures, videos or sounds."""
    return {"name": name, "dtype": kind}


def value(name: str) -> Feature:
    return {"name": name, "dtype": _DTYPES[column(name).kind]}


def table_features(data: DataSet) -> list[Feature]:
    """The columns that every format has."""
    return [value(name) for name in data.columns]


def as_schema_metadata(features: list[Feature]) -> dict[str, Any]:
    """*features* as they stand in the metadata of an Arrow schema."""
    kinds = {"image": "Image", "video": "Video", "audio": "Audio"}
    told = {
        feature["name"]: {"_type": kinds[feature["dtype"]]}
        if feature["dtype"] in kinds
        else {"dtype": feature["dtype"], "_type": "Value"}
        for feature in features
    }
    return {"info": {"features": told}}
