"""Valid PNGs by hand, in microseconds, for load tests: each output's bytes are its own."""

import hashlib
import re
import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NOTE = b"Comment\x00REHEARSAL - not a real generation - "
BYTES_UNITS = {"": 1, "B": 1, "KB": 1_000, "MB": 1_000_000}


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


_SIDE = 16
_TINY_HEAD = SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 3, 0, 0, 0))
_ROWS = b"".join(b"\x00" + bytes((x // 4 + y // 4) % 4 for x in range(_SIDE)) for y in range(_SIDE))
_TINY_TAIL = _chunk(b"IDAT", zlib.compress(_ROWS, 9))
_END = _chunk(b"IEND", b"")


def tiny_png(name: bytes) -> bytes:
    """A 16x16 PNG of four colours that hang on *name*, which is also written into it."""
    colours = hashlib.blake2b(name, digest_size=12).digest()
    return _TINY_HEAD + _chunk(b"PLTE", colours) + _TINY_TAIL + _chunk(b"tEXt", NOTE + name) + _END


class SizedPng:
    """Valid PNGs of about *wanted_bytes*: one noise picture made once, and a text chunk of their own."""

    def __init__(self, wanted_bytes: int) -> None:
        side = max(1, round((wanted_bytes / 3) ** 0.5))
        noise = hashlib.shake_256(b"rehearsal").digest(side * side * 3)
        rows = b"".join(b"\x00" + noise[y * side * 3 : (y + 1) * side * 3] for y in range(side))
        head = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        self._picture = SIGNATURE + head + _chunk(b"IDAT", zlib.compress(rows, 0))

    def png(self, name: bytes) -> bytes:
        return self._picture + _chunk(b"tEXt", NOTE + name) + _END


def sized(text: str) -> SizedPng:
    """The maker that `bytes:1MB` asks for. Raises ValueError saying what to write."""
    match = re.fullmatch(r"bytes:(\d+(?:\.\d+)?)(B|KB|MB)?", text)
    if match is None or not 1 <= float(match[1]) * BYTES_UNITS[match[2] or ""] <= 200_000_000:
        raise ValueError(f"draw: '{text}' is not known; write full, tiny, or bytes:1MB (at most 200MB)")
    return SizedPng(int(float(match[1]) * BYTES_UNITS[match[2] or ""]))
