"""What a model wants: its schema, the typing of a row's cells, and everything that can be wrong with them.

`batchgen.schema.media` looks at input files; it is imported by itself, as it brings the HTTP client.
"""

from batchgen.schema.cache import SchemaCache
from batchgen.schema.cells import Plain
from batchgen.schema.fault import Fault, ModelUnknown, shown
from batchgen.schema.model import ABOUT_THE_ROW, MediaField, ModelSchema, from_catalogue_entry
from batchgen.schema.nearest import did_you_mean, nearest, nearest_name
from batchgen.schema.price import UnitPrice
from batchgen.schema.shipped import shipped, shipped_model_ids
from batchgen.schema.starter import init

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
