"""The life of a job on a real state file: generated events, reopened, killed, lost and repaired at any moment."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Coroutine
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from batchgen.core import money
from batchgen.core.job import (
    ENDED,
    TRANSITIONS,
    Accepted,
    Adopted,
    Billed,
    Collected,
    ContactLost,
    CostKnown,
    Deferred,
    Event,
    FilesLost,
    GivenUp,
    IllegalMove,
    Intent,
    Job,
    JobCancelled,
    JobFailed,
    LinksExpired,
    Output,
    PriceKnown,
    Refused,
    SavedFile,
    State,
    Succeeded,
    TakenBack,
    advance,
)
from batchgen.core.row import Row, fingerprint
from batchgen.state import Asked, Staging, StateFile, StateUnusable
from batchgen.state.counters import AS_TALLIED
from batchgen.state.reader import read_only
from batchgen.state.repair import repair
from batchgen.storage.paths import RunFolder
from tests.money.here import opened
from tests.processes import MODEL

BASE = "http://127.0.0.1:9"
ROWS = [f"row-{number:04d}" for number in range(4)]

T = TypeVar("T")

_money = st.integers(0, 10**9)
_costs = st.none() | _money
_times = st.floats(0, 2e9)
_texts = st.text(max_size=20)
_outputs = st.lists(st.builds(Output, st.just("images"), _texts), min_size=1, max_size=3).map(tuple)
_saved = st.lists(
    st.builds(SavedFile, _texts, _money, _texts, st.just("image/png"), st.none() | _money, st.none() | _money),
    min_size=1,
    max_size=3,
).map(tuple)
_ids = st.uuids().map(str)

EVENTS: dict[type, st.SearchStrategy[Any]] = {
    Intent: st.builds(Intent, _times, _costs),
    Accepted: st.builds(Accepted, _times, _ids),
    Deferred: st.builds(Deferred, _times, _texts, _times),
    Refused: st.builds(Refused, _times, _texts),
    ContactLost: st.builds(ContactLost, _times, _texts),
    Adopted: st.builds(Adopted, _times, _ids),
    GivenUp: st.builds(GivenUp, _times, _texts),
    Succeeded: st.builds(Succeeded, _times, _outputs, _costs),
    JobFailed: st.builds(JobFailed, _times, _texts, st.sampled_from([Billed.YES, Billed.UNKNOWN]), _costs),
    JobCancelled: st.builds(JobCancelled, _times, _texts, _costs),
    LinksExpired: st.builds(LinksExpired, _times),
    Collected: st.builds(Collected, _times, _saved, st.none() | _texts),
    TakenBack: st.builds(TakenBack, _times, _saved, st.none() | _texts),
    FilesLost: st.builds(FilesLost, _times, _texts),
    CostKnown: st.builds(CostKnown, _times, _money),
    PriceKnown: st.builds(PriceKnown, _times, _money),
}


def _not_owed(job: Job) -> set[type]:
    """What cannot be told of a job that was not accepted, or whose money is known, whatever its state."""
    kinds: set[type] = set()
    if job.request_id is None:  # nothing was accepted: it has neither a cost nor files
        kinds |= {CostKnown, TakenBack}
    if job.estimate_micro is not None or job.billed is Billed.NO:
        kinds.add(PriceKnown)
    return kinds


ANY_EVENT = st.one_of(*EVENTS.values())


def _row(row_id: str) -> Row:
    request = {"text": row_id, "seed": int(row_id[-4:])}
    return Row(row_id, True, MODEL, request, fingerprint(MODEL, request), line=1 + int(row_id[-4:]))


async def _enrol(state: StateFile, row_ids: list[str]) -> None:
    scratch = Staging()
    try:
        for row_id in row_ids:
            assert scratch.add(_row(row_id), Asked(1, 1)) is None
        scratch.done()
        await state.enrol(scratch)
    finally:
        scratch.close()


class StateFileMachine(RuleBasedStateMachine):
    """Every attempt as the pure table says it is, beside every attempt as the disk says it is."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = RunFolder.at(Path(self.temporary.name) / "out")
        self.expected: dict[tuple[str, int], Job] = {}
        self.recorded: set[tuple[str, int]] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    @initialize()
    def start(self) -> None:
        self.state = self.run(_opened(self.folder))
        self.run(_enrol(self.state, ROWS))
        self._learn_new_attempts()

    def _learn_new_attempts(self) -> None:
        for row_id in ROWS:
            for job in self.state.reader.attempts(row_id):
                self.expected.setdefault((row_id, job.n), job)

    def latest(self, row_id: str) -> Job:
        return self.expected[max(key for key in self.expected if key[0] == row_id)]

    # ── what may happen ─────────────────────────────────────────────────────────────────────────────────

    @rule(row_id=st.sampled_from(ROWS), event=ANY_EVENT)
    def any_event(self, row_id: str, event: Event) -> None:
        job = self.latest(row_id)
        if (job.state, type(event)) in TRANSITIONS and type(event) not in _not_owed(job):
            self._legal({row_id: event})
            return
        journal = self.folder.journal.read_bytes()
        with pytest.raises(IllegalMove):
            self.run(self.state.record(job, event))
        assert self.folder.journal.read_bytes() == journal
        assert self.state.reader.attempts(row_id)[-1] == job

    @rule(data=st.data(), row_ids=st.sets(st.sampled_from(ROWS), min_size=1))
    def legal_events_at_once(self, data: st.DataObject, row_ids: set[str]) -> None:
        events: dict[str, Event] = {}
        for row_id in sorted(row_ids):
            job = self.latest(row_id)
            kinds = [kind for state, kind in TRANSITIONS if state is job.state and kind not in _not_owed(job)]
            if kinds:
                event: Event = data.draw(EVENTS[data.draw(st.sampled_from(kinds))])
                events[row_id] = event
        self._legal(events)

    def _legal(self, events: dict[str, Event]) -> None:
        jobs = {row_id: self.latest(row_id) for row_id in events}

        async def record_all() -> list[Job]:
            return await asyncio.gather(*(self.state.record(jobs[row_id], events[row_id]) for row_id in events))

        for job in self.run(record_all()):
            assert job == advance(jobs[job.row_id], events[job.row_id])
            self.expected[job.row_id, job.n] = job
            self.recorded.add((job.row_id, job.n))

    @rule(row_id=st.sampled_from(ROWS))
    def a_new_attempt(self, row_id: str) -> None:
        if self.latest(row_id).state in ENDED:
            self.run(self.state.start_attempts([self.latest(row_id)]))
            self._learn_new_attempts()
            assert self.latest(row_id).state is State.PENDING

    # ── what may befall the folder ──────────────────────────────────────────────────────────────────────

    @rule()
    def reopened(self) -> None:
        self.state.close()
        self.state = self.run(_opened(self.folder))

    @rule(cut=st.integers(1, 200))
    def the_journal_lost_its_end(self, cut: int) -> None:
        self.state.close()
        whole = self.folder.journal.read_bytes()
        self.folder.journal.write_bytes(whole[: max(len(whole) - cut, 0)])
        self.state = self.run(_opened(self.folder))

    @rule()
    def the_state_was_lost_and_repaired(self) -> None:
        self.state.close()
        self.folder.state.unlink()
        repair(self.folder, BASE)
        self.state = self.run(_opened(self.folder))
        self.expected = {
            (row_id, n): job._replace(key=self.state.reader.attempts(row_id)[0].key)
            for (row_id, n), job in self.expected.items()
            if (row_id, n) in self.recorded  # what was never sent comes from the manifest again
        }
        sending = [row_id for row_id, _ in self.expected if self.latest(row_id).state is State.SUBMITTING]
        self._legal({row_id: ContactLost(3.0, "the run ended while the POST was on the wire") for row_id in sending})
        self.run(_enrol(self.state, ROWS))
        self._learn_new_attempts()

    # ── what always holds ───────────────────────────────────────────────────────────────────────────────

    @invariant()
    def every_attempt_is_on_disk_as_the_table_says(self) -> None:
        on_disk = {(row_id, job.n): job for row_id in ROWS for job in self.state.reader.attempts(row_id)}
        assert on_disk == self.expected

    @invariant()
    def counts_and_money_are_the_same_in_memory_in_sql_and_by_the_table(self) -> None:
        counts = Counter(self.latest(row_id).state for row_id in ROWS)
        assert self.state.tally.counts == self.state.reader.counts() == dict.fromkeys(State, 0) | counts
        charged = sum((money.money(job) for job in self.expected.values()), money.NOTHING)
        assert self.state.tally.money == self.state.reader.money() == charged
        kept, anew = _tallies(self.folder)
        assert kept == anew

    def teardown(self) -> None:
        with suppress(AttributeError):  # it failed before it was opened
            self.state.close()
        self.loop.close()
        self.temporary.cleanup()


