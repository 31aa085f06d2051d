"""Small files of kinds that models return, as bytes."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

from PIL import Image

from tests.collector.media import picture, sound


def box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + name + content


def track(kind: bytes) -> bytes:
    return box(b"trak", box(b"mdia", box(b"hdlr", bytes(8), kind, bytes(12))))


def mp4(*tracks: bytes, brand: bytes = b"isom") -> bytes:
    """Whole boxes, and nothing in them that could be played."""
    return (
        box(b"ftyp", brand, bytes(4), brand)
        + box(b"moov", box(b"mvhd", bytes(100)), *map(track, tracks))
        + box(b"mdat", bytes(500))
    )


def heif(brand: bytes, *compatible: bytes) -> bytes:
    return box(b"ftyp", brand, bytes(4), *compatible) + box(b"meta", bytes(60)) + box(b"mdat", bytes(100))


def element(name: int, *parts: bytes) -> bytes:
    """One element of Matroska, with a length of eight bytes."""
    content = b"".join(parts)
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + (1 << 56 | len(content)).to_bytes(8, "big") + content


def matroska(doc_type: bytes, *track_types: int) -> bytes:
    tracks = element(0x1654AE6B, *(element(0xAE, element(0x83, bytes([kind]))) for kind in track_types))
    head = element(0x1A45DFA3, element(0x4282, doc_type))
    return head + element(0x18538067, element(0xEC, bytes(20)), tracks, element(0x1F43B675, bytes(300)))


def streamed_wav(stated_bytes: int) -> bytes:
    """As it comes from a program that could not go back to its header."""
    content = bytearray(sound())
    content[4:8] = struct.pack("<I", min(stated_bytes + 36, 0xFFFFFFFF) if stated_bytes else 0)
    content[40:44] = struct.pack("<I", stated_bytes)
    return bytes(content)


def glb() -> bytes:
    document = b'{"asset":{"version":"2.0"}} '
    return b"glTF" + struct.pack("<III", 2, 20 + len(document), len(document)) + b"JSON" + document


def stl(triangles: int = 3) -> bytes:
    return b"made by a model".ljust(80, b"\0") + struct.pack("<I", triangles) + bytes(50 * triangles)


def archive(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr(name, "something")
    return content.getvalue()


def png_with(name: bytes, content: bytes, *, right_checksum: bool = True) -> bytes:
    """A picture with one more chunk before its pixels."""
    whole = picture()
    checksum = zlib.crc32(name + content) ^ (0 if right_checksum else 0xFF)
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)
    return whole[:33] + chunk + whole[33:]


def canvas(width: int, height: int) -> bytes:
    """The header of a WebP that says how large its canvas is, and no picture."""
    body = (
        b"WEBPVP8X" + struct.pack("<II", 10, 0) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()
