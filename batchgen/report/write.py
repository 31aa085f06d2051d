"""`report.html`: the page as a file, with its thumbnails beside it or inside it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from batchgen.audit import audit
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
        # The rows are asked for several times over: a hundred thousand of them held at once take half a gigabyte.
        most = _MOST_INLINED if single_file else None
        pictures = sum(1 for _ in _sources(folder, reader, most))
        there = make_missing(folder, _sources(folder, reader, most), pictures, told)
        home = folder.rows
        rows = (shown(home, job, place, lambda source: source.key in there) for job, place in latest(reader))
        first = list(rows if single_file else islice(rows, INLINE_ROWS))
        chunks, more = _write_chunks(folder, rows)
        settings = {"live": False, "total": len(first) + more, "marks": _marks(folder, reader), "chunks": chunks}
        settings["single"] = single_file
        if single_file:
            settings["inlined"] = _inlined(folder, there)
        findings, books = find(reader, str(out)), audit(folder, reader)
        content = page(summarise(folder, reader, str(out)), settings, first, findings, books)
    path = folder.path / "report.html"
    write_whole(path, content.encode("utf-8", "replace"))
    return Written(path, len(first) + more, len(there), pictures)


def open_reader(folder: RunFolder) -> Reader:
    if not folder.state.exists():
        raise StateUnusable(f"{folder.path} is not a run folder: it has no state.db")
    return Reader(read_only(folder.state))


def _sources(folder: RunFolder, reader: Reader, most: int | None) -> Iterator[Source]:
    """What thumbnails are made of, each once: *most* outputs and inputs at most, in manifest order, outputs first."""
    return islice(_every_source(folder.rows, reader), most)


def _every_source(rows: Path, reader: Reader) -> Iterator[Source]:
    seen: set[str] = set()
    for job, _ in latest(reader):
        for source in (*output_sources(rows, job), *input_sources(job)):
            if source.key not in seen:
                seen.add(source.key)
                yield source


def _marks(folder: RunFolder, reader: Reader) -> dict[str, str]:
    """Marks by row and file, as far as they hold for the bytes."""
    marked = read_marks(folder)
    if not marked:
        return {}
    return {
        f"{job.row_id}/{file.name}": mark
        for job, _ in latest(reader)
        for file in job.saved
        if (mark := marked.get((job.row_id, file.name, file.sha256))) is not None
    }


def _inlined(folder: RunFolder, keys: Iterable[str]) -> dict[str, str]:
    return {key: base64.b64encode(folder.read_bytes(thumb_path(folder, key))).decode() for key in sorted(keys)}


def _write_chunks(folder: RunFolder, rows: Iterator[Shown]) -> tuple[list[str], int]:
    """Rows as scripts, since a page opened from disk may load scripts and nothing else.

    Answers with their names relative to the page, and how many rows there were.
    """
    place = thumbs_folder(folder)
    folder.make(place)
    for stale in folder.names(place):
        if stale.startswith("rows-"):
            folder.unlink(place / stale)
    names: list[str] = []
    written = 0
    while chunk := list(islice(rows, _ROWS_A_FILE)):
        name = f"rows-{len(names):03d}.js"
        with folder.writing(place / name) as stream:
            stream.write(f"batchgenRows({as_script(chunk)});\n".encode())
        names.append(f"thumbs/{name}")
        written += len(chunk)
    return names, written
