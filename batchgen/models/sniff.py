"""What a file is by its first bytes: whether a picture, a video or sound could be in it. Pure."""

from __future__ import annotations

from typing import Literal

Kind = Literal["image", "video", "audio"]

HEAD_BYTES = 512
WORDS: dict[Kind, str] = {"image": "a picture", "video": "a video", "audio": "sound"}

_IMAGE: frozenset[Kind] = frozenset({"image"})
_VIDEO: frozenset[Kind] = frozenset({"video"})
_AUDIO: frozenset[Kind] = frozenset({"audio"})
_PLAYED = _VIDEO | _AUDIO

_STARTS: tuple[tuple[bytes, frozenset[Kind]], ...] = (
    (b"\x89PNG", _IMAGE),
    (b"\xff\xd8\xff", _IMAGE),
    (b"GIF8", _IMAGE | _VIDEO),
    (b"BM", _IMAGE),
    (b"II*\0", _IMAGE),
    (b"MM\0*", _IMAGE),
    (b"II+\0", _IMAGE),
    (b"MM\0+", _IMAGE),
    (b"8BPS", _IMAGE),
    (b"\0\0\x01\0", _IMAGE),
    (b"\xff\x0a", _IMAGE),  # JPEG XL
    (b"\0\0\0\x0cJXL ", _IMAGE),
    (b"\0\0\0\x0cjP  ", _IMAGE),
    (b"\x1a\x45\xdf\xa3", _PLAYED),
    (b"\x30\x26\xb2\x75", _PLAYED),
    (b"FLV", _VIDEO),
    (b"\0\0\x01\xba", _VIDEO),
    (b"\0\0\x01\xb3", _VIDEO),
    (b"ID3", _AUDIO),
    (b"fLaC", _AUDIO),
    (b"OggS", _PLAYED),
    (b"FORM", _AUDIO),
    (b"RF64", _AUDIO),
    (b"caff", _AUDIO),
    (b"#!AMR", _AUDIO),
    (b"MThd", _AUDIO),
)
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"crx ")
_OTHERS = (
    (b"version https://git-lfs", "the pointer that git-lfs has for it; run git lfs pull"),
    (b"%PDF", "a PDF"),
    (b"\0\x05\x16\x07", "a file that macOS keeps beside the real one, which has the same name without ._"),
    (b"\0\x05\x16\0", "a file that macOS keeps beside the real one, which has the same name without ._"),
    (b"PK\x03\x04", "a ZIP file or an office document"),
    (b"\xd0\xcf\x11\xe0", "an office document"),
    (b"\x1f\x8b", "a compressed file"),
    (b"Rar!", "a compressed file"),
    (b"7z\xbc\xaf", "a compressed file"),
    (b"bplist", "a property list"),
    (b"MZ", "a program"),
    (b"\x7fELF", "a program"),
)


def kinds_of(head: bytes) -> frozenset[Kind]:
    """What a file that begins with *head* may hold; nothing where its beginning is of no such file known here."""
    if head[4:8] == b"ftyp":
        return _IMAGE if head[8:12] in _PICTURE_BRANDS else _PLAYED
    if head[:4] == b"RIFF":
        return {b"WEBP": _IMAGE, b"WAVE": _AUDIO, b"AVI ": _VIDEO}.get(head[8:12], frozenset())
    if head[:1] == b"\xff" and head[1:2] >= b"\xe0":  # MPEG sound, which begins with any of many frames
        return _AUDIO
    if b"<svg" in head.lower():
        return _IMAGE
    return next((kinds for start, kinds in _STARTS if head.startswith(start)), frozenset())


def other_than(kind: Kind, head: bytes) -> str | None:
    """In words, that a file which begins with *head* is certainly no *kind*, and what it is; None where it may be."""
    kinds = kinds_of(head)
    if kinds:
        played = " or ".join(sorted(WORDS[one] for one in kinds))
        return None if kind in kinds else f"this is not {WORDS[kind]} but {played}"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:20].lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")):
        return f"this is not {WORDS[kind]} but a web page or an error document"
    if named := next((what for begins, what in _OTHERS if head.startswith(begins)), None):
        return f"this is not {WORDS[kind]} but {named}"
    return f"this is not {WORDS[kind]} but a text" if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) < HEAD_BYTES or error.start < len(head) - 3:  # all but a letter that the end of *head* cuts
            return False
        text = head[: error.start].decode("utf-8")
    return bool(text) and all(sign.isprintable() or sign in "\t\r\n\f" for sign in text)
