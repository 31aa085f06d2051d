"""Containers say how long their parts are: what a file proves of its own end without being decoded."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from batchgen.collector.verify import matroska
from batchgen.collector.verify.kinds import CONTAINER, Kind
from batchgen.collector.verify.texts import Undecodable

_STREAMED_BYTES = 2_000_000_000
"""Who writes sound as it comes does not know its length, and states one that is never reached: from here on, or 0."""


def checked_container(stream: io.BufferedReader, kind: Kind, size_bytes: int) -> Kind:
    """*kind* as far as the parts of its container tell: `checked` is CONTAINER if they fill the file exactly.

    Raises Undecodable where they prove that the file is cut off.
    """
    check = _CHECKS.get(kind.media_type)
    return kind if check is None else check(stream, kind, size_bytes)


def _cut(size_bytes: int, stated_bytes: int) -> Undecodable:
    return Undecodable(f"cut off: {size_bytes} of {stated_bytes} bytes")


# ── PNG, GIF, GLB, SVG ──────────────────────────────────────────────────────────────────────────────────


def _png(stream: io.BufferedReader, kind: Kind, size_bytes: int) -> Kind:
    position = 8
    while position + 12 <= size_bytes:
        stream.seek(position)
        length, name = struct.unpack(">I4s", stream.read(8))
        position += 12 + length
        if name == b"IEND" and position <= size_bytes:
            return replace(kind, checked=CONTAINER)
    raise Undecodable("cut off: it has no end")


def _gif(stream: io.BufferedReader, kind: Kind, size_bytes: int) -> Kind:
    """The last byte of a GIF is a semicolon; some writers add blanks."""
    stream.seek(max(size_bytes - 64, 0))
    if not stream.read().rstrip(b"\0 \r\n").endswith(b";"):
        raise Undecodable("cut off: it has no end")
    return kind


def _glb(stream: io.BufferedReader, kind: Kind, size_bytes: int) -> Kind:
    stream.seek(8)
    stated = int.from_bytes(stream.read(4), "little")
    if stated > size_bytes:
        raise _cut(size_bytes, stated)
    return replace(kind, checked=CONTAINER) if stated == size_bytes else kind


def _svg(stream: io.BufferedReader, kind: Kind, size_bytes: int) -> Kind:
    stream.seek(max(size_bytes - 4096, 0))
    if not stream.read().lower().rstrip().endswith(b">"):
        raise Undecodable("cut off: it has no end")
    return kind


# ── RIFF: WAV, AVI, WebP ────────────────────────────────────────────────────────────────────────────────


def _riff(stream: io.BufferedReader, kind: Kind, size_bytes: int) -> Kind:
    stream.seek(0)
    head = stream.read(12)
    if head[:4] != b"RIFF":  # RF64 states its lengths in 64 bits elsewhere, and these are all ones
        return kind
    stated = int.from_bytes(head[4:8], "little")
    if kind.media_type == "audio/wav":
        _check_samples(stream, size_bytes)
        if _is_streamed(stated):
            return kind
    if stated + 8 > size_bytes:
        raise _cut(size_bytes, stated + 8)
    return replace(kind, checked=CONTAINER)


def _check_samples(stream: io.BufferedReader, size_bytes: int) -> None:
    """What is stated of the samples may be more than what is stated of the file."""
    position = 12
    while position + 8 <= size_bytes:
        stream.seek(position)
        name, length = struct.unpack("<4sI", stream.read(8))
        position += 8 + length + length % 2
        if name == b"data":
            if position - length % 2 > size_bytes and not _is_streamed(length):
                raise _cut(size_bytes, position)
            return


def _is_streamed(stated_bytes: int) -> bool:
    return stated_bytes == 0 or stated_bytes >= _STREAMED_BYTES


# ── boxes: MP4, MOV, HEIC, AVIF ─────────────────────────────────────────────────────────────────────────

_TOP_BOXES = frozenset(
    b"ftyp styp moov moof mdat free skip wide uuid meta sidx ssix mfra udta pnot prft emsg idat imda meco pdin".split()
)


def _boxes(stream: io.BufferedReader, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first and last position of the content of each box from *start* to *end*, which it may exceed."""
    position = start
    while position + 8 <= end:
        stream.seek(position)
        header = stream.read(16)
        length, head = int.from_bytes(header[:4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(header[8:16], "big"), 16
        elif length == 0:
            length = end - position
        if length < head:
            return
        yield header[4:8], position + head, position + length
        position += length


def _boxed(stream: io.BufferedReader, kind: Kind, size_bytes: int) -> Kind:
    """Bytes after the last box do no harm; a box that the file ends in does."""
    names, last = set(), 0
    for name, start, end in _boxes(stream, 0, size_bytes):
        if name not in _TOP_BOXES and last:
            break
        if end > size_bytes:
            raise Undecodable(f"cut off: a box at byte {start} ends at {end}, the file has {size_bytes} bytes")
        names.add(name)
        last = end
    is_picture = kind.media_type.startswith("image/")
    has_index = bool(names & {b"meta", b"moov"}) if is_picture else {b"moov", b"mdat"} <= names or b"moof" in names
    if not has_index and is_picture and b"mdat" in names:
        return kind  # pictures have their index in front: what lacks it is odd, and not cut
    if not has_index:
        raise Undecodable("cut off: the file has no media or no index")
    kind = _without_pictures(stream, kind, size_bytes)
    return replace(kind, checked=CONTAINER) if last == size_bytes else kind


def _without_pictures(stream: io.BufferedReader, kind: Kind, size_bytes: int) -> Kind:
    """The kind of a film that has nothing but sound."""
    if not kind.media_type.startswith("video/"):
        return kind
    tracks = set(_track_types(stream, size_bytes))
    return replace(kind, media_type="audio/mp4", extension="m4a") if tracks and b"vide" not in tracks else kind


def _track_types(stream: io.BufferedReader, size_bytes: int) -> Iterator[bytes]:
    """`vide`, `soun` and the like, for each track that holds media."""
    for start, end in _inner(stream, [(0, size_bytes)], (b"moov", b"trak", b"mdia", b"hdlr")):
        stream.seek(start + 8)
        if (track := stream.read(4)) in (b"vide", b"soun") and start + 12 <= end:
            yield track


def _inner(stream: io.BufferedReader, spans: list[tuple[int, int]], path: tuple[bytes, ...]) -> list[tuple[int, int]]:
    """Where the contents of all boxes at *path* lie."""
    for name in path:
        spans = [(start, end) for span in spans for found, start, end in _boxes(stream, *span) if found == name]
    return spans


# ── Matroska and WebM ───────────────────────────────────────────────────────────────────────────────────


def _matroska(stream: io.BufferedReader, kind: Kind, size_bytes: int) -> Kind:
    told = matroska.outline(stream, size_bytes)
    if told.end > size_bytes:
        raise _cut(size_bytes, told.end)
    what = "audio" if told.tracks and "video" not in told.tracks else "video"
    if told.is_webm:
        kind = replace(kind, media_type=f"{what}/webm", extension="webm")
    elif what == "audio":
        kind = replace(kind, media_type="audio/x-matroska", extension="mka")
    return replace(kind, checked=CONTAINER) if told.end == size_bytes else kind


_CHECKS: Mapping[str, Callable[[io.BufferedReader, Kind, int], Kind]] = {
    "image/png": _png,
    "image/gif": _gif,
    "image/svg+xml": _svg,
    "image/webp": _riff,
    "audio/wav": _riff,
    "video/x-msvideo": _riff,
    "model/gltf-binary": _glb,
    "video/x-matroska": _matroska,
} | dict.fromkeys(
    (
        "image/avif",
        "image/heic",
        "image/heif",
        "video/mp4",
        "video/quicktime",
        "video/3gpp",
        "audio/mp4",
    ),
    _boxed,
)
