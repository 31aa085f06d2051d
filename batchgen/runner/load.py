"""From a manifest to a scratch database of checked rows, in chunks, with every problem of all of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import aiohttp

from batchgen import manifest
from batchgen.core.row import FINGERPRINT_VERSION, Problem, Row
from batchgen.core.urls import expires_at
from batchgen.manifest import ManifestError, UnchangedRow
from batchgen.manifest.problems import Problems
from batchgen.models import ModelSchema, ModelUnknown
from batchgen.models.catalog import Catalogue
from batchgen.models.media_check import MediaCheck
from batchgen.state import Asked, Reader, Staging, UnchangedRows

DEFAULT_MODEL = "bytedance/seedream-4-0/edit-sequential"
"""The model of a manifest that names none."""

_CHUNK_ROWS = 1000


async def gather(
    path: Path,
    catalogue: Catalogue,
    known: Reader,
    url_session: aiohttp.ClientSession | None = None,
    *,
    partial: bool = False,
    is_local: bool = False,
) -> tuple[Staging, Problems]:
    """Read and check the whole manifest; rows that *known* has as they are, are neither parsed nor checked again, and
    a manifest that is in all its files what was taken in last is not read at all.

    With *url_session* hosted input files are looked at too, and every row is. A provider that *is_local* reaches this
    machine's own network. A *partial* manifest is a table of the
    folder itself. A manifest that cannot be read as a whole is a problem as well.
    """
    scratch = Staging()
    scratch.enrolment = known.meta("enrolment")  # before the first look at what it left
    problems = Problems()
    media = MediaCheck(catalogue.schema, url_session, is_local=is_local)
    rows_known = None if url_session is not None or partial else await _recalled(catalogue, known)
    if rows_known is not None and await asyncio.to_thread(_is_unchanged, path, known, rows_known):
        rows_known.end_reading()
        scratch.unchanged = True
        scratch.done()
        _note_basis(path, scratch, catalogue, known, rows_known)
        return scratch, problems
    whole = manifest.ManifestDigest(path, DEFAULT_MODEL)
    found = manifest.read(
        path,
        catalogue.schema,
        default_model=DEFAULT_MODEL,
        known_hash=known.known_hash,
        recall=None if rows_known is None else rows_known.take,
        fingerprint_version=int(known.meta("fingerprint_version") or FINGERPRINT_VERSION),
        opens=whole.opens,
        is_of_folder=partial,
    )
    chunks = _Chunks(found, scratch, catalogue, known)
    try:
        while True:
            rows, bad, more = await asyncio.to_thread(chunks.take)
            bad += await media.problems(rows) if rows else []
            problems.add(sorted(bad, key=lambda problem: (problem.file, problem.line or 0)))
            if not more:
                break
        await asyncio.to_thread(scratch.done)
    except BaseException:
        chunks.stop()  # a thread cannot be cancelled, and a program does not end before its threads
        scratch.close()
        raise
    finally:
        if rows_known is not None:
            rows_known.end_reading()
    if rows_known is not None:
        problems.add(await asyncio.to_thread(rows_known.part_names, scratch))
    _note_basis(path, scratch, catalogue, known, rows_known)
    if not problems and not partial:
        scratch.manifest = await asyncio.to_thread(whole.kept)
    return scratch, problems


def _is_unchanged(path: Path, known: Reader, rows_known: UnchangedRows) -> bool:
    """Whether every row of the manifest would be found as the folder has it, if the manifest were read."""
    return manifest.is_as_kept(known.meta("manifest"), path, DEFAULT_MODEL) and rows_known.take_all()


async def _recalled(catalogue: Catalogue, known: Reader) -> UnchangedRows | None:
    """The rows of the folder, unless the schema of one of its models is another than they were checked by."""
    schemas = known.kept_schemas()
    try:
        for model, digest in schemas.items():
            if (await asyncio.to_thread(catalogue.schema, model)).digest != digest:
                return None
    except ModelUnknown:
        return None
    return await asyncio.to_thread(known.unchanged_rows) if schemas else None


def _note_basis(
    path: Path, scratch: Staging, catalogue: Catalogue, known: Reader, rows_known: UnchangedRows | None
) -> None:
    """Where the rows are from, and by what they were checked, those that were only seen included."""
    scratch.source = os.path.abspath(path)
    scratch.recalled = None if rows_known is None else rows_known.holds
    scratch.schemas = {} if rows_known is None else known.kept_schemas()
    for model in scratch.models():
        schema = catalogue.known(model)
        assert schema is not None, "a row of this model was checked by it"
        scratch.schemas[model] = schema.digest


class _Chunks:
    """A manifest on its way into *scratch*, a thousand entries at a time."""

    def __init__(
        self, found: Iterator[Row | UnchangedRow | Problem], scratch: Staging, catalogue: Catalogue, known: Reader
    ) -> None:
        self._found = found
        self._scratch = scratch
        self._catalogue = catalogue
        self._known = known
        self._all_new = known.is_empty
        self._is_wanted = True

    def stop(self) -> None:
        """Whoever wanted the chunk that is being read has gone: let it end with its row."""
        self._is_wanted = False

    def take(self) -> tuple[list[Row], list[Problem], bool]:
        """The next chunk: (rows whose media are to be checked, problems, whether there is more)."""
        scratch = self._scratch
        rows: list[Row] = []
        problems: list[Problem] = []
        read: list[tuple[int, Row, Asked]] = []
        seen: list[tuple[int, int, str, int]] = []
        taken = 0
        before: Problem | None = None
        try:
            for one in islice(self._found, _CHUNK_ROWS):
                if not self._is_wanted:
                    break
                taken += 1
                if isinstance(one, UnchangedRow):
                    seen.append((one.key, scratch.place(), one.source, one.line))
                elif isinstance(one, Row):
                    read.append((scratch.place(), one, _asked(one, self._catalogue)))
                    if self._all_new or not self._known.was_sent(one.row_id, one.fingerprint):
                        rows.append(one)
                else:
                    problems += [*scratch.add_all(read), one]
                    read.clear()
                    if one.severity == "error" and not _same_row(one, before):
                        problems += _used_twice(one, scratch)
                    before = one
        except ManifestError as error:
            return rows, [*problems, *scratch.add_all(read), *error.problems], False
        scratch.see(seen)
        return rows, problems + scratch.add_all(read), taken == _CHUNK_ROWS


def _same_row(one: Problem, before: Problem | None) -> bool:
    """Whether two problems in a row are of one row. In a document each of its fields has a line of its own."""
    if before is None or one.row != before.row:
        return False
    return one.line == before.line or one.file.lower().endswith((".yaml", ".yml"))


def _used_twice(one: Problem, scratch: Staging) -> list[Problem]:
    if one.row is None or one.line is None:
        return []
    problem = scratch.add_faulty(one.row, one.file, one.line)
    return [] if problem is None else [problem]


def _asked(row: Row, catalogue: Catalogue) -> Asked:
    schema = catalogue.schema(row.model)
    return Asked(schema.outputs_asked(row.input), schema.units(row.input), _first_expiry(row, schema))


def _first_expiry(row: Row, schema: ModelSchema) -> float | None:
    """When the first signed URL among the row's input files stops working, in Unix seconds."""
    expiries = []
    for name in schema.media_fields:
        value = row.input.get(name)
        for url in value if isinstance(value, list) else [value]:
            if isinstance(url, str) and "?" in url and (expiry := expires_at(url)) is not None:
                expiries.append(expiry)
    return min(expiries, default=None)
