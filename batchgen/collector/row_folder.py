"""A row's folder: its files arrive in `parts/`, and the whole folder moves to `rows/` at once.

A folder under `rows/` is therefore always complete, whatever died and when.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from batchgen.collector.verify import Verified
from batchgen.core.job import Job, Output, SavedFile
from batchgen.core.money import usd
from batchgen.core.row import published_input
from batchgen.storage.paths import RunFolder

SIDECAR = "row.json"
_in_json = json.JSONEncoder(ensure_ascii=False).encode  # made once: making it takes longer than a row's fields
_SAFE_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SAFE_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,80}")


def stems(outputs: Sequence[Output]) -> list[str]:
    """File names without extension: the key as the provider spells it, and the index under that key.

    A key that could be a path or a device name is replaced: names from a server never reach the disk. Keys that
    differ only by case are counted together, since some file systems take their names for one.
    """
    counted: dict[str, int] = {}
    names = []
    for output in outputs:
        key = output.key if _SAFE_KEY.fullmatch(output.key) else "output"
        index = counted[key.lower()] = counted.get(key.lower(), -1) + 1
        names.append(f"{key}-{index:02d}")
    return names


def open_parts(folder: RunFolder, job: Job) -> Path:
    """The folder in which the files of *job* arrive. Whole files of an earlier try are still there."""
    parts = folder.parts(job.row_id, job.n)
    folder.make(parts)
    return parts


def validator_of(part: Path) -> Path:
    """Where the ETag of a part's file is kept, so that another file is never glued to it."""
    return part.with_name(part.name + ".etag")


def part_of(parts: Path, stem: str) -> Path:
    return parts / f"{stem}.part"


def has_traces(folder: RunFolder, job: Job) -> bool:
    """Whether an earlier try at *job*, or an earlier attempt at its row, left anything on disk."""
    return os.path.lexists(folder.row(job.row_id)) or os.path.lexists(folder.parts(job.row_id, job.n))


def left_behind(
    folder: RunFolder, job: Job, names: Sequence[str]
) -> tuple[tuple[tuple[SavedFile, ...], str | None] | None, dict[str, Path]]:
    """What an earlier try left: the files of the row and what is missing of it, or what has its final name of *names*
    (stems).
    """
    if (whole := published(folder, job)) is not None:
        return whole, {}
    return None, _named(folder, folder.parts(job.row_id, job.n), names)


def half_added(folder: RunFolder, job: Job, names: Collection[str]) -> dict[str, Path]:
    """What has its final name of *names* (stems) and is not told of: a killed try added it, or was to add it."""
    parts, place = folder.parts(job.row_id, job.n), folder.row(job.row_id)
    return _named(folder, parts, names) | _named(folder, place, names)


def _named(folder: RunFolder, place: Path, names: Collection[str]) -> dict[str, Path]:
    found = {Path(name).stem: place / name for name in folder.names(place) if not name.endswith((".part", ".etag"))}
    return {stem: found[stem] for stem in names if stem in found and folder.is_file(found[stem])}


def add_files(
    folder: RunFolder, job: Job, earlier: Sequence[Job], saved: Sequence[SavedFile], missing: str | None
) -> None:
    """Move what is whole of *saved* in `parts/` into the row folder that is there, then tell of it in row.json.

    A kill leaves a file beside an older row.json, or in `parts/`; the next try finds it in either place.
    """
    parts, place = open_parts(folder, job), folder.row(job.row_id)
    for file in saved:
        if not folder.is_file(place / file.name):
            folder.replace(parts / file.name, place / file.name)
    folder.sync(place)
    _replace_sidecar(folder, job, earlier, saved, missing)


def saved_file(name: str, verified: Verified) -> SavedFile:
    size = (verified.width, verified.height)
    known = (verified.size_bytes, verified.sha256, verified.media_type, *size, verified.checked, verified.blank)
    return SavedFile(name, *known)


