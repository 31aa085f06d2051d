"""Small real files of every kind that a model returns."""

from __future__ import annotations

import io
import random
import struct
import wave
import zlib

from PIL import Image

from batchgen.simulator.motion import mp4


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


def film(frames: int = 3) -> bytes:
    """A real MP4: every frame is a JPEG."""
    return mp4([picture("JPEG", seed=number) for number in range(frames)], (64, 48), 4, "a film")


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


def animation_bomb(frames: int = 11) -> bytes:
    """Some dots that would be decoded as frames of 300 megapixels each."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 20_000, 15_000, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    dot = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return screen + dot * frames + b"\x3b"


def film_of_rubbish() -> bytes:
    """A whole container whose frames are none."""
    whole = film()
    start = whole.index(b"mdat") + 4
    return whole[:start] + bytes(len(whole[start : whole.index(b"moov") - 4])) + whole[whole.index(b"moov") - 4 :]
