"""What an edit was made from: the input of the same kind as its output, if its bytes are within reach."""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from batchgen.core.job import Job


@dataclass(frozen=True, slots=True)
class Source:
    """One input file of a request. *pointer* is its place in the input (`images.0`), *name* as the manifest has it."""

    pointer: str
    name: str
    sha256: str
    bytes: int
    media_type: str

    @property
    def extension(self) -> str:
        return _EXTENSIONS.get(self.media_type) or (mimetypes.guess_extension(self.media_type) or ".bin")[1:]


_EXTENSIONS = {"image/jpeg": "jpg", "image/tiff": "tiff", "video/quicktime": "mov", "audio/mpeg": "mp3"}


def source_of(job: Job, media_type: str) -> Source | None:
    """The first local file or inlined file of *job* that is, as *media_type*, a picture, a video or a sound.

    None for inputs that are only known by URL. A mask is no source.
    """
    kind = media_type.partition("/")[0]
    for source in (*_local(job), *_inlined(job)):
        if source.media_type.startswith(f"{kind}/") and "mask" not in source.pointer:
            return source
    return None


def source_bytes(job: Job, pointer: str) -> str | bytes:
    """Where the source at *pointer* is: a local path, or the bytes themselves."""
    for file in job.files:
        if file["pointer"] == pointer:
            return str(file["path"])
    content = _decoded(dict(_strings(job.input))[pointer])
    assert content is not None, "a source that was found once is in the request"
    return content


def lost_source(job: Job, source: Source) -> str | None:
    """Why the bytes of *source* cannot be had any more; None if they can."""
    place = source_bytes(job, source.pointer)
    if isinstance(place, bytes):
        return None
    try:
        stat = os.stat(place)
        known = next(file for file in job.files if file["pointer"] == source.pointer)
        if (stat.st_size, stat.st_mtime_ns) == (known["size_bytes"], known["mtime_ns"]):
            return None
        with open(place, "rb") as stream:
            same = hashlib.file_digest(stream, "sha256").hexdigest() == source.sha256
    except OSError as error:
        return f"its source {os.path.basename(source.name)} cannot be read ({error.strerror})"
    return None if same else f"its source {os.path.basename(source.name)} has changed since the request was sent"


def _local(job: Job) -> Iterator[Source]:
    for file in job.files:
        media_type = mimetypes.guess_type(os.path.basename(file["path"]))[0] or ""
        name = dict(_strings(job.input)).get(file["pointer"], "")
        yield Source(file["pointer"], name, file["sha256"], file["size_bytes"], media_type)


def _inlined(job: Job) -> Iterator[Source]:
    for pointer, text in _strings(job.input):
        if text.startswith("data:") and (content := _decoded(text)) is not None:
            media_type = text[5:].partition(",")[0].partition(";")[0]
            yield Source(pointer, "", hashlib.sha256(content).hexdigest(), len(content), media_type)


def _strings(request_input: Any) -> Iterator[tuple[str, str]]:
    """Every text of the input that may name a file, with its pointer."""
    for name, value in request_input.items():
        for index, item in enumerate(value) if isinstance(value, list) else ((None, value),):
            if isinstance(item, str):
                yield (name if index is None else f"{name}.{index}"), item


def _decoded(uri: str) -> bytes | None:
    head, comma, body = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        return None
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        return None
