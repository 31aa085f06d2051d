"""What is kept of a download that broke off: its bytes in a `.part`, and beside it what they are the beginning of.

Going on takes a strong ETag, or else the same length and the same bytes at the seam: a file host that names no version
of its files would have every break begin anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from batchgen.collector.row_folder import discard, validator_of
from batchgen.storage.paths import RunFolder

SEAM_BYTES = 1024
"""Without a strong ETag this much is asked for again, and has to be as it was."""
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")


class Version(NamedTuple):
    """Which file at the host: *length_bytes* is all of it, 0 where the host does not say."""

    etag: str = ""
    modified: str = ""
    length_bytes: int = 0
    packing: str = ""

    @property
    def is_strong(self) -> bool:
        """Only a strong ETag says by itself that two answers are the same bytes."""
        return bool(self.etag) and self.etag.isascii() and not self.etag.startswith("W/")

    @property
    def can_go_on(self) -> bool:
        return self.is_strong or self.length_bytes > 0


def version_of(headers: Mapping[str, str]) -> Version:
    """What the headers of a whole answer (200) say of its file."""
    length = headers.get("Content-Length", "")
    return Version(
        headers.get("ETag", ""),
        headers.get("Last-Modified", ""),
        int(length) if length.isascii() and length.isdigit() and len(length) < 19 else 0,
        headers.get("Content-Encoding", "").strip().lower(),
    )


class Kept:
    """A `.part` as it lies there, *have_bytes* of it, and the *version* it is of, if that was kept."""

    def __init__(self, folder: RunFolder, part: Path) -> None:
        self.folder = folder
        self.part = part
        found = folder.stat(part) if folder.is_file(part) else None
        self.have_bytes = 0 if found is None else found.st_size
        self.version = self._kept_version() if self.have_bytes else Version()
        self.goes_on = self.version.can_go_on
        seam_bytes = 0 if self.version.is_strong else SEAM_BYTES
        self.from_byte = max(self.have_bytes - seam_bytes, 0)

    @property
    def request_headers(self) -> dict[str, str]:
        """What asks for the rest."""
        if not self.goes_on:
            return {}
        validator = self.version.etag if self.version.is_strong else self.version.modified
        return {"Range": f"bytes={self.from_byte}-"} | ({"If-Range": validator} if validator else {})

    def continued_by(self, headers: Mapping[str, str]) -> bool:
        """Whether a 206 goes on from where it was asked for, to the end of the same file as far as it tells."""
        found = _RANGE.match(headers.get("Content-Range", ""))
        if not self.goes_on or found is None:
            return False
        first, last, length = (int(number) for number in found.groups())
        same = (
            headers.get("ETag", self.version.etag) == self.version.etag
            and headers.get("Last-Modified", self.version.modified) == self.version.modified
            and self.version.length_bytes in (0, length)
        )
        return same and first == self.from_byte and last + 1 == length

    def seam(self) -> bytes:
        """The bytes that come again before those that are new."""
        if self.from_byte == self.have_bytes:
            return b""
        with self.folder.reading(self.part) as stream:
            stream.seek(self.from_byte)
            return stream.read()

    def remember(self, version: Version) -> None:
        """Keep beside the part which file it is of."""
        if not version.can_go_on:
            self.folder.unlink(validator_of(self.part))
            return
        with self.folder.writing(validator_of(self.part)) as stream:
            stream.write(json.dumps(version._asdict()).encode())

    def forget(self) -> None:
        discard(self.folder, self.part)

    def _kept_version(self) -> Version:
        """An empty one if none was kept."""
        try:
            return Version(**json.loads(self.folder.read_bytes(validator_of(self.part))))
        except (OSError, ValueError, TypeError):
            return Version()


def length_of_range(headers: Mapping[str, str]) -> int | None:
    """How long the whole file is that a 206 is a range of."""
    found = _RANGE.match(headers.get("Content-Range", ""))
    return None if found is None else int(found[3])