def _tallies(folder: RunFolder) -> tuple[list[Any], list[Any]]:
    """The tables of sums that the state file keeps, and the same as all its attempts come to."""
    with closing(read_only(folder.state)) as connection:
        connection.executescript(AS_TALLIED)
        sums = "SUM(jobs), SUM(units), SUM(price_micro), SUM(unpriced)"
        kind, order = "model, state, billed, latest, placed", "ORDER BY 1, 2, 3, 4, 5"
        saved = (
            "SELECT model, latest, SUM(files), SUM(bytes) FROM {}.saved_files "
            "GROUP BY 1, 2 HAVING SUM(files) ORDER BY 1, 2"
        )
        anew = connection.execute(f"SELECT {kind}, {sums} FROM temp.tally GROUP BY {kind} {order}").fetchall()
        kept = connection.execute(f"SELECT * FROM main.tally WHERE jobs {order}").fetchall()
        assert not connection.execute(
            "SELECT * FROM main.tally WHERE NOT jobs AND (units OR price_micro OR unpriced)"
        ).fetchall()
        anew += connection.execute(saved.format("temp")).fetchall()
        kept += connection.execute(saved.format("main")).fetchall()
        prices = [
            dict(connection.execute(f"SELECT model, highest_micro FROM {where}.unit_prices"))
            for where in ("main", "temp")
        ]
        assert prices[0].keys() == prices[1].keys()
        assert all(prices[0][model] >= highest for model, highest in prices[1].items()), "the highest ever, told anew"
    return kept, anew


