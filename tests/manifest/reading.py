"""What the tests of reading share: the seed model, a folder to write manifests in, and a way to read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from batchgen.core.row import Problem, Row
from batchgen.manifest import ManifestError, read
from batchgen.models import ModelSchema, ModelUnknown, shipped, shipped_model_ids

SEED = "bytedance/seedream-4-0/edit-sequential"
WORDS = "acestep-ai/ace-step-1.5/text-to-audio"


def schemas(model_id: str) -> ModelSchema:
    """The shipped schemas, as the provider's catalogue would give them."""
    schema = shipped(model_id)
    if schema is None:
        raise ModelUnknown(model_id, shipped_model_ids())
    return schema


class Read:
    """A manifest as it was read: its rows, its problems, and the lines and columns these name."""

    def __init__(self, path: Path, model: str | None) -> None:
        found = []
        try:
            found = list(read(path, schemas, default_model=model))
        except ManifestError as error:
            found = list(error.problems)
        self.rows = [each for each in found if isinstance(each, Row)]
        self.problems = [each for each in found if isinstance(each, Problem)]
        self.places = [(each.line, each.column) for each in self.problems]
        self.said = "\n".join(map(str, self.problems))

    @property
    def row(self) -> Row:
        """The only row; fails if there is another or a problem."""
        assert not self.problems, self.said
        (row,) = self.rows
        return row


Reading = Callable[..., Read]


def reading_in(folder: Path) -> Reading:
    """What writes a manifest of the given text and name into *folder*, and reads it."""

    def write_and_read(text: str | bytes, name: str = "ads.csv", model: str | None = SEED) -> Read:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Read(path, model)

    return write_and_read
