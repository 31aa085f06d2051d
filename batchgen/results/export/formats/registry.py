"""The formats of `export --to`. A new one is a function that writes it, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, NamedTuple

from batchgen.core.errors import Refusal
from batchgen.models import did_you_mean
from batchgen.results.export.dataset import DataSet
from batchgen.results.export.features import Feature, table_features
from batchgen.results.export.formats.folders import folder_features, write_folder
from batchgen.results.export.formats.parquet import parquet_features, write_parquet
from batchgen.results.export.formats.tables import csv_features, write_csv, write_jsonl
from batchgen.results.export.formats.webdataset import webdataset_features, write_webdataset

_ALL = frozenset({"image", "video", "audio"})


class Format(NamedTuple):
    """*write* brings every item of a data set to its place, and passes over what stands there whole.

    *files* is the pattern of one split's files; *kinds* are the media it holds; *copies* says whether it holds the
    media themselves; *extra* is the package it cannot do without; *reading* is what Hugging Face's reader of it is
    told besides the columns.
    """

    write: Callable[[DataSet], None]
    files: str
    features: Callable[[DataSet], list[Feature]] = table_features
    kinds: frozenset[str] = _ALL
    copies: bool = True
    extra: str | None = None
    reading: Mapping[str, Any] = MappingProxyType({})


_AS_IT_STANDS = MappingProxyType({"keep_default_na": False, "na_values": [""]})
"""Else a caption that reads `None` or `NA` would be taken for an empty cell."""

FORMATS: Mapping[str, Format] = {
    "imagefolder": Format(write_folder, "{split}/**", folder_features, frozenset({"image"})),
    "videofolder": Format(write_folder, "{split}/**", folder_features, frozenset({"video"})),
    "audiofolder": Format(write_folder, "{split}/**", folder_features, frozenset({"audio"})),
    "webdataset": Format(write_webdataset, "{split}/*.tar", webdataset_features),
    "parquet": Format(write_parquet, "{split}/*.parquet", parquet_features, extra="pyarrow"),
    "jsonl": Format(write_jsonl, "{split}.jsonl", copies=False),
    "csv": Format(write_csv, "{split}.csv", csv_features, copies=False, reading=_AS_IT_STANDS),
}


class NoSuchFormat(Refusal):
    """The word after --to is no format, or needs what is not installed."""


def format_of(name: str) -> Format:
    """The format called *name*. Raises NoSuchFormat."""
    found = FORMATS.get(name)
    if found is None:
        raise NoSuchFormat(f"--to: no format is called {name!r}{did_you_mean(name, FORMATS)}; {', '.join(FORMATS)}")
    if found.extra is not None and find_spec(found.extra) is None:
        raise NoSuchFormat(f"--to {name} needs an extra: pip install 'batchgen-runner[{name}]'")
    return found
