"""Files that appear only when they are whole, and originals that are checked while they are read."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from batchgen.exits import Exit, Refusal

PIECE_BYTES = 1 << 20


class OriginalDamaged(Refusal):
    """A file of the run folder is not what it was when it was verified."""

    exit = Exit.STATE


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A stream whose bytes stand at *path* once it is left without an error. The folder is the caller's to sync."""
    part = path.with_name(path.name + ".part")
    with part.open("wb", buffering=PIECE_BYTES) as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def stands(path: str | Path, size_bytes: int) -> bool:
    """Whether a file of that size is at *path*, where only whole files are."""
    try:
        return os.stat(path).st_size == size_bytes
    except OSError:
        return False


class Original:
    """The bytes of one original, to be read once, inside a `with`.

    Raises OriginalDamaged if it cannot be opened, and at the end if its hash is not *sha256*.
    """

    def __init__(self, place: str | bytes, sha256: str) -> None:
        self._place = place
        self._sha256 = sha256
        self._hash = hashlib.sha256()
        self._stream: io.RawIOBase | io.BytesIO

    def __enter__(self) -> Original:
        try:
            self._stream = (
                io.BytesIO(self._place) if isinstance(self._place, bytes) else open(self._place, "rb", buffering=0)
            )
        except OSError as error:
            raise self._damaged(f"cannot be read ({error.strerror})") from None
        return self

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size) or b""
        self._hash.update(piece)
        return piece

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """A file that became shorter breaks its reader first: its hash is the better reason."""
        with self._stream:
            if kind is None or issubclass(kind, OSError):
                while self.read(PIECE_BYTES):
                    pass
                if self._hash.hexdigest() != self._sha256 and not getattr(error, "errno", None):
                    raise self._damaged("is not as it was when it was verified")

    def copy_to(self, stream: BinaryIO) -> None:
        while piece := self.read(PIECE_BYTES):
            stream.write(piece)

    def _damaged(self, what: str) -> OriginalDamaged:
        name = "an inlined source" if isinstance(self._place, bytes) else self._place
        return OriginalDamaged(f"{name} {what}; `batchgen collect --verify` brings outputs back, then export again")
