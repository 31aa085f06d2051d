"""Is this file whole, and what is it? Decided by its content, never by its name or by a header.

`python -m batchgen.verify` answers paths on stdin with what their files are, a line of JSON each, until stdin ends.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

Content: TypeAlias = io.BufferedReader | io.BytesIO

MAX_PIXELS = 300_000_000
"""Larger pictures are refused: no model makes them, and decoding one would take gigabytes."""


MOST_FRAMES_PIXELS = 10 * MAX_PIXELS
"""All frames of a moving picture together: a few kilobytes can hold years of decoding."""

DECODED, CONTAINER, SIGNATURE = "decoded", "container", "signature"
"""How far a file was checked: to its last pixel and sample; that its container is whole; by its first bytes alone."""

_DECODE_S = 600.0


class Undecodable(Exception):
    """The bytes are not a whole picture, video or sound. Says what they are instead, as far as can be told."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a file is. *extension* belongs to its content; *width* and *height* are pixels, None if unknown.

    *checked* is DECODED, CONTAINER or SIGNATURE.
    """

    size_bytes: int
    sha256: str
    media_type: str
    extension: str
    width: int | None = None
    height: int | None = None
    checked: str = DECODED


@dataclass(frozen=True, slots=True)
class _Kind:
    media_type: str
    extension: str
    checked: str = SIGNATURE
    width: int | None = None
    height: int | None = None


_EXTENSIONS = {
    "PNG": "png",
    "JPEG": "jpg",
    "MPO": "jpg",
    "WEBP": "webp",
    "GIF": "gif",
    "AVIF": "avif",
    "BMP": "bmp",
    "TIFF": "tiff",
}


def verify(path: Path) -> Verified:
    """Decode the whole file at *path* and hash it. Takes CPU: run it off the event loop.

    Pictures are decoded to the last pixel, and so are sound and video where the extra `video` is installed. Without it
    MP4, WAV and AVI are checked by their container, other sound and video by their first bytes only. Raises
    Undecodable.
    """
    with path.open("rb") as stream:
        return _verify(stream, path.stat().st_size)


def verify_bytes(content: bytes) -> Verified:
    """The same of a file that is not on disk yet."""
    return _verify(io.BytesIO(content), len(content))


def _verify(stream: Content, size_bytes: int) -> Verified:
    if size_bytes == 0:
        raise Undecodable("the file is empty")
    head = stream.read(4096)
    media = _container(head, stream, size_bytes)
    kind = _picture(stream, head) if media is None else _played(stream, media)
    stream.seek(0)
    sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return Verified(size_bytes, sha256, kind.media_type, kind.extension, kind.width, kind.height, kind.checked)


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _picture(stream: Content, head: bytes) -> _Kind:
    from PIL import Image, ImageSequence

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    stream.seek(0)
    try:
        with warnings.catch_warnings(), Image.open(stream) as picture:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if (extension := _EXTENSIONS.get(picture.format or "")) is None:
                raise Undecodable(f"a {picture.format} file is not something a model returns")
            if picture.width * picture.height > MAX_PIXELS:
                raise Undecodable(f"{picture.width}x{picture.height} pixels are more than any model returns")
            frames = getattr(picture, "n_frames", 1)  # counted without decoding any
            if frames * picture.width * picture.height > MOST_FRAMES_PIXELS:
                raise Undecodable(f"its {frames} frames have more than {MOST_FRAMES_PIXELS} pixels")
            for frame in ImageSequence.Iterator(picture):
                frame.load()  # verify() would accept a JPEG that was cut off
            media_type = Image.MIME.get(picture.format or "", "application/octet-stream")
            return _Kind("image/jpeg" if extension == "jpg" else media_type, extension, DECODED, *picture.size)
    except Undecodable:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow raises whatever a broken file provokes
        raise Undecodable(_what_it_looks_like(head) or f"not a whole picture ({error})") from None


def _what_it_looks_like(head: bytes) -> str | None:
    start = head.lstrip()[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<error")):
        return "a web page or an error document, not a picture"
    if start.startswith((b"{", b"[")):
        return "a JSON document, not a picture"
    return None


def _container(head: bytes, stream: Content, size_bytes: int) -> _Kind | None:
    """The kind of a sound or video file; None if it is neither."""
    if head[4:8] == b"ftyp" and head[8:12] not in (b"avif", b"avis", b"mif1", b"heic"):
        return _mp4(head, stream, size_bytes)
    if head[:4] == b"RIFF" and head[8:12] in (b"WAVE", b"AVI "):
        return _riff(head, size_bytes)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    return None


_MAGIC = (
    (b"\x1a\x45\xdf\xa3", _Kind("video/webm", "webm")),
    (b"ID3", _Kind("audio/mpeg", "mp3")),
    (b"\xff\xfb", _Kind("audio/mpeg", "mp3")),
    (b"\xff\xf3", _Kind("audio/mpeg", "mp3")),
    (b"OggS", _Kind("audio/ogg", "ogg")),
    (b"fLaC", _Kind("audio/flac", "flac")),
)


def _riff(head: bytes, size_bytes: int) -> _Kind:
    stated = int.from_bytes(head[4:8], "little") + 8
    if stated > size_bytes:
        raise Undecodable(f"cut off: {size_bytes} of {stated} bytes")
    is_sound = head[8:12] == b"WAVE"
    return _Kind("audio/wav", "wav", CONTAINER) if is_sound else _Kind("video/x-msvideo", "avi", CONTAINER)


def _mp4(head: bytes, stream: Content, size_bytes: int) -> _Kind:
    """Walk the top-level boxes: they must fill the file exactly and hold an index and the media."""
    position, boxes = 0, set()
    while position < size_bytes:
        stream.seek(position)
        header = stream.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            length = size_bytes - position
        if length < 8 or position + length > size_bytes:
            raise Undecodable(f"cut off: a box at byte {position} needs {length} bytes, the file has {size_bytes}")
        boxes.add(header[4:8])
        position += length
    if not {b"moov", b"mdat"} <= boxes and b"moof" not in boxes:
        raise Undecodable("the file has no media or no index")
    if head[8:11] == b"M4A":
        return _Kind("audio/mp4", "m4a", CONTAINER)
    if head[8:10] == b"qt":
        return _Kind("video/quicktime", "mov", CONTAINER)
    return _Kind("video/mp4", "mp4", CONTAINER)


def _played(stream: Content, kind: _Kind) -> _Kind:
    """*kind* once every frame and sample of it was decoded; as it is where the extra `video` is not installed."""
    try:
        av: Any = importlib.import_module("av")  # an extra: nothing may depend on its types
    except ImportError:
        return kind
    stream.seek(0)
    give_up = time.monotonic() + _DECODE_S
    size, count = (None, None), 0
    try:
        with av.open(stream, mode="r", metadata_errors="replace", options={"err_detect": "explode"}) as media:
            for frame in media.decode(*(one for one in media.streams if one.type in ("video", "audio"))):
                count += 1
                size = (getattr(frame, "width", size[0]), getattr(frame, "height", size[1]))
                if time.monotonic() > give_up:
                    return kind
    except Exception as error:  # noqa: BLE001 - PyAV raises whatever a broken file provokes
        raise Undecodable(f"it cannot be played ({type(error).__name__}: {error})") from None
    if not count:
        raise Undecodable("it holds neither a picture nor a sound")
    return _Kind(kind.media_type, kind.extension, DECODED, *size)


def main() -> None:
    """One answer for each path: `verified`, `undecodable` with the reason, or `failed` with errno and reason."""
    for line in sys.stdin:
        answer: dict[str, Any]
        try:
            answer = {"verified": asdict(verify(Path(json.loads(line))))}
        except Undecodable as error:
            answer = {"undecodable": str(error)}
        except OSError as error:
            answer = {"failed": [error.errno, error.strerror]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
