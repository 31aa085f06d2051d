"""A group of records that the state file took and the journal did not, as on a disk that fills up in between."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from batchgen.core.job import Accepted, Intent, State
from batchgen.state import StateFile, StateUnusable
from batchgen.state.journal import Journal
from batchgen.storage.paths import RunFolder
from tests.money.disks import fill, small_disk
from tests.money.here import opened, ran, serving_here


class FullJournal(Journal):
    """A journal that takes nothing, on a disk that something else fills just then."""

    def __init__(self, ballast: Path) -> None:
        super().__init__(ballast.with_name("journal.full"))
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, self._descriptor)
        os.close(full)
        self._ballast = ballast

    def append(self, lines: Iterable[str]) -> None:
        fill(self._ballast)
        super().append(lines)


async def test_a_row_whose_intent_the_journal_did_not_take_is_pending_even_on_a_disk_that_is_full(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        with (
            closing(await _state_of(disk, rows=2)) as state,
            _full_journal(state, disk),
            pytest.raises(StateUnusable, match="the journal cannot be written"),
        ):
            await state.record(next(iter(state.reader.jobs([State.PENDING]))), Intent(1.0, None))
        assert _states(disk) == ["pending", "pending"]


async def test_an_answer_that_the_journal_did_not_take_is_written_there_before_what_follows(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        with closing(await _state_of(disk, rows=2)) as state:
            pending = list(state.reader.jobs([State.PENDING]))
            first, second = [await state.record(job, Intent(1.0, None)) for job in pending]
            state.stop_waiting()
            with _full_journal(state, disk), pytest.raises(StateUnusable, match="the journal cannot be written"):
                await state.record(first, Accepted(2.0, "first"))
            await state.record(second, Accepted(3.0, "second"))
        told = [json.loads(line) for line in (disk / "out" / "journal.jsonl").read_text("utf-8").splitlines()]
        ids = [line["request_id"] for line in told if "request_id" in line]
        assert ids == ["first", "second"]


def test_what_a_failed_write_left_is_taken_back_before_anything_is_written_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(descriptor: int, content: bytes) -> int:
        os_write(descriptor, bytes(content)[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    def refused(descriptor: int, length: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    os_write = os.write
    journal = Journal(tmp_path / "journal.jsonl")
    with closing(journal):
        journal.append(['{"seq":1}'])
        for truncate in (refused, os.ftruncate):
            with monkeypatch.context() as disk:
                disk.setattr(os, "write", torn)
                disk.setattr(os, "ftruncate", truncate)
                with pytest.raises(OSError, match=r"device|Input"):
                    journal.append(['{"seq":2,"row":"left out"}'])
                disk.setattr(os, "write", os_write)
                if truncate is refused:
                    with pytest.raises(OSError, match="Input"):
                        journal.append(['{"seq":2,"row":"kept back"}'])
            journal.append(['{"seq":3,"request_id":"paid"}'])
        assert journal.last_seq() == 3
    told = [json.loads(line)["seq"] for line in (tmp_path / "journal.jsonl").read_text("utf-8").splitlines()]
    assert told == [1, 3, 3]


@contextmanager
def _full_journal(state: StateFile, disk: Path) -> Iterator[None]:
    """While open, the journal takes nothing and the disk is full."""
    writer = state._writer
    journal, writer._journal = writer._journal, FullJournal(disk / "ballast")
    try:
        yield
    finally:
        writer._journal.close()
        writer._journal = journal
        (disk / "ballast").unlink()


async def _state_of(disk: Path, rows: int) -> StateFile:
    async with serving_here() as server:
        await ran(disk, server.url, rows=rows, limit=0)
        return opened(RunFolder.at(disk / "out"), server.url)


def _states(disk: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{disk}/out/state.db?mode=ro", uri=True)) as connection:
        return [state for (state,) in connection.execute("SELECT state FROM jobs ORDER BY key")]
