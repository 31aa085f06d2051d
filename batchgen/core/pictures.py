"""Pictures as Pillow reads them, within bounds: foreign files say how large they are, and are believed only so far."""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

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


_Seen = TypeVar("_Seen")


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
    return _despite_texts(_decode, stream)


def _despite_texts(see: Callable[[BinaryIO], _Seen], stream: BinaryIO) -> _Seen:
    """What goes wrong in a PNG may be a text: their checksums and lengths are nobody's pixels."""
    try:
        return see(stream)
    except Damaged:
        stream.seek(0)
        pixels_alone = _png_without_texts(stream)
        if pixels_alone is None:
            raise
        return see(pixels_alone)


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
    # Pillow refuses more than twice as many, which it looks at where a later frame makes the canvas larger.
    Image.MAX_IMAGE_PIXELS = _MOST_MEMORY_BYTES // _BYTES_PER_PIXEL_ELSEWHERE // 2
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        with Image.open(stream, formats=_FORMATS) as picture:
            _check_size(picture)
            yield picture
    except (TooLarge, MemoryError):
        raise
    except Image.DecompressionBombError:
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


# ── as people see them ──────────────────────────────────────────────────────────────────────────────────


def as_shown(stream: BinaryIO, side: int) -> Image.Image:
    """The picture in *stream* as a screen shows it, *side* pixels at most: turned, in sRGB, on white, each range of
    values scaled to 256 shades. Raises TooLarge, CutOff, Damaged and MemoryError.
    """
    return _despite_texts(lambda again: _as_shown(again, side), stream)


def _as_shown(stream: BinaryIO, side: int) -> Image.Image:
    from PIL import ImageOps

    with opened(stream) as picture:
        picture.draft("RGB", (side * 2, side * 2))
        picture.load()
        profile = picture.info.get("icc_profile")
        small = _with_256_shades(ImageOps.exif_transpose(picture))
        small.thumbnail((side, side), reducing_gap=2.0)
        return _on_white(_in_srgb(small, profile))


_SCREEN_MODES = {"L", "LA", "RGB", "RGBA", "CMYK"}
_DEEP_MODES = {"I", "I;16", "I;16B", "I;16L", "F"}


def _with_256_shades(picture: Image.Image) -> Image.Image:
    if picture.mode in _DEEP_MODES:
        return _scaled(picture)
    if picture.mode in _SCREEN_MODES and "transparency" not in picture.info:
        return picture
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _scaled(picture: Image.Image) -> Image.Image:
    """16 bits from end to end, as screens show them; other numbers from their lowest to their highest."""
    lowest, highest = (0.0, 65535.0) if picture.mode.startswith("I;16") else _range(picture)
    values = picture if picture.mode == "F" else picture.convert("I").convert("F")
    scale = 255.0 / (highest - lowest) if highest > lowest else 0.0
    return values.point(lambda value: value * scale - lowest * scale).convert("L")


def _range(picture: Image.Image) -> tuple[float, float]:
    spans: Any = picture.getextrema()
    lowest, highest = spans
    if picture.mode == "I" and lowest >= 0 and 255 < highest <= 65535:  # a PNG of 16 bits, as some Pillows read it
        return 0.0, 65535.0
    if picture.mode == "F" and lowest >= 0.0 and highest <= 1.0:
        return 0.0, 1.0
    return (lowest, highest) if math.isfinite(lowest) and math.isfinite(highest) else (0.0, 1.0)


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """A profile that cannot be read is as good as none."""
    from PIL import ImageCms

    if profile and picture.mode in ("L", "RGB", "RGBA", "CMYK"):
        target = "RGBA" if picture.mode == "RGBA" else "RGB"
        with suppress(ImageCms.PyCMSError, OSError):
            changed = ImageCms.profileToProfile(
                picture,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode=target,
            )
            return picture if changed is None else changed
    return picture


def _on_white(picture: Image.Image) -> Image.Image:
    """Without transparency: what colour lies hidden under it is nobody's choice."""
    from PIL import Image

    if picture.mode not in ("RGBA", "LA"):
        return picture.convert("RGB")
    clear = picture.convert("RGBA")
    sheet = Image.new("RGB", picture.size, "white")
    sheet.paste(clear, mask=clear.getchannel("A"))
    return sheet


# ── PNG ─────────────────────────────────────────────────────────────────────────────────────────────────

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
