"""The morning's account: what each row was to cost, did cost, and brought."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from os import sep
from stat import S_ISREG

from batchgen.core.job import Billed, Job, State
from batchgen.core.money import money, usd
from batchgen.state import Reader
from batchgen.storage.paths import RunFolder


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt in the books. Money in USD, times in Unix seconds; *sent_at* is when it was accepted, or else sent;
    *usable* counts files that are on disk as they were verified.
    """

    sent_at: float | None
    ended_at: float | None
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
    billed: str | None
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

    @property
    def in_doubt(self) -> bool:
        return self.state in (State.IN_DOUBT, State.SUBMITTING)

    @property
    def given_up(self) -> bool:
        """Closed or sent again by a person while nobody knew whether it was accepted."""
        return self.state == State.FAILED and self.billed == Billed.POSSIBLY

    @property
    def unpriced(self) -> bool:
        return self.estimate_usd is None and self.cost_usd is None and self.billed != Billed.NO

    @property
    def fewer(self) -> bool:
        return self.state == State.COLLECTED and self.received < self.expected

    @property
    def findings(self) -> tuple[str, ...]:
        """What a bookkeeper should look at, the gravest first."""
        found = {
            "in doubt: nobody knows whether it was charged": self.in_doubt,
            "possibly charged: given up while in doubt": self.given_up,
            "accepted without all of its files": self.without_files,
            "cost more than estimated": self.above_estimate,
            "failed and charged": self.failed_and_billed,
            "price unknown": self.unpriced,
            "fewer outputs than asked for": self.fewer,
        }
        return tuple(finding for finding, is_so in found.items() if is_so)


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
        sent_at=job.submitted_at or job.intent_at,
        ended_at=job.ended_at,
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
        billed=job.billed,
        reason=job.reason,
    )


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
        self.unpriced += entry.unpriced
        if entry.in_doubt:
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
    given_up: tuple[Entry, ...]
    failed_and_billed: tuple[Entry, ...]
    without_files: tuple[Entry, ...]
    above_estimate: tuple[Entry, ...]
    fewer: tuple[Entry, ...]

    @property
    def faulty(self) -> bool:
        """Whether something was paid for and is not here, or cost more than it was said to."""
        return bool(self.without_files or self.above_estimate)

    @property
    def settled(self) -> bool:
        """Whether it is known of every attempt if it was charged, and how much."""
        return not (self.in_doubt or self.given_up or self.books.unpriced)

    @property
    def clean(self) -> bool:
        return self.settled and not self.faulty

    def as_json(self) -> dict[str, object]:
        return {
            "totals": asdict(self.books),
            "in_doubt": [asdict(entry) for entry in self.in_doubt],
            "possibly_charged": [asdict(entry) for entry in self.given_up],
            "failed_and_billed": [asdict(entry) for entry in self.failed_and_billed],
            "without_files": [asdict(entry) for entry in self.without_files],
            "above_estimate": [asdict(entry) for entry in self.above_estimate],
            "fewer_than_asked": [asdict(entry) for entry in self.fewer],
            "settled": self.settled,
            "clean": self.clean,
        }


def audit(folder: RunFolder, reader: Reader) -> Audit:
    """Go through the books of *folder*. Fewer outputs than the cap is listed, and no fault."""
    books = Books()
    found: list[Entry] = []
    for entry in entries(folder, reader):
        books.add(entry)
        if entry.findings:
            found.append(entry)
    return Audit(
        books,
        in_doubt=tuple(entry for entry in found if entry.in_doubt),
        given_up=tuple(entry for entry in found if entry.given_up),
        failed_and_billed=tuple(entry for entry in found if entry.failed_and_billed),
        without_files=tuple(entry for entry in found if entry.without_files),
        above_estimate=tuple(entry for entry in found if entry.above_estimate),
        fewer=tuple(entry for entry in found if entry.fewer),
    )
