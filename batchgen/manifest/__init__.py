"""From a manifest to its rows: read by suffix, resolved, typed, checked; every problem with its line."""

from batchgen.manifest.localfiles import KnownHash
from batchgen.manifest.memory import Known, Recall
from batchgen.manifest.record import ManifestError
from batchgen.manifest.rows import price_list, prices, read, sources

__all__ = ["Known", "KnownHash", "ManifestError", "Recall", "price_list", "prices", "read", "sources"]
