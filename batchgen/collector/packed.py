"""A file that came packed (Content-Encoding gzip or deflate) is unpacked once all of it is here. Takes CPU and waits
for the disk: call it in a thread.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from batchgen.collector.row_folder import validator_of
from batchgen.storage.paths import RunFolder

_CHUNK_BYTES = 1024 * 1024
_GZIP, _DEFLATE = ("gzip", "x-gzip"), ("deflate",)
PACKINGS = frozenset((*_GZIP, *_DEFLATE))
"""The values of Content-Encoding that `unpack` knows."""


class Cut(Exception):
    """All that the server announced came, and its content says that something of it is missing or wrong."""


class TooLong(Exception):
    """There is more in it than any output holds."""


def unpack(folder: RunFolder, part: Path, packing: str, max_bytes: int) -> bool:
    """Put in the place of *part* what is packed in it. What is not packed as its header says stays as it is: False.

    Raises Cut and TooLong; *part* is then as it was.
    """
    read = _gzip if packing in _GZIP else _deflate
    unpacked = part.with_name(f"{part.stem}.unpacked.part")
    written_bytes = 0
    try:
        folder.unlink(unpacked)
        with folder.reading(part) as source, folder.writing(unpacked) as target:
            if not source.read(1):
                return False
            source.seek(0)
            for chunk in read(source):
                written_bytes += len(chunk)
                if written_bytes > max_bytes:
                    raise TooLong(f"more than {max_bytes} bytes once unpacked")
                target.write(chunk)
        folder.unlink(validator_of(part))  # first: nothing of the packed file may be added to the other
        folder.replace(unpacked, part)
    except _NotPacked:
        return False
    finally:
        folder.unlink(unpacked)
    return True


class _NotPacked(Exception):
    """The content is not what Content-Encoding says."""


def _gzip(source: BinaryIO) -> Iterator[bytes]:
    if source.read(2) != b"\x1f\x8b":
        raise _NotPacked
    source.seek(0)
    try:
        with gzip.GzipFile(fileobj=source, mode="rb") as content:
            while chunk := content.read(_CHUNK_BYTES):
                yield chunk
    except EOFError:
        raise Cut("the packed content ends too early") from None
    except (gzip.BadGzipFile, zlib.error):
        raise Cut("the packed content is damaged") from None


def _deflate(source: BinaryIO) -> Iterator[bytes]:
    """With the header that the standard asks for, or without it, as some servers send it."""
    has_header = _is_deflate(source, zlib.MAX_WBITS)
    if not has_header and not _is_deflate(source, -zlib.MAX_WBITS):
        raise _NotPacked
    content = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
    try:
        while packed := content.unconsumed_tail or source.read(_CHUNK_BYTES):
            yield content.decompress(packed, _CHUNK_BYTES)
            if content.eof:
                return
    except zlib.error:
        if has_header:
            raise Cut("the packed content is damaged") from None
    if not has_header:  # much that is not packed reads like a beginning of it
        raise _NotPacked
    raise Cut("the packed content ends too early")


def _is_deflate(source: BinaryIO, window: int) -> bool:
    """Whether *source* begins as packed content does."""
    source.seek(0)
    head = source.read(_CHUNK_BYTES)
    source.seek(0)
    try:
        return bool(zlib.decompressobj(window).decompress(head, _CHUNK_BYTES))
    except zlib.error:
        return False
