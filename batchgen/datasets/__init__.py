"""From a run folder to a data set: chosen, split, written in one of several formats, with a card."""

from batchgen.datasets.dataframe import records
from batchgen.datasets.export import Told, export
from batchgen.datasets.settings import Settings

__all__ = ["Settings", "Told", "export", "records"]
