"""Files that appear only when they are whole, and originals that are checked while they are read."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from batchgen.core.errors import Exit, Refusal
from batchgen.storage.paths import RunFolder

_PIECE_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 17


class OriginalDamaged(Refusal):
    """A file of the run folder is not what it was when it was verified."""

    exit = Exit.STATE


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A stream whose bytes stand at *path* once it is left without an error. The folder is the caller's to sync."""
    part = path.with_name(path.name + ".part")
    with part.open("wb", buffering=_BUFFER_BYTES) as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def stands(path: str | Path, size_bytes: int, folder: RunFolder | None = None) -> bool:
    """Whether a file of that size is at *path*, where only whole files are; in *folder* no link is followed."""
    try:
        if folder is not None:
            found = folder.stat(path)
            return found is not None and stat.S_ISREG(found.st_mode) and found.st_size == size_bytes
        return os.stat(path).st_size == size_bytes
    except OSError:
        return False


class Original:
    """The bytes of one original, checked while they are read. *size_bytes* is what it ought to have.

    *folder* is the run folder in which it lies; None for an input, which lies where its user has it.
    """

    def __init__(self, place: str | bytes, sha256: str, size_bytes: int, folder: RunFolder | None = None) -> None:
        self._folder = folder
        self._place = place
        self._sha256 = sha256
        self._size_bytes = size_bytes

    def read(self) -> bytes:
        """The whole of it."""
        return b"".join(self._pieces())

    def copy_to(self, stream: BinaryIO) -> None:
        for piece in self._pieces():
            stream.write(piece)

    def _pieces(self) -> Iterator[bytes]:
        """Piece by piece. Raises OriginalDamaged if it cannot be read, and at its end if its hash is another."""
        found = hashlib.sha256()
        try:
            with self._opened() as stream:
                while piece := stream.read(min(_PIECE_BYTES, self._size_bytes + 1)):
                    found.update(piece)
                    yield piece
        except OSError as error:
            raise self._damaged(f"cannot be read ({error.strerror})") from None
        if found.hexdigest() != self._sha256:
            raise self._damaged("is not as it was when it was verified")

    def _opened(self) -> io.RawIOBase | io.BytesIO:
        if isinstance(self._place, bytes):
            return io.BytesIO(self._place)
        if self._folder is None:
            return io.FileIO(self._place)
        return io.FileIO(self._folder.descriptor(self._place, os.O_RDONLY))

    def _damaged(self, what: str) -> OriginalDamaged:
        name = "an inlined source" if isinstance(self._place, bytes) else self._place
        return OriginalDamaged(f"{name} {what}; `batchgen collect --verify` brings outputs back, then export again")
