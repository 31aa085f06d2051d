"""`report.html`: the page as a file, with its thumbnails beside it or inside it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from batchgen.audit import audit
from batchgen.job import Job
from batchgen.marks import read_marks
from batchgen.report.render import page
from batchgen.report.rows import Shown, Source, as_script, input_sources, latest, output_sources, shown
from batchgen.report.summary import find, summarise
from batchgen.report.thumbs import make_missing, thumb_path, thumbs_folder
from batchgen.runfolder import RunFolder, write_whole
from batchgen.statefile import Reader, StateUnusable, read_only

INLINE_ROWS = 500
"""Rows inside the page itself; more lie in side files, so that 50,000 do not delay the first paint."""

_ROWS_A_FILE = 5_000
_MOST_INLINED = 2_000
"""Thumbnails in a page of one file: about 40 MB, which browsers still open well."""


@dataclass(frozen=True, slots=True)
class Written:
    """A page on disk, and how many of its pictures have a thumbnail."""

    path: Path
    rows: int
    thumbs: int
    pictures: int


def write_report(out: Path, single_file: bool, told: Callable[[int, int], None]) -> Written:
    """Write the page of the run folder *out*, also while a run is on.

    Thumbnails that are missing are made; *told* hears how many of how many are there. With *single_file* the page
    needs no other file, up to a number of pictures. Raises StateUnusable if *out* is no run folder.
    """
    folder = RunFolder.at(out)
    with closing(open_reader(folder)) as reader:
        placed = list(latest(reader))
        jobs = [job for job, _ in placed]
        sources = list(_sources(folder, jobs, _MOST_INLINED if single_file else None))
        there = make_missing(folder, sources, told)
        home = folder.rows
        rows = [shown(home, job, place, lambda source: source.key in there) for job, place in placed]
        settings = _settings(folder, jobs, rows) | {"single": single_file}
        if single_file:
            settings["inlined"] = _inlined(folder, there)
            first, chunks = rows, []
        else:
            first, chunks = rows[:INLINE_ROWS], _write_chunks(folder, rows[INLINE_ROWS:])
        settings["chunks"] = chunks
        findings, books = find(reader, str(out)), audit(folder, reader)
        content = page(summarise(folder, reader, str(out)), settings, first, findings, books)
    path = folder.path / "report.html"
    write_whole(path, content.encode("utf-8", "replace"))
    return Written(path, len(rows), len(there), len({source.key for source in sources}))


def open_reader(folder: RunFolder) -> Reader:
    if not folder.state.exists():
        raise StateUnusable(f"{folder.path} is not a run folder: it has no state.db")
    return Reader(read_only(folder.state))


def _sources(folder: RunFolder, jobs: Iterable[Job], most: int | None) -> Iterator[Source]:
    """What thumbnails are made of: *most* outputs and inputs at most, in manifest order, outputs first."""
    first: dict[str, Source] = {}
    rows = folder.rows
    for job in jobs:
        for source in (*output_sources(rows, job), *input_sources(job)):
            first.setdefault(source.key, source)
    return islice(first.values(), most)


def _settings(folder: RunFolder, jobs: Sequence[Job], rows: Sequence[Shown]) -> dict[str, object]:
    """What the page's script knows beside the rows; marks by row and file, as far as they hold for the bytes."""
    marked = read_marks(folder)
    marks = {
        f"{job.row_id}/{file.name}": mark
        for job in jobs
        for file in job.saved
        if (mark := marked.get((job.row_id, file.name, file.sha256))) is not None
    }
    return {"live": False, "total": len(rows), "marks": marks}


def _inlined(folder: RunFolder, keys: Iterable[str]) -> dict[str, str]:
    return {key: base64.b64encode(thumb_path(folder, key).read_bytes()).decode() for key in sorted(keys)}


def _write_chunks(folder: RunFolder, rows: Sequence[Shown]) -> list[str]:
    """Rows as scripts, since a page opened from disk may load scripts and nothing else. Names relative to the page."""
    place = thumbs_folder(folder)
    place.mkdir(exist_ok=True)
    for stale in place.glob("rows-*.js"):
        stale.unlink()
    names = []
    for start in range(0, len(rows), _ROWS_A_FILE):
        name = f"rows-{start // _ROWS_A_FILE:03d}.js"
        (place / name).write_bytes(f"batchgenRows({as_script(rows[start : start + _ROWS_A_FILE])});\n".encode())
        names.append(f"thumbs/{name}")
    return names
