"""From a ready job to verified files: what each ending of a download means for the job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import aiohttp

from batchgen import logs
from batchgen.collector import rowfolder
from batchgen.collector.download import (
    MAX_BYTES,
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
from batchgen.collector.verify import Undecodable, sha256_of
from batchgen.job import Billed, Collected, Job, JobFailed, Output, SavedFile
from batchgen.links import expires_at
from batchgen.runfolder import RunFolder

FRESH_LINK_S = 600.0
"""Fresh links that lead nowhere are asked for this far apart."""
_LINKS_BEFORE_GONE = 3
_TRIES_PER_LINK = 4
_SAME_BYTES_AGAIN_S = 5.0


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
class Collector:
    """Downloads, verifies and publishes. Its session never holds the provider's key.

    No output is longer than *max_bytes*.
    """

    folder: RunFolder
    session: aiohttp.ClientSession
    allow_private: bool
    now: Callable[[], float]
    max_bytes: int = MAX_BYTES
    _trouble: dict[tuple[int, str], _Trouble] = field(default_factory=dict)
    received_bytes: int = 0

    async def collect(self, job: Job, earlier: Sequence[Job]) -> Collection:
        """Bring every output of *job* to its row folder. Raises DiskFull.

        Outputs are taken one after the other: a row's files share one download slot. What is whole is kept
        whatever happens to the others; if some are gone for good, the row folder holds the rest.
        """
        try:
            return await self._collect(job, earlier)
        except OSError as error:
            if is_disk_full(error):
                raise DiskFull(f"no room for the files of row {job.row_id}: {error.strerror}") from None
            raise

    async def _collect(self, job: Job, earlier: Sequence[Job]) -> Collection:
        stems = rowfolder.stems(job.outputs)
        done: dict[str, SavedFile] = {}
        if rowfolder.has_traces(self.folder, job):  # nearly no row has: two look-ups spare it a thread
            published, done = await asyncio.to_thread(rowfolder.left_behind, self.folder, job, stems)
            if published is not None:
                return Collected(self.now(), published)  # killed between the folder's move and its record
        parts = rowfolder.open_parts(self.folder, job)
        saved: list[SavedFile] = []
        failed: list[JobFailed] = []
        later: list[TryLater] = []
        for output, stem in zip(job.outputs, stems, strict=True):
            match done.get(stem) or await self._file(job, output, parts, stem):
                case SavedFile() as file:
                    saved.append(file)
                case JobFailed() as ending:
                    failed.append(ending)
                case TryLater() as ending:
                    later.append(ending)
        if later:
            return min(later, key=lambda ending: ending.after_s)
        for stem in stems:
            self._trouble.pop((job.key, stem), None)
        if saved:
            await asyncio.to_thread(rowfolder.publish, self.folder, job, earlier, saved)
        else:
            await asyncio.to_thread(rowfolder.remove_parts, self.folder, job)
        return failed[0] if failed else Collected(self.now(), tuple(saved))

    def expires_at(self, job: Job) -> float:
        """When the first of a job's links stops working; never, if they do not say."""
        return min((expiry for output in job.outputs if (expiry := expires_at(output.url))), default=float("inf"))

    def rewrite_sidecar(self, job: Job, earlier: Sequence[Job]) -> None:
        """Bring the row.json of a collected job up to date after a late cost."""
        rowfolder.rewrite_sidecar(self.folder, job, earlier)

    async def _file(self, job: Job, output: Output, parts: Path, stem: str) -> SavedFile | JobFailed | TryLater:
        part = rowfolder.part_of(parts, stem)
        got = await download(self.session, output.url, part, self.allow_private, self.max_bytes)
        if not isinstance(got, Whole):
            return self._not_whole(job, stem, got)
        try:
            file = await asyncio.to_thread(rowfolder.accept_part, part)
            self.received_bytes += file.bytes
            return file
        except Undecodable as error:
            return await asyncio.to_thread(self._undecodable, job, part, stem, str(error))

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

    def _undecodable(self, job: Job, part: Path, stem: str, reason: str) -> JobFailed | TryLater:
        trouble = self._trouble.setdefault((job.key, stem), _Trouble())
        sha256 = sha256_of(part)
        logs.warn("verify", answer="Undecodable", file=stem, reason=reason, bytes=part.stat().st_size, sha256=sha256)
        if sha256 == trouble.undecodable_sha256:
            kept = rowfolder.set_aside(self.folder, job, part)
            return self._failed(f"{stem}: {reason}; the same bytes came twice and are kept in {kept.name}")
        trouble.undecodable_sha256 = sha256
        rowfolder.discard(part)
        return TryLater(f"{stem}: {reason}", _SAME_BYTES_AGAIN_S, expired=True)

    def _failed(self, reason: str) -> JobFailed:
        return JobFailed(self.now(), reason, Billed.YES)