async def _opened(folder: RunFolder) -> StateFile:
    return opened(folder, BASE)


TestStateFile = StateFileMachine.TestCase
TestStateFile.settings = settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


# ── more than one group at once, and kill -9 ────────────────────────────────────────────────────────────


async def test_thousands_of_records_at_once_are_all_written_and_all_waiters_go_on(tmp_path: Path) -> None:
    state = await _opened(RunFolder.at(tmp_path))
    try:
        row_ids = [f"row-{number:04d}" for number in range(2_000)]
        await _enrol(state, row_ids)
        jobs = list(state.reader.jobs([State.PENDING]))
        async with asyncio.timeout(20):
            await asyncio.gather(*(state.record(job, Intent(1.0, 1)) for job in jobs))
        assert state.reader.counts()[State.SUBMITTING] == 2_000
    finally:
        state.close()


async def test_a_record_of_a_row_that_something_else_has_moved_fails_alone(tmp_path: Path) -> None:
    state = await _opened(RunFolder.at(tmp_path))
    try:
        await _enrol(state, [f"row-{number:04d}" for number in range(100)])
        jobs = list(state.reader.jobs([State.PENDING]))
        await state.record(jobs[50], Intent(1.0, 1))
        async with asyncio.timeout(20):
            ended = await asyncio.gather(*(state.record(job, Intent(2.0, 1)) for job in jobs), return_exceptions=True)
        assert [number for number, end in enumerate(ended) if not isinstance(end, Job)] == [50]
        assert isinstance(ended[50], StateUnusable)
        assert "row-0050" in str(ended[50])
        assert state.reader.counts()[State.SUBMITTING] == state.tally.counts[State.SUBMITTING] == 100
    finally:
        state.close()
    told = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text("utf-8").splitlines()]
    assert [line["seq"] for line in told] == list(range(101))
    assert [line["at"] for line in told if line.get("row") == "row-0050"] == [1.0]


async def test_a_move_is_made_and_counted_though_nobody_waits_for_it_any_more(tmp_path: Path) -> None:
    state = await _opened(RunFolder.at(tmp_path))
    try:
        await _enrol(state, ["row-0001"])
        (job,) = state.reader.jobs([State.PENDING])
        recording = state.recording(job, Intent(1.0, 1))
        impatient = asyncio.create_task(recording.durable())
        await asyncio.sleep(0)
        impatient.cancel()
        with suppress(asyncio.CancelledError):
            await impatient
        assert (await recording.durable()).state is State.SUBMITTING
        assert state.tally.counts[State.SUBMITTING] == state.reader.counts()[State.SUBMITTING] == 1
    finally:
        state.close()


_CHILD = """
    import asyncio, sys, uuid
    from pathlib import Path
    from batchgen.core.job import Accepted, Intent, State
    from batchgen.storage.paths import RunFolder
    from tests.money.here import opened
    from tests.money.test_states import BASE, _enrol

    async def main():
        state = opened(RunFolder.at(Path(sys.argv[1])), BASE)
        await _enrol(state, [f"row-{number:04d}" for number in range(400)])

        async def send(job):
            job = await state.record(job, Intent(1.0, 1))
            print(job.row_id, "submitting", flush=True)
            job = await state.record(job, Accepted(2.0, str(uuid.uuid4())))
            print(job.row_id, job.request_id, flush=True)

        jobs = list(state.reader.jobs([State.PENDING]))
        for start in range(0, len(jobs), 20):
            await asyncio.gather(*(send(job) for job in jobs[start : start + 20]))

    asyncio.run(main())
"""


@pytest.mark.parametrize("seed", range(3))
def test_what_was_said_to_be_on_disk_is_there_after_kill_9(tmp_path: Path, seed: int) -> None:
    command = [sys.executable, "-c", textwrap.dedent(_CHILD), str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(random.Random(seed).randint(1, 500))]
    child.send_signal(signal.SIGKILL)
    said += child.stdout.readlines()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL

    async def known() -> dict[str, str]:
        state = await _opened(RunFolder.at(tmp_path))
        try:
            jobs = state.reader.jobs([State.SUBMITTING, State.SUBMITTED])
            return {job.row_id: job.request_id or "submitting" for job in jobs}
        finally:
            state.close()

    on_disk = asyncio.run(known())
    promised = dict(line.split() for line in said if line.endswith("\n"))
    assert promised.items() <= {row_id: word for row_id, word in on_disk.items() if row_id in promised}.items() | {
        (row_id, "submitting") for row_id in on_disk
    }
    in_journal = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text("utf-8").splitlines()]
    assert {line["request_id"] for line in in_journal if "request_id" in line} >= {
        word for word in promised.values() if word != "submitting"
    }