def published(folder: RunFolder, job: Job) -> tuple[tuple[SavedFile, ...], str | None] | None:
    """The files of *job* and what is missing, if its row folder already stands; None if they have to be fetched."""
    try:
        told = json.loads(folder.read_bytes(folder.row(job.row_id) / SIDECAR))
        saved = tuple(SavedFile(**file) for file in told["files"])
        missing = told.get("missing")
        if told["request_id"] != job.request_id or (missing is None and len(saved) != len(job.outputs)):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return (saved, missing) if lost_file(folder, job._replace(saved=saved)) is None else None


def rewrite_sidecar(folder: RunFolder, job: Job, earlier: Sequence[Job]) -> None:
    """Bring row.json up to date after a late cost. Written in `parts/`: a kill leaves nothing beside the outputs."""
    _replace_sidecar(folder, job, earlier, job.saved, job.reason)


def _replace_sidecar(
    folder: RunFolder, job: Job, earlier: Sequence[Job], saved: Sequence[SavedFile], missing: str | None
) -> None:
    parts, place = open_parts(folder, job), folder.row(job.row_id)
    folder.write_whole(parts / SIDECAR, sidecar_bytes(job, earlier, saved, missing))
    folder.replace(parts / SIDECAR, place / SIDECAR)
    folder.sync(place)
    remove_parts(folder, job)


def lost_file(folder: RunFolder, job: Job) -> str | None:
    """What is wrong with the files of a collected job on disk; None if all are as they were saved."""
    place = folder.row(job.row_id)
    for file in job.saved:
        path = place / file.name
        if not folder.is_file(path):
            return f"{file.name} is missing"
        if not _is_as_saved(folder, path, file):
            return f"{file.name} is damaged"
    return None if folder.is_file(place / SIDECAR) else f"{SIDECAR} is missing"


def keep_good_files(folder: RunFolder, job: Job) -> None:
    """Move what is still good of a damaged row back to `parts/`, so that only the rest is fetched again."""
    place = folder.row(job.row_id)
    parts = open_parts(folder, job)
    for file in job.saved:
        path = place / file.name
        if folder.is_file(path) and _is_as_saved(folder, path, file):
            folder.replace(path, parts / file.name)


def _is_as_saved(folder: RunFolder, path: Path, file: SavedFile) -> bool:
    """Whether the file at *path* has the bytes that were verified as *file*."""
    with folder.reading(path) as stream:
        same_size = os.fstat(stream.fileno()).st_size == file.bytes
        return same_size and hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256


def set_aside(folder: RunFolder, job: Job, part: Path) -> Path:
    """Keep bytes that were paid for and cannot be decoded."""
    folder.make(folder.set_aside)
    kept = folder.set_aside / f"{job.row_id}.{job.n}.{part.stem}.bytes"
    folder.replace(part, kept)
    folder.unlink(validator_of(part))
    folder.sync(folder.set_aside)
    return kept


def set_aside_of(folder: RunFolder, job: Job) -> dict[str, Path]:
    """The bytes of *job* that were set aside, by stem."""
    beginning, end = f"{job.row_id}.{job.n}.", ".bytes"
    stems = {
        name[len(beginning) : -len(end)]: folder.set_aside / name
        for name in sorted(folder.names(folder.set_aside))
        if name.startswith(beginning) and name.endswith(end)
    }
    return {
        stem: path
        for stem, path in stems.items()
        if _SAFE_STEM.fullmatch(stem) and folder.is_file(path) and os.path.getsize(path)
    }


def standing(folder: RunFolder, job: Job) -> dict[str, SavedFile]:
    """The whole files of *job* in its row folder, by stem, whatever its state says."""
    place = folder.row(job.row_id)
    try:
        told = json.loads(folder.read_bytes(place / SIDECAR))
        saved = [SavedFile(**file) for file in told["files"]] if told["request_id"] == job.request_id else []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    whole = [
        file for file in saved if folder.is_file(place / file.name) and _is_as_saved(folder, place / file.name, file)
    ]
    return {Path(file.name).stem: file for file in whole}


