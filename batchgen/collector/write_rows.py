"""Row folders are made in groups: one fsync of `rows/` for a whole group.

Of every file the order stays: `.part`, fsync, rename, fsync of its folder, the folder's move to `rows/`, fsync of
`rows/`; only then does `shelve` return, and only then may a row be recorded as collected. A kill leaves a whole row
folder, or files in `parts/` that the next run takes up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from batchgen.collector.row_folder import (
    SIDECAR,
    drop_strays,
    make_room,
    part_of,
    saved_file,
    sidecar_bytes,
    validator_of,
)
from batchgen.collector.verify import Undecodable, Verified, verify
from batchgen.core.job import Job, SavedFile
from batchgen.storage.paths import RunFolder


@dataclass(frozen=True, slots=True)
class RowFiles:
    """What came of one row, by stem: the bytes of a file, what its `.part` was verified to be, or a file that an
    earlier try left whole. The row folder is made if *publish* is set and every file is one without doubt; *missing*
    says which outputs it has to do without, and why.
    """

    job: Job
    earlier: Sequence[Job]
    files: Mapping[str, bytes | Verified | SavedFile]
    publish: bool
    missing: str | None = None


Shelved: TypeAlias = dict[str, SavedFile | Verified | Undecodable]
"""By stem, in the order of the arrival: each file under its final name, what a doubtful one may be, or why it is no
file; of these two, the bytes are in the `.part`."""


Look: TypeAlias = Callable[[Sequence[Path]], Sequence[Verified | Undecodable | OSError]]
"""What each of some files is, or why it is none, or what went wrong."""


def look_here(paths: Sequence[Path]) -> list[Verified | Undecodable | OSError]:
    return [_looked_at(path) for path in paths]


def _looked_at(path: Path) -> Verified | Undecodable | OSError:
    try:
        return verify(path)
    except (Undecodable, OSError) as error:
        return error


def shelve(folder: RunFolder, arrivals: Sequence[RowFiles], look: Look = look_here) -> list[Shelved | Exception]:
    """Write, look at, sync and move a group; what went wrong with one row is its own. All is on disk afterwards.

    *look* is asked once for the whole group: who decodes is another process, and each question to it takes a turn.
    """
    rows = [_Row(folder, arrival) for arrival in arrivals]
    _take(rows, _Row.write)
    written = [(row, stem) for row in rows if row.failure is None for stem in row.written]
    found = look([row.written[stem] for row, stem in written])
    for (row, stem), what in zip(written, found, strict=True):
        row.found[stem] = what
    for step in (_Row.name, _Row.sync, _Row.move):  # the first fsync of many takes most of the others with it
        _take(rows, step)
    moved = [row for row in rows if row.moved]
    if moved:
        try:
            folder.sync(folder.rows)
        except OSError as error:
            for row in moved:
                row.failure = error
    return [row.failure or row.files for row in rows]


def _take(rows: Sequence[_Row], step: Callable[[_Row], None]) -> None:
    for row in rows:
        row.take(step)


class _Row:
    """One arrival on its way into its row folder, step by step. *written* are the parts whose bytes came with it, and
    *found* is what these are.
    """

    def __init__(self, folder: RunFolder, arrival: RowFiles) -> None:
        self.files: Shelved = {}
        self.written: dict[str, Path] = {}
        self.found: dict[str, Verified | Undecodable | OSError] = {}
        self.failure: Exception | None = None
        self.moved = False
        self._folder = folder
        self._arrival = arrival
        self._parts = folder.parts(arrival.job.row_id, arrival.job.n)
        self._is_new = False
        self._handles: list[int] = []
        self._renames: list[tuple[Path, Path]] = []

    def take(self, step: Callable[[_Row], None]) -> None:
        if self.failure is None:
            try:
                step(self)
            except Exception as error:  # noqa: BLE001 - belongs to whoever waits for this row
                self.failure = error
                self._close()

    def write(self) -> None:
        self._is_new = self._folder.make(self._parts)
        for stem, file in self._arrival.files.items():
            if isinstance(file, bytes):
                self._write(part_of(self._parts, stem), file)
                self.written[stem] = part_of(self._parts, stem)

    def name(self) -> None:
        for stem, file in self._arrival.files.items():
            part = part_of(self._parts, stem)
            self.files[stem] = self._came(part, self.found[stem]) if isinstance(file, bytes) else self._file(part, file)
        if self._publishes:
            # Under its own name at once: nobody takes it for whole before the folder has moved.
            came = self._arrival
            self._write(self._parts / SIDECAR, sidecar_bytes(came.job, came.earlier, self._saved, came.missing))

    def sync(self) -> None:
        for handle in self._handles:
            os.fsync(handle)
        self._close()
        for part, final in self._renames:
            self._folder.replace(part, final)

    def move(self) -> None:
        if not self._publishes:
            return
        if not self._is_new:
            drop_strays(self._folder, self._parts, {SIDECAR, *(file.name for file in self._saved)})
        self._folder.sync(self._parts)
        place = self._folder.row(self._arrival.job.row_id)
        try:
            self._folder.replace(self._parts, place)
        except OSError:
            if self._folder.stat(place) is None:
                raise
            make_room(self._folder, self._arrival.job, place)
            self._folder.replace(self._parts, place)
        self.moved = True

    def _came(self, part: Path, found: Verified | Undecodable | OSError) -> SavedFile | Verified | Undecodable:
        """What becomes of bytes that were *found* to be that."""
        if isinstance(found, OSError):
            raise found
        return found if isinstance(found, Undecodable) or found.doubt else self._named(part, found)

    def _file(self, part: Path, file: Verified | SavedFile) -> SavedFile:
        if isinstance(file, SavedFile):
            return file
        self._folder.unlink(validator_of(part))
        self._handles.append(self._folder.descriptor(part, os.O_RDWR))
        return self._named(part, file)

    def _named(self, part: Path, file: Verified) -> SavedFile:
        final = part.with_suffix(f".{file.extension}")
        self._renames.append((part, final))
        return saved_file(final.name, file)

    def _write(self, path: Path, content: bytes) -> None:
        """Write *content* and hold the file open for its fsync."""
        if not self._is_new:
            self._folder.unlink(path)  # a link that was planted there goes
        handle = self._folder.descriptor(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._handles.append(handle)
        view = memoryview(content)
        while view:
            view = view[os.write(handle, view) :]

    def _close(self) -> None:
        while self._handles:
            os.close(self._handles.pop())

    @property
    def _saved(self) -> list[SavedFile]:
        return [file for file in self.files.values() if isinstance(file, SavedFile)]

    @property
    def _publishes(self) -> bool:
        return self._arrival.publish and len(self._saved) == len(self._arrival.files)
