"""Pictures as Pillow reads them, within bounds: foreign files say how large they are, and are believed only so far."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from PIL import Image

_MOST_MEMORY_BYTES = 512 * 1024**2
_BYTES_PER_PIXEL = {"image/webp": 16, "image/avif": 12, "image/gif": 12}
"""What decoding takes at its height: the frame, the canvas, the canvas before and Pillow's own copy."""
_BYTES_PER_PIXEL_ELSEWHERE = 4

MOST_FILM_PIXELS = _MOST_MEMORY_BYTES // 12
"""Of one frame of a video: decoders hold several."""

_MOST_PIXELS_OF_ALL_FRAMES = 2**30
"""A few kilobytes can hold years of decoding."""

DECODABLE = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
}
"""The media types that are decoded, and Pillow's words for them. No other of its decoders sees foreign bytes."""

_FORMATS = (*DECODABLE.values(), "MPO")
_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})
_SAME_SHADES = 2
"""Shades of 256 that lie no further apart are one colour: encoders leave as much."""


class TooLarge(Exception):
    """Decoding it would take more memory or time than any output is worth. Nothing was decoded."""


class CutOff(Exception):
    """The file ends before its last pixel."""


class Damaged(Exception):
    """The bytes cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What was seen of a picture: the size of its first frame as shown, and whether each frame has one colour."""

    width: int
    height: int
    blank: bool


def decode(stream: BinaryIO) -> Decoded:
    """Decode every frame to its last pixel. Raises TooLarge, CutOff, Damaged and MemoryError."""
    try:
        return _decode(stream)
    except Damaged:
        # What goes wrong in a PNG may be a text: their checksums and lengths are nobody's pixels.
        stream.seek(0)
        pixels_alone = _png_without_texts(stream)
        if pixels_alone is None:
            raise
        return _decode(pixels_alone)


def _decode(stream: BinaryIO) -> Decoded:
    with opened(stream) as picture:
        frames: int = getattr(picture, "n_frames", 1)  # counted without decoding any
        if frames * picture.width * picture.height > _MOST_PIXELS_OF_ALL_FRAMES:
            raise TooLarge(f"{frames} frames of {picture.width}x{picture.height} pixels")
        picture.load()
        width, height = size_as_shown(picture)
        blank, pixels = is_one_colour(picture), picture.width * picture.height
        for frame in range(1, frames):
            picture.seek(frame)  # of a TIFF or MPO, each has its own size
            _check_size(picture)
            pixels += picture.width * picture.height
            if pixels > _MOST_PIXELS_OF_ALL_FRAMES:
                raise TooLarge(f"more than {_MOST_PIXELS_OF_ALL_FRAMES} pixels in {frames} frames")
            picture.load()
            blank = blank and is_one_colour(picture)
        return Decoded(width, height, blank)


@contextmanager
def opened(stream: BinaryIO) -> Iterator[Image.Image]:
    """The picture in *stream*, at its first frame and not decoded yet. What Pillow says of it while it is open comes
    as TooLarge, CutOff or Damaged.
    """
    from PIL import Image

    _check_canvas(stream)
    Image.MAX_IMAGE_PIXELS = _MOST_MEMORY_BYTES // _BYTES_PER_PIXEL_ELSEWHERE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(stream, formats=_FORMATS) as picture:
                _check_size(picture)
                yield picture
    except (TooLarge, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooLarge("more pixels than are decoded") from None
    except Exception as error:  # noqa: BLE001 - Pillow raises whatever a broken file provokes
        # Its words hold addresses of objects and paths; that the decoder wanted more bytes is all they prove.
        raise (CutOff if "truncated" in str(error).lower() else Damaged)(type(error).__name__) from None


def _check_canvas(stream: BinaryIO) -> None:
    """libwebp makes room for the canvas as soon as it is asked for its size."""
    import imagesize  # type: ignore[import-untyped]

    head = stream.read(64)
    stream.seek(0)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        try:
            width, height = imagesize.get(io.BytesIO(head))
        except ValueError:
            return
        _check_pixels("image/webp", width, height)


def _check_size(picture: Image.Image) -> None:
    from PIL import Image

    _check_pixels(Image.MIME.get(picture.format or "", ""), *picture.size)


def _check_pixels(media_type: str, width: int, height: int) -> None:
    if width * height * _BYTES_PER_PIXEL.get(media_type, _BYTES_PER_PIXEL_ELSEWHERE) > _MOST_MEMORY_BYTES:
        raise TooLarge(f"{width}x{height} pixels")


def size_as_shown(picture: Image.Image) -> tuple[int, int]:
    """Width and height once the picture, which is decoded, is turned as its EXIF data asks for. The same for every
    format: of some, Pillow has turned it by then.
    """
    turned = picture.getexif().get(_ORIENTATION) in _TURNED
    return (picture.height, picture.width) if turned else picture.size


def is_one_colour(picture: Image.Image) -> bool:
    """Whether nothing can be seen in a decoded picture: all its pixels have one colour, or are transparent."""
    if picture.mode in ("P", "PA"):
        picture = picture.convert("RGBA")
    spans: Any = picture.getextrema()  # a pair, or one for each band
    bands: Sequence[tuple[float, float]] = spans if isinstance(spans[0], tuple) else (spans,)
    if picture.mode in ("RGBA", "LA") and bands[-1][1] == 0:
        return True
    same = 0 if picture.mode in ("1", "I", "I;16", "I;16B", "F") else _SAME_SHADES
    return all(highest - lowest <= same for lowest, highest in bands)


_PNG = b"\x89PNG\r\n\x1a\n"
_KEPT_CHUNKS = {b"tRNS", b"acTL", b"fcTL", b"fdAT", b"eXIf"}
_MOST_COPIED_BYTES = 256 * 1024**2


def _png_without_texts(stream: BinaryIO) -> BinaryIO | None:
    """The chunks of a PNG that its pixels need; None if it is no PNG, or no whole one, or too long to be copied."""
    content = stream.read(_MOST_COPIED_BYTES + 1)
    if not content.startswith(_PNG) or len(content) > _MOST_COPIED_BYTES:
        return None
    kept, position = io.BytesIO(), len(_PNG)
    kept.write(_PNG)
    while position + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        chunk = memoryview(content)[position : position + 12 + length]
        if name[:1].isupper():  # critical: its checksum is the pixels' own
            kept.write(chunk)
        elif name in _KEPT_CHUNKS and len(chunk) == 12 + length:
            kept.write(chunk[:-4])
            kept.write(zlib.crc32(chunk[4:-4]).to_bytes(4, "big"))
        position += 12 + length
    kept.seek(0)
    return kept
