"""Is this file whole, and what is it? Decided by its content, never by its name or by a header.

`python -m batchgen.collector.verify` answers paths on stdin with what their files are, a line of JSON each, until
stdin ends.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path

from batchgen.collector.verify.containers import checked_container
from batchgen.collector.verify.kinds import CONTAINER, DECODED, NONE, SIGNATURE, UNKNOWN, Kind, kind_of
from batchgen.collector.verify.played import played
from batchgen.collector.verify.texts import Undecodable
from batchgen.core import pictures

_HEAD_BYTES = 4096

__all__ = ["CONTAINER", "DECODED", "NONE", "SIGNATURE", "Undecodable", "Verified", "as_it_is", "identify", "verify"]


@dataclass(frozen=True, slots=True)
class Verified:
    """What a file is. *extension* belongs to its content; *width* and *height* are pixels as shown, None if unknown.

    *checked* is DECODED, CONTAINER, SIGNATURE or NONE. *blank*: all of it was decoded and has one colour. *doubt* says
    what speaks against a file that may be what the model made all the same; empty if nothing does.
    """

    size_bytes: int
    sha256: str
    media_type: str
    extension: str
    width: int | None = None
    height: int | None = None
    checked: str = DECODED
    blank: bool = False
    doubt: str = ""


def verify(path: Path) -> Verified:
    """Decode the whole file at *path* and hash it. Takes CPU, and foreign bytes may kill who decodes them: do it in a
    process of its own.

    Pictures are decoded to the last pixel, and so are sound and video where the extra `video` is installed. What is of
    another kind, needs more memory than it may, or cannot be decoded is checked by its container or its first bytes.
    Raises Undecodable for what is certainly no output: an empty file, an error page, a file that is cut off.
    """
    return _verified(path, decodes=True)


def identify(path: Path) -> Verified:
    """The same without decoding anything."""
    if not path.is_file():  # a pipe would be waited for
        raise Undecodable("it is no file")
    return _verified(path, decodes=False)


def as_it_is(stream: io.BufferedReader, size_bytes: int) -> Verified:
    """What *stream* is by its first bytes, whatever speaks against it: for a person who wants it all the same."""
    try:
        kind = kind_of(stream.read(_HEAD_BYTES), size_bytes)
    except Undecodable:
        kind = UNKNOWN
    return _told(stream, size_bytes, kind, "")


def _verified(path: Path, decodes: bool) -> Verified:
    with path.open("rb") as stream:
        size_bytes = path.stat().st_size
        if size_bytes == 0:
            raise Undecodable("the file is empty")
        kind, doubt = _examined(stream, size_bytes, decodes)
        return _told(stream, size_bytes, kind, doubt)


def _told(stream: io.BufferedReader, size_bytes: int, kind: Kind, doubt: str) -> Verified:
    stream.seek(0)
    sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    known = (kind.media_type, kind.extension, kind.width, kind.height, kind.checked, kind.blank)
    return Verified(size_bytes, sha256, *known, doubt)


def _examined(stream: io.BufferedReader, size_bytes: int, decodes: bool) -> tuple[Kind, str]:
    """What is in *stream*, and what speaks against it."""
    kind = kind_of(stream.read(_HEAD_BYTES), size_bytes)
    if kind.media_type in pictures.DECODABLE:
        return _picture(stream, kind, size_bytes, decodes)
    kind = checked_container(stream, kind, size_bytes)
    return played(stream, kind) if decodes and kind.is_played else (kind, "")


def _picture(stream: io.BufferedReader, kind: Kind, size_bytes: int, decodes: bool) -> tuple[Kind, str]:
    doubt = ""
    if decodes:
        stream.seek(0)
        try:
            seen = pictures.decode(stream)
        except (pictures.TooLarge, MemoryError):
            pass  # no doubt: it was not looked at
        except pictures.CutOff:
            raise Undecodable("not a whole picture (truncated before its last pixel)") from None
        except pictures.Damaged:
            doubt = f"not a whole picture ({kind.media_type} that cannot be decoded)"
        else:
            return replace(kind, checked=DECODED, width=seen.width, height=seen.height, blank=seen.blank), ""
    try:
        kind = checked_container(stream, kind, size_bytes)
    except Undecodable as error:
        raise Undecodable(f"not a whole picture ({error})") from None
    return replace(kind, checked=SIGNATURE) if doubt else kind, doubt
