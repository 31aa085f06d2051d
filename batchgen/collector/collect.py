"""From a ready job to verified files: what each ending of a download means for the job."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TypeAlias

import aiohttp

from batchgen import logs
from batchgen.collector import rowfolder
from batchgen.collector.download import (
    MAX_BYTES,
    TOTAL_S,
    Broken,
    Dead,
    DiskFull,
    Download,
    Endless,
    Refused,
    Whole,
    download,
    is_disk_full,
)
from batchgen.collector.shelf import Shelf
from batchgen.collector.shelve import Arrival
from batchgen.collector.shelver import ShelverDied
from batchgen.collector.verifiers import Verifiers
from batchgen.job import Billed, Collected, Job, JobFailed, Output, SavedFile
from batchgen.links import expires_at
from batchgen.runfolder import RunFolder
from batchgen.verify import Undecodable, Verified

FRESH_LINK_S = 600.0
"""Fresh links that lead nowhere are asked for this far apart."""
_LINKS_BEFORE_GONE = 3
_TRIES_PER_LINK = 4
_SAME_BYTES_AGAIN_S = 5.0
_AFTER_A_DEATH_S = 1.0


@dataclass(frozen=True, slots=True)
class TryLater:
    """Not finished; what came is kept. To be tried again after *after_s*, with fresh links if *expired*."""

    reason: str
    after_s: float
    expired: bool


Collection: TypeAlias = Collected | JobFailed | TryLater


@dataclass(slots=True)
class _Trouble:
    """What went wrong with one output so far in this run."""

    dead_links: int = 0
    refused_links: int = 0
    broken: int = 0
    undecodable_sha256: str | None = None
    endless: int = 0


@dataclass(slots=True)
class Arrived:
    """What one try at the outputs of a job brought, by stem and in their order.

    That is the bytes of a small file, what a larger one was verified to be, a file that an earlier try left, or why
    there is none. *published* are the files of a row folder that stood there already.
    """

    by_stem: dict[str, bytes | Verified | SavedFile | JobFailed | TryLater]
    published: tuple[SavedFile, ...] | None = None

    @property
    def files(self) -> dict[str, bytes | Verified | SavedFile]:
        return {stem: came for stem, came in self.by_stem.items() if not isinstance(came, JobFailed | TryLater)}

    @property
    def endings(self) -> list[JobFailed | TryLater]:
        return [came for came in self.by_stem.values() if isinstance(came, JobFailed | TryLater)]


class Collector:
    """Downloads, verifies and publishes. Its session never holds the provider's key.

    No output is longer than *max_bytes* nor takes longer than *total_s*; *workers* processes decode what is larger than
    a few kilobytes. *not_decoded* counts the files that were checked by their container or their first bytes alone.
    """

    def __init__(
        self,
        folder: RunFolder,
        session: aiohttp.ClientSession,
        allow_private: bool,
        now: Callable[[], float],
        max_bytes: int = MAX_BYTES,
        workers: int = 1,
        total_s: float = TOTAL_S,
    ) -> None:
        self.folder = folder
        self.session = session
        self.allow_private = allow_private
        self.now = now
        self.max_bytes = max_bytes
        self.total_s = total_s
        self.received_bytes = 0
        self.not_decoded = 0
        self._trouble: dict[tuple[int, str], _Trouble] = {}
        self._shelf = Shelf(folder)
        self._verifiers = Verifiers(workers)

    async def download(self, job: Job) -> Arrived:
        """Fetch every output of *job*, one after the other: a row's files share one download slot.

        What is whole is kept whatever happens to the others. Raises DiskFull.
        """
        with _room_for(job):
            stems = rowfolder.stems(job.outputs)
            done: dict[str, SavedFile] = {}
            if rowfolder.has_traces(self.folder, job):  # nearly no row has: two look-ups spare it a thread
                published, left = await asyncio.to_thread(rowfolder.left_behind, self.folder, job, stems)
                if published is not None:
                    return Arrived({}, published)  # killed between the folder's move and its record
                done = {stem: file for stem, path in left.items() if (file := await self._finished(path)) is not None}
            arrived = Arrived({})
            for output, stem in zip(job.outputs, stems, strict=True):
                arrived.by_stem[stem] = done.get(stem) or await self._file(job, output, stem)
            return arrived

    async def shelve(self, job: Job, earlier: Sequence[Job], arrived: Arrived) -> Collection:
        """Bring what arrived into the row folder of *job*. If some outputs are gone for good, it holds the rest.

        Raises DiskFull.
        """
        try:
            return await self._shelved(job, earlier, arrived)
        except ShelverDied as died:
            logs.warn("files", answer="ShelverDied", reason=str(died))
            return TryLater(str(died), _AFTER_A_DEATH_S, expired=False)

    async def _shelved(self, job: Job, earlier: Sequence[Job], arrived: Arrived) -> Collection:
        if arrived.published is not None:
            return Collected(self.now(), arrived.published)
        with _room_for(job):
            files, endings = arrived.files, arrived.endings
            publish = not any(isinstance(ending, TryLater) for ending in endings)
            saved, others = await self._put(Arrival(job, earlier, files, publish))
            believed: dict[str, Verified] = {}
            for stem, other in others.items():
                judged = await asyncio.to_thread(self._judged, job, stem, other)
                if isinstance(judged, Verified):
                    believed[stem] = judged
                else:
                    endings.append(judged)
            if later := [ending for ending in endings if isinstance(ending, TryLater)]:
                if believed:
                    await self._put(Arrival(job, earlier, believed, publish=False))
                return min(later, key=lambda ending: ending.after_s)
            if others:
                saved, _ = await self._put(Arrival(job, earlier, {**saved, **believed}, publish=True))
            for stem in rowfolder.stems(job.outputs):
                self._trouble.pop((job.key, stem), None)
            if not saved:
                await asyncio.to_thread(rowfolder.remove_parts, self.folder, job)
        failed = [ending for ending in endings if isinstance(ending, JobFailed)]
        self.not_decoded += sum(not file.is_decoded for file in saved.values())
        return failed[0] if failed else Collected(self.now(), tuple(saved.values()))

    async def _put(self, arrival: Arrival) -> tuple[dict[str, SavedFile], dict[str, Verified | Undecodable]]:
        """The files of *arrival* that are whole, and what the others may be or why they are none."""
        if not arrival.files:
            return {}, {}
        shelved = await self._shelf.put(arrival)
        saved = {stem: file for stem, file in shelved.items() if isinstance(file, SavedFile)}
        self.received_bytes += sum(
            file.bytes for stem, file in saved.items() if not isinstance(arrival.files[stem], SavedFile)
        )
        return saved, {stem: file for stem, file in shelved.items() if not isinstance(file, SavedFile)}

    async def close(self) -> None:
        """Return when nothing is being written any more and no process of this collector is left."""
        self._shelf.close()
        await self._verifiers.close()

    def expires_at(self, job: Job) -> float:
        """When the first of a job's links stops working; never, if they do not say."""
        return min((expiry for output in job.outputs if (expiry := expires_at(output.url))), default=float("inf"))

    def rewrite_sidecar(self, job: Job, earlier: Sequence[Job]) -> None:
        """Bring the row.json of a collected job up to date after a late cost."""
        rowfolder.rewrite_sidecar(self.folder, job, earlier)

    def _parts(self, job: Job) -> Path:
        return self.folder.parts(job.row_id, job.n)

    async def _file(self, job: Job, output: Output, stem: str) -> bytes | Verified | JobFailed | TryLater:
        part = rowfolder.part_of(self._parts(job), stem)
        got = await download(
            self.session, self.folder, output.url, part, self.allow_private, self.max_bytes, self.total_s
        )
        if not isinstance(got, Whole):
            return self._not_whole(job, stem, got)
        if got.content is not None:
            return got.content
        try:
            verified = await self._verifiers.verify(part)
        except Undecodable as error:
            return await asyncio.to_thread(self._judged, job, stem, error)
        return await asyncio.to_thread(self._judged, job, stem, verified) if verified.doubt else verified

    async def _finished(self, path: Path) -> SavedFile | None:
        """The whole file that an earlier try left at *path*, verified again."""
        try:
            return rowfolder.saved_file(path.name, await self._verifiers.verify(path))
        except Undecodable:
            await asyncio.to_thread(self.folder.unlink, path)
            return None

    def _not_whole(self, job: Job, stem: str, got: Download) -> JobFailed | TryLater:
        trouble = self._trouble.setdefault((job.key, stem), _Trouble())
        if not isinstance(got, Whole):
            logs.warn("download", answer=type(got).__name__, file=stem, reason=got.reason)
        match got:
            case Dead(reason):
                trouble.dead_links += 1
                if trouble.dead_links > _LINKS_BEFORE_GONE:
                    return self._failed(f"{stem} is gone: {reason} on {_LINKS_BEFORE_GONE} fresh links")
                return TryLater(f"{stem}: {reason}", self._link_wait_s(trouble.dead_links), expired=True)
            case Refused(reason):
                trouble.refused_links += 1
                return TryLater(f"{stem}: {reason}", self._link_wait_s(trouble.refused_links), expired=True)
            case Endless(reason):
                trouble.endless += 1
                if trouble.endless > 1:
                    return self._failed(f"{stem} cannot be downloaded: {reason}, twice")
                return TryLater(f"{stem}: {reason}", _SAME_BYTES_AGAIN_S, expired=True)
            case Broken(reason):
                trouble.broken += 1
                after_s = min(60.0, 0.25 * 2.0 ** min(trouble.broken, 10))
                return TryLater(f"{stem}: {reason}", after_s, expired=trouble.broken % _TRIES_PER_LINK == 0)
            case Whole():
                raise AssertionError("a whole download is verified, not judged")

    def _link_wait_s(self, times: int) -> float:
        """The first dead link may just have expired; after that, fresh links lead nowhere."""
        return 0.0 if times == 1 else FRESH_LINK_S

    def _judged(self, job: Job, stem: str, came: Verified | Undecodable) -> Verified | JobFailed | TryLater:
        """What becomes of bytes that are no output, or hardly one. The same twice are what the provider has: they are
        kept as they are if they may be an output, and are gone if they cannot.
        """
        trouble = self._trouble.setdefault((job.key, stem), _Trouble())
        part = rowfolder.part_of(self._parts(job), stem)
        reason = came.doubt if isinstance(came, Verified) else str(came)
        with self.folder.reading(part) as stream:
            sha256, size_bytes = file_digest(stream, "sha256").hexdigest(), os.fstat(stream.fileno()).st_size
        logs.warn("verify", answer=type(came).__name__, file=stem, reason=reason, bytes=size_bytes, sha256=sha256)
        if sha256 == trouble.undecodable_sha256:
            if isinstance(came, Verified):
                return came
            kept = rowfolder.set_aside(self.folder, job, part)
            return self._failed(f"{stem}: {reason}; the same bytes came twice and are kept in {kept.name}")
        trouble.undecodable_sha256 = sha256
        rowfolder.discard(self.folder, part)
        return TryLater(f"{stem}: {reason}", _SAME_BYTES_AGAIN_S, expired=True)

    def _failed(self, reason: str) -> JobFailed:
        return JobFailed(self.now(), reason, Billed.YES)


@contextmanager
def _room_for(job: Job) -> Iterator[None]:
    """A full disk is told by its name."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(f"no room for the files of row {job.row_id}: {error.strerror}") from None
        raise
