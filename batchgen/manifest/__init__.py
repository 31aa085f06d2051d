"""From a manifest to its rows: read by suffix, resolved, typed, checked; every problem with its line."""

from batchgen.manifest.digest import ManifestDigest, is_as_kept
from batchgen.manifest.localfiles import KnownHash
from batchgen.manifest.read import price_list, prices, read, sources
from batchgen.manifest.record import ManifestError
from batchgen.manifest.unchanged import Lookup, UnchangedRow

__all__ = [
    "KnownHash",
    "Lookup",
    "ManifestDigest",
    "ManifestError",
    "UnchangedRow",
    "is_as_kept",
    "price_list",
    "prices",
    "read",
    "sources",
]
