"""`failed.csv`: the failed rows in manifest form, to be edited and run again."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from typing import Any

from batchgen.core.job import Job, State
from batchgen.core.spreadsheet import shown_as_text
from batchgen.core.text import harmless, put_at
from batchgen.state import Reader, open_reader
from batchgen.storage.paths import RunFolder, write_whole


def write_failed_csv(folder: RunFolder) -> int:
    """Write the failed and cancelled rows of *folder* to its failed.csv, or remove it if there are none.

    The reason stands in `note`; local input files are named by their absolute path. A row stands as the manifest
    asks for it, whatever seed its attempt had, so that running the file as it is changes no row. Returns how many.
    """
    with closing(open_reader(folder)) as reader:
        jobs = [_as_asked(job, reader) for job in reader.jobs([State.FAILED, State.CANCELLED])]
    if not jobs:
        folder.unlink(folder.failed_csv)
        return 0
    fields = dict.fromkeys(name for job in jobs for name in job.input)
    meta = dict.fromkeys(f"meta.{name}" for job in jobs for name in job.meta)
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["id", "model", *fields, *meta, "note"], restval="")
    writer.writeheader()  # all that stands below is text to a spreadsheet, and as it was to `run`
    for job in jobs:
        cells = {name: _cell(value) for name, value in _with_whole_paths(job).items()}
        meta_cells = {f"meta.{name}": value for name, value in job.meta.items()}
        row = {"id": job.row_id, "model": job.model, **cells, **meta_cells, "note": harmless(job.reason or job.state)}
        writer.writerow({name: shown_as_text(cell) for name, cell in row.items()})
    write_whole(folder.failed_csv, table.getvalue().encode("utf-8-sig"))  # without the mark Excel takes it for ANSI
    return len(jobs)


def _as_asked(job: Job, reader: Reader) -> Job:
    """*job* with the manifest's own input as it is worded now, seed included: a retry may have given another."""
    request = reader.next_request(job.key)
    if request is not None and request["fingerprint"] == job.fingerprint:
        return job._replace(input=json.loads(request["input"]), files=tuple(json.loads(request["files"])))
    if job.n == 1:
        return job
    first = next(attempt for attempt in reader.attempts(job.row_id) if attempt.fingerprint == job.fingerprint)
    seed = {"seed": first.input["seed"]} if "seed" in first.input else {}
    return job._replace(input={name: value for name, value in job.input.items() if name != "seed"} | seed)


def _with_whole_paths(job: Job) -> dict[str, Any]:
    shown = dict(job.input)
    for file in job.files:
        put_at(shown, str(file["pointer"]), file["path"])
    return shown


def _cell(value: Any) -> str:
    match value:
        case str():
            return value
        case bool() | list() | dict() | None:
            return json.dumps(value, ensure_ascii=False)
    return str(value)
