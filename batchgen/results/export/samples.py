"""A few items to look at: chosen by hash, so that they stay the same while a data set grows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from heapq import heappush, heappushpop
from typing import TYPE_CHECKING

from batchgen.core.pictures import CutOff, Damaged, TooLarge, as_shown
from batchgen.results.export.dataset import DataSet, path_of
from batchgen.results.export.ledger import Item
from batchgen.storage.paths import RunFolder

if TYPE_CHECKING:
    from PIL import Image

SHOWN = 12
_COLUMNS, _SIDE, _GAP = 4, 256, 8


class Samples:
    """The SHOWN items with the smallest hashes of all that are added."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Item]] = []

    def add(self, item: Item) -> None:
        entry = -int(item.record["sha256"], 16), item.number, item
        if len(self._heap) < SHOWN:
            heappush(self._heap, entry)
        else:
            heappushpop(self._heap, entry)

    @property
    def items(self) -> list[Item]:
        return [item for _, _, item in sorted(self._heap, reverse=True)]


def contact_sheet(data: DataSet, items: Sequence[Item]) -> bytes | None:
    """The pictures of *items* side by side, as they are shown, as a JPEG; None if there is none."""
    from PIL import Image, ImageOps

    places = [path_of(data.folder, item.record) for item in items if item.kind == "image"]
    smalls = [small for place in places if (small := _small(data.folder, place)) is not None]
    if not smalls:
        return None
    cell = _SIDE + _GAP
    rows = -(-len(smalls) // _COLUMNS)
    sheet = Image.new("RGB", (min(len(smalls), _COLUMNS) * cell + _GAP, rows * cell + _GAP), "white")
    for index, small in enumerate(ImageOps.contain(small, (_SIDE, _SIDE)) for small in smalls):
        left, top = index % _COLUMNS * cell + _GAP, index // _COLUMNS * cell + _GAP
        sheet.paste(small, (left + (_SIDE - small.width) // 2, top + (_SIDE - small.height) // 2))
    content = io.BytesIO()
    sheet.save(content, "JPEG", quality=85)
    return content.getvalue()


def _small(folder: RunFolder, place: str) -> Image.Image | None:
    """The picture at *place*; None if it is gone, or was never decoded and cannot be."""
    try:
        with folder.reading(place) as stream:
            return as_shown(stream, _SIDE)
    except (OSError, TooLarge, CutOff, Damaged, MemoryError):
        return None
