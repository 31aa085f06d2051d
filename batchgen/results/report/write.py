"""`report.html`: the page as a file, with its thumbnails beside it or inside it."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from batchgen.core.errors import Exit, Refusal
from batchgen.results.audit import audit
from batchgen.results.report.render import page
from batchgen.results.report.rows import Shown, Source, as_script, input_sources, output_sources, shown
from batchgen.results.report.summary import find, summarise
from batchgen.results.report.thumbnails import make_missing, thumb_path, thumbs_folder
from batchgen.results.reviews import read_marks
from batchgen.state import Reader, open_reader
from batchgen.storage.inside import Inside
from batchgen.storage.paths import RunFolder, absolute

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


class NotWritable(Refusal):
    """The page cannot stand where it was to stand."""

    exit = Exit.STATE


def write_report(
    out: Path, single_file: bool, told: Callable[[int, int], None], destination: Path | None = None
) -> Written:
    """Write the page of the run folder *out*, also while a run is on: in it, or at *destination*.

    That is a folder, or a file whose name ends with .html; what the page needs is written beside it.

    Thumbnails that are missing are made; *told* hears how many of how many are there. With *single_file* the page
    needs no other file, up to a number of pictures. Raises StateUnusable if *out* is no run folder, and NotWritable.
    """
    folder = RunFolder.at(out)
    path = _place_of(folder, destination)
    home = Inside(path.parent)
    with closing(open_reader(folder)) as reader:
        # The rows are asked for several times over: a hundred thousand of them held at once take half a gigabyte.
        most = _MOST_INLINED if single_file else None
        pictures = sum(1 for _ in _sources(folder, reader, most))
        there = make_missing(folder, home, _sources(folder, reader, most), pictures, told)
        rows = (shown(folder.rows, job, place, lambda source: source.key in there) for job, place in reader.shown())
        first = list(rows if single_file else islice(rows, INLINE_ROWS))
        chunks, more = _write_chunks(home, rows)
        settings = {"live": False, "total": len(first) + more, "marks": _marks(folder, reader), "chunks": chunks}
        settings |= {"single": single_file, "originals": _address_of(folder.rows, path.parent)}
        if single_file:
            settings["inlined"] = _inlined(home, there)
        findings, books = find(reader, str(out)), audit(folder, reader)
        content = page(summarise(folder, reader, str(out)), settings, first, findings, books)
    home.write_whole(path, content.encode("utf-8", "replace"))
    return Written(path, len(first) + more, len(there), pictures)


def _place_of(folder: RunFolder, destination: Path | None) -> Path:
    """Where the page goes; its folder is there afterwards."""
    if destination is None:
        if not os.access(folder.path, os.W_OK) and folder.path.is_dir():
            raise NotWritable(
                f"nothing can be written in {folder.path}: it is another user's, or on a read-only disk; write the "
                f"page elsewhere: batchgen report {folder.path} --out FOLDER"
            )
        return folder.path / "report.html"
    destination = absolute(destination)
    path = destination if destination.suffix.lower() in (".html", ".htm") else destination / "report.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritable(f"the page cannot be written to {path}: {error.strerror}; name another --out") from None
    return path


def _address_of(rows: Path, home: Path) -> str:
    """How a page in *home* reaches the row folders."""
    try:
        return quote(os.path.relpath(rows.resolve(), home.resolve()).replace(os.sep, "/"))
    except ValueError:  # another drive of Windows
        return rows.as_uri()


def _sources(folder: RunFolder, reader: Reader, most: int | None) -> Iterator[Source]:
    """What thumbnails are made of, each once: *most* outputs and inputs at most, in manifest order, outputs first."""
    return islice(_every_source(folder.rows, reader), most)


def _every_source(rows: Path, reader: Reader) -> Iterator[Source]:
    seen: set[str] = set()
    for job, _ in reader.shown():
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
        for job, _ in reader.shown()
        for file in job.saved
        if (mark := marked.get((job.row_id, file.name, file.sha256))) is not None
    }


def _inlined(home: Inside, keys: Iterable[str]) -> dict[str, str]:
    return {key: base64.b64encode(home.read_bytes(thumb_path(home, key))).decode() for key in sorted(keys)}


def _write_chunks(home: Inside, rows: Iterator[Shown]) -> tuple[list[str], int]:
    """Rows as scripts, since a page opened from disk may load scripts and nothing else.

    Answers with their names relative to the page, and how many rows there were.
    """
    place = thumbs_folder(home)
    home.make(place)
    for stale in home.names(place):
        if stale.startswith("rows-") and stale.endswith(".js"):
            home.unlink(place / stale)
    names: list[str] = []
    written = 0
    while chunk := list(islice(rows, _ROWS_A_FILE)):
        name = f"rows-{len(names):03d}.js"
        with home.writing(place / name) as stream:
            stream.write(f"batchgenRows({as_script(chunk)});\n".encode())
        names.append(f"thumbs/{name}")
        written += len(chunk)
    return names, written
