"""From output links to whole, verified files in the row's folder."""

from batchgen.collector.collect import Collection, Collector, TryLater
from batchgen.collector.download import DiskFull, downloads_session
from batchgen.collector.verifiers import default_workers

__all__ = ["Collection", "Collector", "DiskFull", "TryLater", "default_workers", "downloads_session"]
