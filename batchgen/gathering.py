"""From a manifest to a scratch database of checked rows, in chunks, with every problem of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import aiohttp

from batchgen import manifest
from batchgen.catalogue import Catalogue
from batchgen.links import expires_at
from batchgen.manifest import ManifestError
from batchgen.request import Problem, Row
from batchgen.schema import ModelSchema
from batchgen.schema.media import MediaCheck
from batchgen.statefile import Asked, Reader, Scratch

DEFAULT_MODEL = "bytedance/seedream-4-0/edit-sequential"
"""The model of a manifest that names none."""

MOST_PROBLEMS = 1000
_CHUNK_ROWS = 1000


async def gather(
    path: Path, catalogue: Catalogue, known: Reader, url_session: aiohttp.ClientSession | None = None
) -> tuple[Scratch, list[Problem]]:
    """Read and check the whole manifest; rows that *known* has as they are, are not checked again.

    With *url_session* hosted input files are looked at too. All problems are in the list, up to a thousand; a
    manifest that cannot be read as a whole is one as well.
    """
    scratch = Scratch()
    problems: list[Problem] = []
    media = MediaCheck(catalogue.schema, url_session)
    found = manifest.read(path, catalogue.schema, default_model=DEFAULT_MODEL, known_hash=known.known_hash)
    try:
        while True:
            rows, bad, more = await asyncio.to_thread(_take, found, scratch, catalogue, known)
            problems += bad + (await media.problems(rows) if rows else [])
            if not more or len(problems) >= MOST_PROBLEMS:
                break
    except BaseException:
        scratch.close()
        raise
    scratch.done()
    return scratch, sorted(problems[:MOST_PROBLEMS], key=lambda problem: (problem.file, problem.line or 0))


def _take(
    found: Iterator[Row | Problem], scratch: Scratch, catalogue: Catalogue, known: Reader
) -> tuple[list[Row], list[Problem], bool]:
    """Put one chunk into *scratch*: (rows whose media are to be checked, problems, whether there is more)."""
    rows: list[Row] = []
    problems: list[Problem] = []
    asked: list[tuple[Row, Asked]] = []
    taken = 0
    before: Problem | None = None
    try:
        for one in islice(found, _CHUNK_ROWS):
            taken += 1
            if isinstance(one, Problem):
                problems += [*scratch.add_all(asked), one]
                asked.clear()
                if one.severity == "error" and not _same_row(one, before):
                    problems += _used_twice(one, scratch)
                before = one
                continue
            asked.append((one, _asked(one, catalogue)))
            if not known.knows(one.row_id, one.fingerprint):
                rows.append(one)
    except ManifestError as error:
        return rows, [*problems, *scratch.add_all(asked), *error.problems], False
    return rows, problems + scratch.add_all(asked), taken == _CHUNK_ROWS


def _same_row(one: Problem, before: Problem | None) -> bool:
    """Whether two problems in a row are of one row. In a document each of its fields has a line of its own."""
    if before is None or one.row != before.row:
        return False
    return one.line == before.line or one.file.lower().endswith((".yaml", ".yml"))


def _used_twice(one: Problem, scratch: Scratch) -> list[Problem]:
    if one.row is None or one.line is None:
        return []
    problem = scratch.add_faulty(one.row, one.file, one.line)
    return [] if problem is None else [problem]


def _asked(row: Row, catalogue: Catalogue) -> Asked:
    schema = catalogue.schema(row.model)
    outputs = schema.outputs_asked(row.input)
    return Asked(outputs, schema.units(row.input, outputs), _first_expiry(row, schema))


def _first_expiry(row: Row, schema: ModelSchema) -> float | None:
    """When the first signed URL among the row's input files stops working, in Unix seconds."""
    expiries = []
    for name in schema.media_fields:
        value = row.input.get(name)
        for url in value if isinstance(value, list) else [value]:
            if isinstance(url, str) and "?" in url and (expiry := expires_at(url)) is not None:
                expiries.append(expiry)
    return min(expiries, default=None)
