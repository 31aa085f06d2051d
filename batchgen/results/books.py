"""The books of a run folder as a table for a bookkeeper: a line an attempt, those to look into before all others."""

from __future__ import annotations

import csv
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from batchgen.core.spreadsheet import shown_as_text
from batchgen.results.audit import Entry, entries
from batchgen.state import Reader
from batchgen.storage.paths import RunFolder, sync_folder

FIELDS = (
    "finding",
    "date",
    "ended",
    "run",
    "api_base",
    "row",
    "attempt",
    "model",
    "request_id",
    "state",
    "currency",
    "charged_usd",
    "possibly_usd",
    "reserved_usd",
    "estimate_usd",
    "cost_usd",
    "expected",
    "received",
    "usable",
    "reason",
)


def write_books(path: Path, folder: RunFolder, reader: Reader) -> None:
    """Write every attempt of *folder* that was sent to the CSV *path*, whole or not at all.

    Spreadsheets open it as UTF-8. Times are UTC, amounts plain decimals.
    """
    whose = {"run": str(folder.path), "api_base": reader.meta("base") or "", "currency": "USD"}
    part = path.with_name(path.name + ".part")
    with (
        part.open("w", encoding="utf-8-sig", newline="") as table,
        tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as in_order,
    ):
        first, rest = csv.writer(table), csv.writer(in_order)
        first.writerow(FIELDS)
        for entry in entries(folder, reader):
            (first if entry.findings else rest).writerow(_cells(entry, whose))
        in_order.seek(0)
        shutil.copyfileobj(in_order, table)
    part.replace(path)
    sync_folder(path.absolute().parent)


def _cells(entry: Entry, whose: dict[str, str]) -> list[str]:
    written: dict[str, object] = {name: getattr(entry, name, None) for name in FIELDS}
    written |= whose
    written |= {"finding": "; ".join(entry.findings), "date": _utc(entry.sent_at), "ended": _utc(entry.ended_at)}
    return [str(shown_as_text(_cell(value))) for value in written.values()]


def _cell(value: object) -> str:
    """An amount without an exponent, which spreadsheets read in their own ways; what is not known as nothing."""
    if isinstance(value, float):
        return f"{value:.6f}"
    return "" if value is None else str(value)


def _utc(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(sep=" ", timespec="seconds")[:19]
