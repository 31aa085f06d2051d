"""From output links to whole, verified files in the row's folder."""

from batchgen.collector.collect import Collection, Collector, TryLater
from batchgen.collector.download import DiskFull, downloads_session

__all__ = ["Collection", "Collector", "DiskFull", "TryLater", "downloads_session"]
