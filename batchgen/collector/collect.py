"""From a ready job to verified files: what each ending of a download means for the job."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TypeAlias

import aiohttp

from batchgen.collector import row_folder
from batchgen.collector.batching import RowBatcher
from batchgen.collector.download import (
    MAX_BYTES,
    TOTAL_S,
    Broken,
    Damaged,
    Dead,
    DiskFull,
    Download,
    Endless,
    Nowhere,
    Refused,
    Whole,
    download,
    is_disk_full,
)
from batchgen.collector.verify import DECODED, Undecodable, Verified, as_it_is
from batchgen.collector.workers.verifiers import Verifiers
from batchgen.collector.workers.writer import ShelverDied
from batchgen.collector.write_rows import RowFiles
from batchgen.core import log
from batchgen.core.job import Billed, Collected, Job, JobFailed, Output, SavedFile, TakenBack
from batchgen.core.urls import expires_at
from batchgen.storage.paths import RunFolder

FRESH_LINKS_S = (30.0, 120.0, 600.0)
"""How far apart fresh links that lead nowhere are asked for; where they are refused, it goes on at the last."""
LINKS_BEFORE_GONE = len(FRESH_LINKS_S) + 1
_MAY_BE_STALE_S = 60.0
"""A link that is older was not asked for just now: it may have expired, which says nothing about its file."""
_TRIES_PER_LINK = 4
_BROKEN_FOR_LONG = 2 * _TRIES_PER_LINK
_SAME_BYTES_AGAIN_S = 5.0
_AFTER_A_DEATH_S = 1.0

COMPARED = "compared"
"""How a file was checked whose end nothing proves: it came twice with the same bytes."""


@dataclass(frozen=True, slots=True)
class TryLater:
    """Not finished; what came is kept. To be tried again after *after_s*, with fresh links if *expired*.

    *for_long*: it was tried so often that the row's other files need not wait for it.
    """

    reason: str
    after_s: float
    expired: bool
    for_long: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """This output will not come any more."""

    reason: str


Collection: TypeAlias = Collected | JobFailed | TryLater


@dataclass(slots=True)
class _Trouble:
    """What went wrong with one output so far in this run."""

    asked_anew: bool = False
    dead_links: int = 0
    refused_links: int = 0
    broken: int = 0
    undecodable_sha256: str | None = None
    endless: int = 0
    gone: Gone | None = None


@dataclass(slots=True)
class Downloaded:
    """What one try at the outputs of a job brought, by stem and in their order.

    That is the bytes of a small file, what a larger one was verified to be, a file that an earlier try left, or why
    there is none. *published* is what became of the row if its folder stood there already.
    """

    by_stem: dict[str, bytes | Verified | SavedFile | Gone | TryLater]
    published: Collected | None = None

    @property
    def files(self) -> dict[str, bytes | Verified | SavedFile]:
        return {stem: came for stem, came in self.by_stem.items() if not isinstance(came, Gone | TryLater)}

    @property
    def later(self) -> list[TryLater]:
        return [came for came in self.by_stem.values() if isinstance(came, TryLater)]

    def do_without(self, waits: Sequence[TryLater]) -> None:
        """Count what is waited for among what is missing."""
        for stem, came in self.by_stem.items():
            if isinstance(came, TryLater) and came in waits:
                self.by_stem[stem] = Gone(came.reason)

    @property
    def missing(self) -> str | None:
        """What is gone, and why; None if nothing is."""
        return "; ".join(came.reason for came in self.by_stem.values() if isinstance(came, Gone)) or None


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
        self._shelf = RowBatcher(folder)
        self._verifiers = Verifiers(workers)

    async def download(self, job: Job) -> Downloaded:
        """Fetch every output of *job*, one after the other: a row's files share one download slot.

        What is whole is kept whatever happens to the others. Raises DiskFull.
        """
        with _room_for(job):
            stems = row_folder.stems(job.outputs)
            done: dict[str, SavedFile] = {}
            if row_folder.has_traces(self.folder, job):  # nearly no row has: two look-ups spare it a thread
                published, left = await asyncio.to_thread(row_folder.left_behind, self.folder, job, stems)
                if published is not None:  # killed between the folder's move and its record
                    return Downloaded({}, Collected(self.now(), *published))
                done = await self._finished(left)
            return await self._arrived(job, stems, done)

    async def shelve(self, job: Job, earlier: Sequence[Job], arrived: Downloaded) -> Collection:
        """Bring what arrived into the row folder of *job*. If some outputs are gone for good, it holds the rest.

        Raises DiskFull.
        """
        try:
            return await self._shelved(job, earlier, arrived)
        except ShelverDied as died:
            log.warn("files", answer="ShelverDied", reason=str(died))
            return TryLater(str(died), _AFTER_A_DEATH_S, expired=False)

    async def complete(self, job: Job, earlier: Sequence[Job], outputs: Sequence[Output]) -> Collected:
        """Ask once for what the collected *job* lacks of *outputs*, its fresh links, and add it to its row folder.

        Whatever comes of that, the files that are there stay there. Raises DiskFull.
        """
        try:
            return await self._completed(job, earlier, outputs)
        except ShelverDied as died:
            log.warn("files", answer="ShelverDied", reason=str(died))
            return Collected(self.now(), job.saved, job.reason)

    async def _completed(self, job: Job, earlier: Sequence[Job], outputs: Sequence[Output]) -> Collected:
        fresh = job._replace(outputs=tuple(outputs))
        stems = row_folder.stems(outputs)
        with _room_for(job):
            saved = {Path(file.name).stem: file for file in job.saved}
            left = await asyncio.to_thread(row_folder.half_added, self.folder, fresh, set(stems) - saved.keys())
            done = await self._finished(left) | saved
            arrived = await self._arrived(fresh, stems, done)
            came = {stem: file for stem, file in arrived.files.items() if not isinstance(file, SavedFile)}
            added, others = await self._put(RowFiles(fresh, earlier, came, publish=False))
            for stem, other in others.items():
                row_folder.discard(self.folder, row_folder.part_of(self._parts(job), stem))
                arrived.by_stem[stem] = Gone(f"{stem}: {other.doubt if isinstance(other, Verified) else other}")
            why_not = {stem: one.reason for stem, one in arrived.by_stem.items() if isinstance(one, Gone | TryLater)}
            every = added | done
            whole = {stem: every[stem] for stem in (*stems, *saved) if stem in every}
            missing = "; ".join(why_not.values()) or None
            await asyncio.to_thread(row_folder.add_files, self.folder, fresh, earlier, list(whole.values()), missing)
        return Collected(self.now(), tuple(whole.values()), missing)

    async def take_back(self, job: Job, earlier: Sequence[Job], aside: Mapping[str, Path]) -> TakenBack:
        """Bring *aside*, the bytes of *job* that were set aside, into its row folder, as what they are.

        They stay where they were as well: it can be tried again whatever happens. Raises DiskFull and ShelverDied.
        """
        with _room_for(job):
            there = await asyncio.to_thread(row_folder.standing, self.folder, job)
            came: dict[str, bytes | Verified | SavedFile] = {}
            for stem, path in aside.items():
                if stem not in there:
                    came[stem] = await self._as_it_is(path)
                    part = row_folder.part_of(self._parts(job), stem)
                    await asyncio.to_thread(row_folder.copy_to_part, self.folder, path, part)
            stems = row_folder.stems(job.outputs)
            lacking = [stem for stem in stems if stem not in there and stem not in came]
            missing = f"{', '.join(lacking)}: not there" if lacking else None
            added, _ = await self._put(RowFiles(job, earlier, came, not there, missing))
            whole = there | added
            saved = [whole[stem] for stem in dict.fromkeys([*stems, *sorted(whole)]) if stem in whole]
            if there:
                await asyncio.to_thread(row_folder.add_files, self.folder, job, earlier, saved, missing)
        self.not_decoded += sum(not file.is_decoded for file in added.values())
        return TakenBack(self.now(), tuple(saved), missing)

    async def _as_it_is(self, path: Path) -> Verified:
        """What is at *path*: decoded if it can be after all, and kept by its first bytes if it cannot."""
        try:
            return await self._verifiers.verify(path)
        except Undecodable:
            return await asyncio.to_thread(self._undecoded, path)

    def _undecoded(self, path: Path) -> Verified:
        with self.folder.reading(path) as stream:
            return as_it_is(stream, os.fstat(stream.fileno()).st_size)

    async def _arrived(self, job: Job, stems: Sequence[str], done: Mapping[str, SavedFile]) -> Downloaded:
        arrived = Downloaded({})
        for output, stem in zip(job.outputs, stems, strict=True):
            arrived.by_stem[stem] = done.get(stem) or await self._file(job, output, stem)
        return arrived

    async def _shelved(self, job: Job, earlier: Sequence[Job], arrived: Downloaded) -> Collection:
        if arrived.published is not None:
            return arrived.published
        with _room_for(job):
            waits = arrived.later
            if arrived.files and all(wait.for_long for wait in waits):
                arrived.do_without(waits)
            publish = not arrived.later
            saved, others = await self._put(RowFiles(job, earlier, arrived.files, publish, arrived.missing))
            believed: dict[str, Verified] = {}
            for stem, other in others.items():
                judged = await asyncio.to_thread(self._judged, job, stem, other)
                arrived.by_stem[stem] = judged
                if isinstance(judged, Verified):
                    believed[stem] = judged
            if later := arrived.later:
                if believed:
                    await self._put(RowFiles(job, earlier, believed, publish=False))
                return min(later, key=lambda ending: ending.after_s)
            missing = arrived.missing
            if others:
                whole = {stem: saved.get(stem) or believed[stem] for stem in arrived.files}
                saved, _ = await self._put(RowFiles(job, earlier, whole, True, missing))
            for stem in row_folder.stems(job.outputs):
                self._trouble.pop((job.key, stem), None)
            if not saved and waits:  # what there was is no file: the others are waited for all the same
                return min(waits, key=lambda ending: ending.after_s)
            if not saved:
                await asyncio.to_thread(row_folder.remove_parts, self.folder, job)
                return JobFailed(self.now(), missing or "there is nothing to download", Billed.YES)
        self.not_decoded += sum(not file.is_decoded for file in saved.values())
        return Collected(self.now(), tuple(saved.values()), missing)

    async def _put(self, arrival: RowFiles) -> tuple[dict[str, SavedFile], dict[str, Verified | Undecodable]]:
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
        row_folder.rewrite_sidecar(self.folder, job, earlier)

    def _parts(self, job: Job) -> Path:
        return self.folder.parts(job.row_id, job.n)

    async def _file(self, job: Job, output: Output, stem: str) -> bytes | Verified | Gone | TryLater:
        trouble = self._trouble.get((job.key, stem))
        if trouble is not None and trouble.gone is not None:
            return trouble.gone
        part = row_folder.part_of(self._parts(job), stem)
        got = await self._download(output, part)
        if isinstance(got, Damaged):
            return await asyncio.to_thread(self._judged, job, stem, Undecodable(got.reason))
        if not isinstance(got, Whole):
            return self._not_whole(job, stem, got)
        if got.content is not None:
            return got.content
        try:
            verified = await self._verifiers.verify(part)
        except Undecodable as error:
            return await asyncio.to_thread(self._judged, job, stem, error)
        if verified.doubt:
            return await asyncio.to_thread(self._judged, job, stem, verified)
        if got.has_end or _tells_its_end(verified):
            return verified
        return await self._compared(job, output, stem, verified)

    async def _finished(self, left: Mapping[str, Path]) -> dict[str, SavedFile]:
        """The whole files among those that an earlier try *left*, verified again. What is none is removed."""
        finished = {}
        for stem, path in left.items():
            try:
                finished[stem] = row_folder.saved_file(path.name, await self._verifiers.verify(path))
            except Undecodable:
                await asyncio.to_thread(self.folder.unlink, path)
        return finished

    async def _compared(self, job: Job, output: Output, stem: str, first: Verified) -> Verified | Gone | TryLater:
        """Fetch a file again whose end nothing proves: it is whole if the same bytes come."""
        part = row_folder.part_of(self._parts(job), stem)
        again = part.with_name(f"{stem}.again.part")
        second = await self._download(output, again)
        try:
            match second:
                case Whole(content):
                    if await asyncio.to_thread(self._sha256, content, again) == first.sha256:
                        return replace(first, checked=COMPARED)
                    row_folder.discard(self.folder, part)
                    second = Broken("nothing says where it ends, and it came twice with different bytes")
                case Damaged(reason):
                    second = Broken(reason)
            return self._not_whole(job, stem, second)
        finally:
            row_folder.discard(self.folder, again)

    async def _download(self, output: Output, part: Path) -> Download:
        return await download(
            self.session, self.folder, output.url, part, self.allow_private, self.max_bytes, self.total_s
        )

    def _sha256(self, content: bytes | None, part: Path) -> str:
        if content is not None:
            return sha256(content).hexdigest()
        with self.folder.reading(part) as stream:
            return file_digest(stream, "sha256").hexdigest()

    def _not_whole(self, job: Job, stem: str, got: Download) -> Gone | TryLater:
        trouble = self._trouble.setdefault((job.key, stem), _Trouble())
        if not isinstance(got, Whole):
            log.warn("download", answer=type(got).__name__, file=stem, reason=got.reason)
        match got:
            case Dead(reason) | Refused(reason) if self._may_be_stale(job, trouble):
                trouble.asked_anew = True
                return TryLater(f"{stem}: {reason}", 0.0, expired=True)
            case Dead(reason):
                trouble.dead_links += 1
                if trouble.dead_links == LINKS_BEFORE_GONE:
                    return self._gone(trouble, f"{stem} is gone: {reason} on {LINKS_BEFORE_GONE} fresh links")
                return TryLater(f"{stem}: {reason}", _link_wait_s(trouble.dead_links), expired=True)
            case Refused(reason):
                trouble.refused_links += 1
                for_long = trouble.refused_links >= LINKS_BEFORE_GONE
                return TryLater(f"{stem}: {reason}", _link_wait_s(trouble.refused_links), True, for_long)
            case Endless(reason):
                trouble.endless += 1
                if trouble.endless > 1:
                    return self._gone(trouble, f"{stem} cannot be downloaded: {reason}, twice")
                return TryLater(f"{stem}: {reason}", _SAME_BYTES_AGAIN_S, expired=True)
            case Nowhere(reason):
                return self._gone(trouble, f"{stem} cannot be downloaded: {reason}")
            case Broken(reason):
                trouble.broken += 1
                after_s = min(60.0, 0.25 * 2.0 ** min(trouble.broken, 10))
                expired, for_long = trouble.broken % _TRIES_PER_LINK == 0, trouble.broken >= _BROKEN_FOR_LONG
                return TryLater(f"{stem}: {reason}", after_s, expired, for_long)
            case Whole() | Damaged():
                raise AssertionError("what came whole is verified, not judged")

    def _may_be_stale(self, job: Job, trouble: _Trouble) -> bool:
        """Whether a link was asked for long before it was tried, and no other has been asked for since."""
        return not trouble.asked_anew and self.now() - (job.ended_at or 0.0) > _MAY_BE_STALE_S

    def _judged(self, job: Job, stem: str, came: Verified | Undecodable) -> Verified | Gone | TryLater:
        """What becomes of bytes that are no output, or hardly one. The same twice are what the provider has: they are
        kept as they are if they may be an output, and are gone if they cannot.
        """
        trouble = self._trouble.setdefault((job.key, stem), _Trouble())
        part = row_folder.part_of(self._parts(job), stem)
        reason = came.doubt if isinstance(came, Verified) else str(came)
        with self.folder.reading(part) as stream:
            digest, size_bytes = file_digest(stream, "sha256").hexdigest(), os.fstat(stream.fileno()).st_size
        log.warn("verify", answer=type(came).__name__, file=stem, reason=reason, bytes=size_bytes, sha256=digest)
        if digest == trouble.undecodable_sha256:
            if isinstance(came, Verified):
                return came
            kept = row_folder.set_aside(self.folder, job, part)
            return self._gone(trouble, f"{stem}: {reason}; the same bytes came twice and are kept in {kept.name}")
        trouble.undecodable_sha256 = digest
        row_folder.discard(self.folder, part)
        return TryLater(f"{stem}: {reason}", _SAME_BYTES_AGAIN_S, expired=True)

    def _gone(self, trouble: _Trouble, reason: str) -> Gone:
        trouble.gone = Gone(reason)
        return trouble.gone


def _link_wait_s(times: int) -> float:
    """How long after the *times*-th link that led nowhere the next is asked for."""
    return FRESH_LINKS_S[min(times, len(FRESH_LINKS_S)) - 1]


def _tells_its_end(file: Verified) -> bool:
    """Whether a cut would have been noticed: a still picture has as many pixels as its head says."""
    return file.checked == DECODED and file.media_type.startswith("image/") and file.media_type != "image/gif"


@contextmanager
def _room_for(job: Job) -> Iterator[None]:
    """A full disk is told by its name."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(f"no room for the files of row {job.row_id}: {error.strerror}") from None
        raise
