"""Small real files of every kind that a model returns."""

from __future__ import annotations

import io
import random
import struct
import wave
import zlib

from PIL import Image


def picture(kind: str = "PNG", width: int = 64, height: int = 48, seed: int = 1) -> bytes:
    """A picture of noise, so that every byte of the file counts."""
    noise = Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(width * height * 3))
    content = io.BytesIO()
    noise.save(content, kind)
    return content.getvalue()


def animation() -> bytes:
    frames = [Image.new("P", (8, 8), shade) for shade in (0, 1, 2)]
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:])
    return content.getvalue()


def film() -> bytes:
    """The boxes of an MP4: type, index, media."""
    boxes = ((b"ftyp", b"isom\0\0\2\0isomiso2"), (b"moov", bytes(200)), (b"mdat", bytes(range(256)) * 8))
    return b"".join(struct.pack(">I", len(content) + 8) + name + content for name, content in boxes)


def sound() -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as tune:
        tune.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        tune.writeframes(bytes(8000))
    return content.getvalue()


def picture_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A few bytes that say they are a picture of thousands of megapixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    )
