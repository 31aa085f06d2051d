"""A run folder that is being watched: what changed since one looked last. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchgen.core.row import row_id_fault
from batchgen.results.audit import audit
from batchgen.results.report.render import page, part
from batchgen.results.report.rows import Shown, Source, shown
from batchgen.results.report.summary import find, summarise
from batchgen.results.report.thumbnails import make, thumb_path
from batchgen.results.reviews import read_marks
from batchgen.state import ChangeMark, Reader, open_reader
from batchgen.storage.paths import RunFolder

_ROWS_AT_ONCE = 96
"""Rows inside the page itself: two pages of the gallery."""

Sources = dict[str, Source]
"""What thumbnails that were told of are made from, by key."""


@dataclass
class Look:
    """One reader's view of a folder. Every call reads the disk: keep it off the event loop.

    *sources* is shared by all looks; what one has told of, any may ask for.
    """

    folder: RunFolder
    out: str
    sources: Sources
    reader: Reader = field(init=False)
    _mark: ChangeMark = field(default_factory=ChangeMark)
    _version: int | None = None

    def __post_init__(self) -> None:
        self.reader = open_reader(self.folder)

    def news(self) -> list[int]:
        """The keys of the rows that changed since the last call, what happened last first; all of them at first."""
        version = self.reader.version()
        if version == self._version:
            return []
        self._version = version
        keys, self._mark = self.reader.changed_since(self._mark)
        return keys

    def rows(self, keys: Sequence[int]) -> list[Shown]:
        rows = self.folder.rows
        return [shown(rows, job, place, self._has_thumb) for job, place in self.reader.shown_of(keys)]

    def _has_thumb(self, source: Source) -> bool:
        """Pictures have one, made when it is asked for; of films only those that give one."""
        self.sources[source.key] = source
        return source.kind == "image" or _made(self.folder, source)

    def marks(self) -> dict[str, str]:
        """Marks that hold for the files there are now, by row and file."""
        marked = read_marks(self.folder)
        found = {}
        for row_id in {row_id for row_id, _, _ in marked}:
            for file in self._saved(row_id):
                if (mark := marked.get((row_id, *file))) is not None:
                    found[f"{row_id}/{file[0]}"] = mark
        return found

    def sha256_of(self, row_id: str, name: str) -> str | None:
        """The hash of one output that the row has now; None if it has no such output."""
        return dict(self._saved(row_id)).get(name)

    def _saved(self, row_id: str) -> list[tuple[str, str]]:
        attempts = self.reader.attempts(row_id)
        return [(file.name, file.sha256) for file in attempts[-1].saved] if attempts else []

    def page(self) -> str:
        """The page with its newest rows in it and nothing that takes long: what is missing follows at once."""
        summary = summarise(self.folder, self.reader, self.out, with_files=False)
        settings = {"live": True, "single": False, "total": summary.total, "marks": self.marks(), "chunks": []}
        settings["originals"] = "rows"
        return page(summary, settings, self.rows(self.reader.newest(_ROWS_AT_ONCE)))

    def heading(self) -> str:
        return part("summary", run=summarise(self.folder, self.reader, self.out))

    def findings(self) -> str:
        summary = summarise(self.folder, self.reader, self.out, with_files=False)
        return part("findings", run=summary, found=find(self.reader, self.out))

    def books(self) -> str:
        """The account. It looks for every file on disk: seconds, on a large folder."""
        account = audit(self.folder, self.reader)
        return part("account", run=summarise(self.folder, self.reader, self.out), audit=account)

    def close(self) -> None:
        self.reader.close()


def original(folder: RunFolder, row_id: str, name: str) -> Path | None:
    """The output *name* of a row; None for anything that is not a file right in a row's folder."""
    if row_id_fault(row_id) is not None or row_id_fault(name) is not None:
        return None
    path = folder.row(row_id) / name
    return path if folder.is_file(path) else None


def thumb(folder: RunFolder, sources: Sources, key: str) -> Path | None:
    """The thumbnail of *key*, made now if it is missing; None if nothing that was told of has it."""
    source = sources.get(key)
    return thumb_path(folder, key) if source is not None and _made(folder, source) else None


def _made(folder: RunFolder, source: Source) -> bool:
    """Whether there is a thumbnail now: none can be made in a folder of another user."""
    try:
        return make(folder, folder, source)
    except PermissionError:
        return False
