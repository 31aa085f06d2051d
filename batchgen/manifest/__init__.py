"""From a manifest to its rows: read by suffix, resolved, typed, checked; every problem with its line."""

from batchgen.manifest.localfiles import KnownHash
from batchgen.manifest.memory import Known, Recall
from batchgen.manifest.record import ManifestError
from batchgen.manifest.rows import price_list, prices, read, sources
from batchgen.manifest.whole import Whole, is_as_kept

__all__ = [
    "Known",
    "KnownHash",
    "ManifestError",
    "Recall",
    "Whole",
    "is_as_kept",
    "price_list",
    "prices",
    "read",
    "sources",
]
