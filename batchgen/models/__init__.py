"""What a model wants: its schema, the typing of a row's cells, and everything that can be wrong with them.

`batchgen.models.media_check` looks at input files; it is imported by itself, as it brings the HTTP client.
"""

from batchgen.core.suggest import did_you_mean, nearest, nearest_name
from batchgen.models.cache import SchemaCache
from batchgen.models.cells import Plain
from batchgen.models.fault import Fault, ModelUnknown, shown
from batchgen.models.price import UnitPrice
from batchgen.models.schema import ABOUT_THE_ROW, MediaField, ModelSchema, from_catalogue_entry
from batchgen.models.shipped import shipped, shipped_model_ids
from batchgen.models.starter import init

__all__ = [
    "ABOUT_THE_ROW",
    "Fault",
    "MediaField",
    "ModelSchema",
    "ModelUnknown",
    "Plain",
    "SchemaCache",
    "UnitPrice",
    "did_you_mean",
    "from_catalogue_entry",
    "init",
    "nearest",
    "nearest_name",
    "shipped",
    "shipped_model_ids",
    "shown",
]
