"""What a file is by its first bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from batchgen.collector.verify.texts import text_kind

DECODED, CONTAINER, SIGNATURE, NONE = "decoded", "container", "signature", "none"
"""How far a file was checked: to its last pixel and sample; that its container is whole; by its first bytes alone; or
not at all, since nothing tells what it is but that it is no error page.
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file, and what is known of the one that is looked at."""

    media_type: str
    extension: str
    checked: str = SIGNATURE
    width: int | None = None
    height: int | None = None
    blank: bool = False

    @property
    def is_played(self) -> bool:
        return self.media_type.startswith(("audio/", "video/")) and self.extension != "mid"


UNKNOWN = Kind("application/octet-stream", "bin", NONE)


def kind_of(head: bytes, size_bytes: int) -> Kind:
    """The kind of a file of *size_bytes* that begins with *head*. Raises Undecodable for an error page."""
    for magic, media_type, extension in _MAGIC:
        if head.startswith(magic):
            return Kind(media_type, extension)
    for is_one, media_type, extension in _SHAPES:
        if is_one(head, size_bytes):
            return Kind(media_type, extension)
    if (brand := _brand(head)) is not None:
        return brand
    found = text_kind(head, size_bytes)
    return UNKNOWN if found is None else Kind(found.media_type, found.extension, SIGNATURE if found.is_marked else NONE)


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (b"GIF87a", "image/gif", "gif"),
    (b"GIF89a", "image/gif", "gif"),
    (b"II*\0", "image/tiff", "tiff"),
    (b"MM\0*", "image/tiff", "tiff"),
    (b"II+\0", "image/tiff", "tiff"),
    (b"MM\0+", "image/tiff", "tiff"),
    (b"\xff\x0a", "image/jxl", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl", "jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2", "jp2"),
    (b"\xff\x4f\xff\x51", "image/j2c", "j2c"),
    (b"8BPS", "image/vnd.adobe.photoshop", "psd"),
    (b"\x76\x2f\x31\x01", "image/x-exr", "exr"),
    (b"\0\0\1\0", "image/vnd.microsoft.icon", "ico"),
    (b"#?RADIANCE", "image/vnd.radiance", "hdr"),
    (b"#?RGBE", "image/vnd.radiance", "hdr"),
    (b"DDS ", "image/vnd.ms-dds", "dds"),
    (b"\xabKTX 20\xbb", "image/ktx2", "ktx2"),
    (b"qoif", "image/qoi", "qoi"),
    (b"\x1a\x45\xdf\xa3", "video/x-matroska", "mkv"),
    (b"FLV\1", "video/x-flv", "flv"),
    (b"\0\0\1\xba", "video/mpeg", "mpg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf", "asf"),
    (b"ID3", "audio/mpeg", "mp3"),
    (b"OggS", "audio/ogg", "ogg"),
    (b"fLaC", "audio/flac", "flac"),
    (b"#!AMR", "audio/amr", "amr"),
    (b"MThd", "audio/midi", "mid"),
    (b"caff", "audio/x-caf", "caf"),
    (b".snd", "audio/basic", "au"),
    (b"glTF", "model/gltf-binary", "glb"),
    (b"Kaydara FBX Binary", "application/vnd.autodesk.fbx", "fbx"),
    (b"PXR-USDC", "model/x-usdc", "usdc"),
    (b"ply\n", "model/x-ply", "ply"),
    (b"ply\r\n", "model/x-ply", "ply"),
    (b"BLENDER", "application/x-blender", "blend"),
    (b"PK\5\6", "application/zip", "zip"),
    (b"\x1f\x8b", "application/gzip", "gz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd", "zst"),
    (b"\xfd7zXZ\0", "application/x-xz", "xz"),
    (b"BZh", "application/x-bzip2", "bz2"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed", "7z"),
    (b"Rar!\x1a\7", "application/vnd.rar", "rar"),
    (b"%PDF-", "application/pdf", "pdf"),
    (b"\x93NUMPY", "application/x-npy", "npy"),
    (b"PAR1", "application/vnd.apache.parquet", "parquet"),
    (b"wOF2", "font/woff2", "woff2"),
    (b"OTTO", "font/otf", "otf"),
)


def _is_riff(form: bytes) -> Callable[[bytes, int], bool]:
    return lambda head, _: head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == form


def _is_layered_sound(layers: frozenset[int]) -> Callable[[bytes, int], bool]:
    """Frames of MPEG audio: eleven set bits, a version and a layer that exist, and for MP3 a rate that does."""

    def is_one(head: bytes, _: int) -> bool:
        if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or head[1] & 0x18 == 0x08:
            return False
        layer = head[1] >> 1 & 3
        if layer not in layers:
            return False
        # Layer 0 is AAC (ADTS), whose twelfth bit is set, too.
        return head[1] & 0xF0 == 0xF0 if layer == 0 else head[2] & 0xF0 != 0xF0 and head[2] & 0x0C != 0x0C

    return is_one


_BMP_HEADERS = {length.to_bytes(4, "little") for length in (12, 40, 52, 56, 64, 108, 124)}
_USD = (b".usd", b".usda", b".usdc")
_STL_HEAD_BYTES, _STL_TRIANGLE_BYTES = 84, 50

_SHAPES: tuple[tuple[Callable[[bytes, int], bool], str, str], ...] = (
    (_is_riff(b"WEBP"), "image/webp", "webp"),
    (_is_riff(b"WAVE"), "audio/wav", "wav"),
    (_is_riff(b"AVI "), "video/x-msvideo", "avi"),
    (lambda head, _: head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"), "audio/aiff", "aiff"),
    (lambda head, _: head[:2] == b"BM" and head[14:18] in _BMP_HEADERS, "image/bmp", "bmp"),
    (lambda head, _: re.match(rb"P[1-7]\s", head) is not None, "image/x-portable-anymap", "pnm"),
    (_is_layered_sound(frozenset({0})), "audio/aac", "aac"),
    (_is_layered_sound(frozenset({1, 2})), "audio/mpeg", "mp3"),
    (lambda head, _: head[:377:188] == b"GGG", "video/mp2t", "ts"),
    (lambda head, _: head[:4] == b"PK\3\4" and _first_name(head).endswith(_USD), "model/vnd.usdz+zip", "usdz"),
    (lambda head, _: head[:4] in (b"PK\3\4", b"PK\7\x08"), "application/zip", "zip"),
    (lambda head, _: head[257:262] == b"ustar", "application/x-tar", "tar"),
    (
        lambda head, size_bytes: (
            len(head) >= _STL_HEAD_BYTES
            and size_bytes == _STL_HEAD_BYTES + _STL_TRIANGLE_BYTES * int.from_bytes(head[80:84], "little")
        ),
        "model/stl",
        "stl",
    ),
)


def _first_name(head: bytes) -> bytes:
    """The name of the first file in a ZIP."""
    return head[30 : 30 + int.from_bytes(head[26:28], "little")].lower()


_BRANDS = {
    b"avif": ("image/avif", "avif"),
    b"avis": ("image/avif", "avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), ("image/heic", "heic")),
    b"mif1": ("image/heif", "heif"),
    b"msf1": ("image/heif", "heif"),
    b"qt  ": ("video/quicktime", "mov"),
    b"M4A ": ("audio/mp4", "m4a"),
    b"M4B ": ("audio/mp4", "m4a"),
    **dict.fromkeys((b"3gp4", b"3gp5", b"3gp6", b"3gp7"), ("video/3gpp", "3gp")),
    b"crx ": ("image/x-canon-cr3", "cr3"),
}
_FIRST_BOXES = {b"styp": ("video/mp4", "mp4"), b"moof": ("video/mp4", "mp4")} | dict.fromkeys(
    (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"), ("video/quicktime", "mov")
)


def _brand(head: bytes) -> Kind | None:
    """The kind of a file made of boxes, by its brands; None for another."""
    if head[4:8] != b"ftyp":
        named = _FIRST_BOXES.get(head[4:8])
        return None if named is None else Kind(*named)
    brand = head[8:12]
    if brand in (b"mif1", b"msf1"):  # says no more than that there are pictures: the others tell which
        others = head[16 : int.from_bytes(head[:4], "big")]
        brand = next((b for b in (b"avif", b"avis", b"heic", b"heix", b"hevc") if b in others), brand)
    return Kind(*_BRANDS.get(brand, ("video/mp4", "mp4")))
