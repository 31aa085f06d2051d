"""The bytes of a file on their way from a connection to memory or to a `.part`."""

from __future__ import annotations

import os

import aiofiles
from aiofiles.threadpool.binary import AsyncBufferedIOBase

from batchgen.collector.partfile import Kept, Version

HELD_BYTES = 64 * 1024
"""A file up to this size is handed on in memory: a `.part` that is written for it alone costs more than the rest."""
_CHUNK_BYTES = 1024 * 1024
_RESUMED_BYTES = 8 * _CHUNK_BYTES
"""After a kill, a file is gone on with from this size on; of a break that is noticed, whatever came is kept."""


class OtherFile(Exception):
    """What comes does not fit to what was kept."""


class Arriving:
    """The bytes of one file as they come: held up to a chunk, then written through aiofiles.

    They go on after what is *kept*, or they are the beginning of another *version*.
    """

    def __init__(self, kept: Kept, version: Version | None) -> None:
        self.kept = kept
        self.version = kept.version if version is None else version
        self.received_bytes = 0 if version is not None else kept.have_bytes
        self._resumed = version is None
        self._seam = kept.seam() if self._resumed else b""
        self._is_resumable = False
        self._held = bytearray()
        self._stream: AsyncBufferedIOBase | None = None

    async def take(self, chunk: bytes) -> None:
        if self._seam:
            chunk = self._beyond_the_seam(chunk)
        self.received_bytes += len(chunk)
        self._held += chunk
        if len(self._held) >= _CHUNK_BYTES:
            await self._write()
            if not self._is_resumable and self.received_bytes >= _RESUMED_BYTES:
                self.kept.remember(self.version)
                self._is_resumable = True

    def _beyond_the_seam(self, chunk: bytes) -> bytes:
        again = min(len(self._seam), len(chunk))
        if chunk[:again] != self._seam[:again]:
            raise OtherFile
        self._seam = self._seam[again:]
        return chunk[again:]

    async def whole(self, in_memory: bool) -> bytes | None:
        """All came: the content of a small file if it may stay *in_memory*; None once all of it is in the `.part`."""
        if in_memory and self._stream is None and not self._resumed and len(self._held) <= HELD_BYTES:
            return bytes(self._held)
        await self._write()
        await self.close()
        return None

    async def keep(self) -> None:
        """It broke off, or was cancelled: leave what came, and what it is of, for the next try. Does not wait."""
        if self._stream is not None:
            await self._stream.close()
        if self._held:
            folder, part = self.kept.folder, self.kept.part
            if not (goes_on := self._resumed or self._stream is not None):
                folder.make(part.parent)
                folder.unlink(part)
            with folder.writing(part, "ab" if goes_on else "wb") as stream:
                stream.write(self._held)
            self.kept.remember(self.version)

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.close()

    async def _open(self) -> None:
        folder, part = self.kept.folder, self.kept.part
        folder.make(part.parent)
        if not self._resumed:
            folder.unlink(part)  # a link that was planted there goes
        flags = os.O_APPEND if self._resumed else os.O_TRUNC
        descriptor = folder.descriptor(part, os.O_WRONLY | os.O_CREAT | flags)
        self._stream = await aiofiles.open(descriptor, "ab" if self._resumed else "wb")

    async def _write(self) -> None:
        if self._stream is None:
            await self._open()
        assert self._stream is not None
        if self._held:
            held, self._held = self._held, bytearray()  # before the wait: a cancelled write may still be done
            await self._stream.write(held)
