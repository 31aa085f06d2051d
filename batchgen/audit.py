"""The morning's account: what each row was to cost, did cost, and brought."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from os import sep
from stat import S_ISREG

from batchgen.budget import money, usd
from batchgen.job import Billed, Job, SavedFile, State
from batchgen.runfolder import RunFolder
from batchgen.spreadsheet import shown_as_text
from batchgen.statefile import Reader


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt in the books. Money in USD; *usable* counts files that are on disk as they were verified."""

    row: str
    attempt: int
    model: str
    state: str
    request_id: str | None
    estimate_usd: float | None
    cost_usd: float | None
    reserved_usd: float
    charged_usd: float
    possibly_usd: float
    expected: int
    received: int
    usable: int
    reason: str | None

    @property
    def without_files(self) -> bool:
        """Accepted, and no usable file is here, or not every one that was."""
        return self.request_id is not None and (self.usable == 0 or self.usable < self.received)

    @property
    def above_estimate(self) -> bool:
        return self.cost_usd is not None and self.estimate_usd is not None and self.cost_usd > self.estimate_usd

    @property
    def failed_and_billed(self) -> bool:
        return self.state in (State.FAILED, State.CANCELLED) and self.charged_usd > 0


def entries(folder: RunFolder, reader: Reader) -> Iterator[Entry]:
    """Every attempt that was sent, in manifest order."""
    rows, attempts = str(folder.rows), str(folder.attempts)
    for job in reader.sent():
        places = (f"{rows}{sep}{job.row_id}", f"{attempts}{sep}{job.row_id}{sep}{job.n}")
        yield _entry(job, places)


def _entry(job: Job, places: tuple[str, str]) -> Entry:
    """*places*: where its files may lie. Paths are plain text: a large folder has many."""
    account = money(job)
    return Entry(
        row=job.row_id,
        attempt=job.n,
        model=job.model,
        state=job.state.value,
        request_id=job.request_id,
        estimate_usd=usd(job.estimate_micro),
        cost_usd=usd(job.cost_micro),
        reserved_usd=usd(account.reserved) or 0.0,
        charged_usd=usd(account.charged) or 0.0,
        possibly_usd=usd(account.possibly) or 0.0,
        expected=job.outputs_asked if job.billed is not Billed.NO else 0,
        received=len(job.saved),
        usable=sum(
            any(_size_bytes(f"{place}{sep}{file.name}") == file.bytes for place in places) for file in job.saved
        ),
        reason=job.reason,
    )


def _is_in(places: tuple[str, str], file: SavedFile) -> bool:
    return any(_size_bytes(f"{place}{sep}{file.name}") == file.bytes for place in places)


def _size_bytes(path: str) -> int | None:
    """The size of a file; None if there is no file."""
    try:
        told = os.lstat(path)
    except OSError:
        return None
    return told.st_size if S_ISREG(told.st_mode) else None


@dataclass(slots=True)
class Books:
    """Sums over all entries, and the entries that a person should look at."""

    attempts: int = 0
    reserved_usd: float = 0.0
    charged_usd: float = 0.0
    possibly_usd: float = 0.0
    expected: int = 0
    received: int = 0
    usable: int = 0
    in_doubt: int = 0
    in_doubt_usd: float = 0.0
    failed_and_billed: int = 0
    failed_and_billed_usd: float = 0.0
    unpriced: int = 0

    def add(self, entry: Entry) -> None:
        self.attempts += 1
        self.reserved_usd = round(self.reserved_usd + entry.reserved_usd, 6)
        self.charged_usd = round(self.charged_usd + entry.charged_usd, 6)
        self.possibly_usd = round(self.possibly_usd + entry.possibly_usd, 6)
        self.expected += entry.expected
        self.received += entry.received
        self.usable += entry.usable
        self.unpriced += entry.estimate_usd is None and entry.cost_usd is None
        if entry.state == State.IN_DOUBT:
            self.in_doubt += 1
            self.in_doubt_usd = round(self.in_doubt_usd + entry.reserved_usd, 6)
        if entry.failed_and_billed:
            self.failed_and_billed += 1
            self.failed_and_billed_usd = round(self.failed_and_billed_usd + entry.charged_usd, 6)


@dataclass(frozen=True, slots=True)
class Audit:
    """The books, with the entries that make an audit fail and those that a person may want to look into."""

    books: Books
    in_doubt: tuple[Entry, ...]
    failed_and_billed: tuple[Entry, ...]
    without_files: tuple[Entry, ...]
    above_estimate: tuple[Entry, ...]
    fewer: tuple[Entry, ...]

    @property
    def clean(self) -> bool:
        return not (self.without_files or self.above_estimate)

    def as_json(self) -> dict[str, object]:
        return {
            "totals": asdict(self.books),
            "in_doubt": [asdict(entry) for entry in self.in_doubt],
            "failed_and_billed": [asdict(entry) for entry in self.failed_and_billed],
            "without_files": [asdict(entry) for entry in self.without_files],
            "above_estimate": [asdict(entry) for entry in self.above_estimate],
            "fewer_than_asked": [asdict(entry) for entry in self.fewer],
            "clean": self.clean,
        }


def audit(folder: RunFolder, reader: Reader) -> Audit:
    """Go through the books of *folder*. Fewer outputs than the cap is listed, and no fault."""
    books = Books()
    in_doubt: list[Entry] = []
    failed: list[Entry] = []
    without_files: list[Entry] = []
    above: list[Entry] = []
    fewer: list[Entry] = []
    for entry in entries(folder, reader):
        books.add(entry)
        if entry.state == State.IN_DOUBT:
            in_doubt.append(entry)
        if entry.failed_and_billed:
            failed.append(entry)
        if entry.without_files:
            without_files.append(entry)
        if entry.above_estimate:
            above.append(entry)
        if entry.state == State.COLLECTED and entry.received < entry.expected:
            fewer.append(entry)
    return Audit(books, tuple(in_doubt), tuple(failed), tuple(without_files), tuple(above), tuple(fewer))


def as_csv(folder: RunFolder, reader: Reader) -> str:
    """The books as a table: one line an attempt."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, [field.name for field in fields(Entry)])
    writer.writeheader()
    for entry in entries(folder, reader):
        writer.writerow({name: shown_as_text(cell) for name, cell in asdict(entry).items()})
    return table.getvalue()