def copy_to_part(folder: RunFolder, path: Path, part: Path) -> None:
    """Bring the bytes at *path* to *part*; they stay where they are, too, until the row has them."""
    folder.make(part.parent)
    with folder.reading(path) as source, folder.writing(part) as target:
        shutil.copyfileobj(source, target, 1024 * 1024)


def remove_parts(folder: RunFolder, job: Job) -> None:
    """Clear away what was half-way when *job* ended without its files."""
    parts = folder.parts(job.row_id, job.n)
    if folder.stat(parts) is not None:
        folder.remove(parts)


def remove_empty_parts(folder: RunFolder) -> None:
    """Remove the folder of half-way files once nothing is half-way."""
    parts = folder.parts("", 0).parent
    if folder.is_dir(parts) and not folder.names(parts):
        folder.rmdir(parts)


def drop_strays(folder: RunFolder, parts: Path, kept: set[str]) -> None:
    """Remove what earlier tries left in *parts* beside the files called *kept*."""
    for name in folder.names(parts):
        if name not in kept:
            folder.remove(parts / name)


def make_room(folder: RunFolder, job: Job, place: Path) -> None:
    """Move away what stands in the place of *job*: an earlier attempt to `attempts/`, damaged files of this one to
    `set-aside/`.
    """
    n = _attempt_of(folder, place, job)
    if n == job.n:
        folder.make(folder.set_aside)
        folder.replace(place, folder.set_aside / f"{job.row_id}.{n}.{time.time_ns()}")
        return
    target = folder.attempt(job.row_id, n)
    folder.make(target.parent)
    folder.replace(place, target)
    folder.sync(target.parent)


def _attempt_of(folder: RunFolder, place: Path, job: Job) -> int:
    """Which attempt's files stand in *place*."""
    try:
        return max(int(attempt["n"]) for attempt in json.loads(folder.read_bytes(place / SIDECAR))["attempts"])
    except (OSError, ValueError, KeyError, TypeError):
        return job.n


def sidecar_bytes(job: Job, earlier: Sequence[Job], saved: Sequence[SavedFile], missing: str | None) -> bytes:
    """The content of row.json, a line for each field: an indented one takes Python's own encoder, ten times as long."""
    fields = (f' "{name}": {_in_json(value)}' for name, value in sidecar(job, earlier, saved, missing).items())
    return ("{\n" + ",\n".join(fields) + "\n}\n").encode()


def sidecar(job: Job, earlier: Sequence[Job], saved: Sequence[SavedFile], missing: str | None) -> dict[str, Any]:
    """What row.json says. Times are Unix seconds; `cost_usd` is measured, null until it is known; `missing` says which
    outputs could not be fetched and why, null if all are here.

    `fingerprint` is that of the manifest's request. An attempt names the one it came from, and the seed it was sent.
    """
    return {
        "row_id": job.row_id,
        "model": job.model,
        "input": published_input(job.input),
        "meta": dict(job.meta),
        "fingerprint": job.fingerprint,
        "request_id": job.request_id,
        "attempts": [
            {
                "n": attempt.n,
                "came_from": attempt.n - 1 or None,
                "seed": attempt.input.get("seed"),
                "request_id": attempt.request_id,
                "state": "collected" if attempt.n == job.n else attempt.state,
                "cost_usd": usd(attempt.cost_micro),
            }
            for attempt in (*earlier, job)
        ],
        "times": {
            "sent_at": job.intent_at,
            "accepted_at": job.submitted_at,
            "ended_at": job.ended_at,
        },
        "cost_usd": usd(job.cost_micro),
        "outputs_asked": job.outputs_asked,
        "files": [file._asdict() for file in saved],
        "missing": missing,
    }


def discard(folder: RunFolder, part: Path) -> None:
    """Remove a part and what is known of it, so that the next try starts afresh."""
    folder.unlink(part)
    folder.unlink(validator_of(part))
