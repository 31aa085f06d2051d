"""JPEG frames in an MP4 container: a real film with no encoder.

Boxes and their fields as in ISO/IEC 14496-12 and -14; the sample entry is `mp4v` with object type 0x6C (JPEG).
"""

import struct

MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
TICKS_PER_S = 1200
JPEG_OBJECT_TYPE = 0x6C


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", len(content) + 8) + kind + content


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)


def mp4(frames: list[bytes], size: tuple[int, int], frames_per_s: int, note: str) -> bytes:
    """A film of *frames* (JPEG files of *size*), *frames_per_s* a second; *note* stands in its user data."""
    head = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso2mp41")
    media = _box(b"mdat", *frames)
    per_frame = TICKS_PER_S // frames_per_s
    ticks = per_frame * len(frames)
    movie = _box(
        b"moov",
        _full(
            b"mvhd", struct.pack(">4IIH10x", 0, 0, TICKS_PER_S, ticks, 0x10000, 0x100), MATRIX, bytes(24), b"\0\0\0\2"
        ),
        _track(frames, size, ticks, per_frame, len(head) + 8),
        _box(b"udta", _box(b"\xa9cmt", struct.pack(">HH", len(note.encode()), 0x55C4), note.encode())),
    )
    return head + media + movie


def _track(frames: list[bytes], size: tuple[int, int], ticks: int, per_frame: int, first_at: int) -> bytes:
    shown = struct.pack(">II", size[0] << 16, size[1] << 16)
    header = _full(b"tkhd", struct.pack(">5I8x4H", 0, 0, 1, 0, ticks, 0, 0, 0, 0), MATRIX, shown, flags=3)
    handler = _full(b"hdlr", bytes(4), b"vide", bytes(12), b"rehearsal\0")
    data = _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1)))
    media = _box(
        b"mdia",
        _full(b"mdhd", struct.pack(">4IHH", 0, 0, TICKS_PER_S, ticks, 0x55C4, 0)),
        handler,
        _box(b"minf", _full(b"vmhd", bytes(8), flags=1), data, _samples(frames, size, per_frame, first_at)),
    )
    return _box(b"trak", header, media)


def _samples(frames: list[bytes], size: tuple[int, int], per_frame: int, first_at: int) -> bytes:
    """Where each frame lies and how long it shows: all frames are key frames, in one chunk."""
    sizes = [len(frame) for frame in frames]
    return _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), _sample_entry(size, max(sizes))),
        _full(b"stts", struct.pack(">3I", 1, len(frames), per_frame)),
        _full(b"stsc", struct.pack(">4I", 1, 1, len(frames), 1)),
        _full(b"stsz", struct.pack(f">II{len(frames)}I", 0, len(frames), *sizes)),
        _full(b"stco", struct.pack(">II", 1, first_at)),
    )


def _descriptor(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes((tag, len(content))) + content


def _sample_entry(size: tuple[int, int], largest: int) -> bytes:
    decoder = _descriptor(0x04, struct.pack(">BBBHII", JPEG_OBJECT_TYPE, 0x11, 0, min(largest, 0xFFFF), 0, 0))
    stream = _descriptor(0x03, struct.pack(">HB", 1, 0), decoder, _descriptor(0x06, b"\x02"))
    picture = struct.pack(">6xH16xHHIIIH32xHh", 1, *size, 0x480000, 0x480000, 0, 1, 24, -1)
    return _box(b"mp4v", picture, _full(b"esds", stream))
