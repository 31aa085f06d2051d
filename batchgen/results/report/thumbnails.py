"""Thumbnails: small WebP pictures beside the page, named by the content they were made of."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from batchgen.core.pictures import as_shown
from batchgen.results.report.rows import Source
from batchgen.storage.inside import Inside
from batchgen.storage.paths import RunFolder

SIDE = 480
"""Pixels of the longer side: sharp in a card of the gallery, about 15 kB."""

_QUALITY = 70
_AT_ONCE = 256
_LONGEST_HEAD = 1 << 20
_JPEG = b"\xff\xd8\xff"


def thumbs_folder(home: Inside) -> Path:
    return home.path / "thumbs"


def thumb_path(home: Inside, key: str) -> Path:
    """Spread over 256 folders: 50,000 names in one are slow to list everywhere."""
    return thumbs_folder(home) / key[:2] / f"{key}.webp"


def make_missing(
    folder: RunFolder, home: Inside, sources: Iterator[Source], count: int, told: Callable[[int, int], None]
) -> set[str]:
    """Make the thumbnails of *sources* that are not in *home* yet; the keys of all that are there in the end.

    *told* hears how many of about *count* were looked at.
    """
    keys: set[str] = set()
    looked_at = 0
    with ThreadPoolExecutor(os.cpu_count() or 2, thread_name_prefix="thumbs") as pool:  # Pillow decodes outside the GIL
        while some := list(islice(sources, _AT_ONCE)):
            for source, there in zip(some, pool.map(partial(make, folder, home), some), strict=True):
                looked_at += 1
                if there:
                    keys.add(source.key)
                told(looked_at, max(count, looked_at))
    return keys


def make(folder: RunFolder, home: Inside, source: Source) -> bool:
    """Make one thumbnail in *home* if it is missing. False for a file that is lost or is no picture."""
    path = thumb_path(home, source.key)
    if home.is_file(path):
        return True
    content = thumbnail(folder, source)
    if content is None:
        return False
    home.make(path.parent)
    part = path.with_name(f"{path.name}.{os.getpid()}.{id(content)}.part")
    with home.writing(part) as stream:  # no fsync: it can be made again at any time
        stream.write(content)
    home.replace(part, path)
    return True


def thumbnail(folder: RunFolder, source: Source) -> bytes | None:
    """The picture of *source* as it is shown, SIDE pixels at most; for a film of JPEG frames its first frame."""
    try:
        with folder.reading(source.path) if source.is_output else source.path.open("rb") as stream:
            picture_stream = first_frame(stream) if source.kind == "video" else stream
            if picture_stream is None:
                return None
            content = io.BytesIO()
            as_shown(picture_stream, SIDE).save(content, "WEBP", quality=_QUALITY, method=2)
            return content.getvalue()
    except Exception:  # noqa: BLE001 - a page without one thumbnail is better than no page
        return None


def first_frame(stream: BinaryIO) -> io.BytesIO | None:
    """The first frame of an MP4 whose frames are JPEG; None for any other, whose first frame the browser shows."""
    position = 0
    while len(header := stream.read(16)) >= 8:
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        head = 16 if length == 1 else 8
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if kind == b"mdat":
            stream.seek(position + head)
            start = stream.read(len(_JPEG))  # most films are of other frames: no need to read on
            return io.BytesIO(start + stream.read(_LONGEST_HEAD)) if start == _JPEG else None
        if length < 8:
            return None
        position += length
        stream.seek(position)
    return None
