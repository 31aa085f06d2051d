"""From a run folder to a data set: chosen, split, written in one of several formats, with a card."""

from batchgen.results.export.dataframe import records
from batchgen.results.export.export import Told, export
from batchgen.results.export.settings import Settings

__all__ = ["Settings", "Told", "export", "records"]
