"""A budget over lives of a folder: orders of answers, costs late and above the list, crashes, doubtful rows released.

The run is the real one, on a real state file, down to the provider: that is a script, so that hypothesis can choose
what it answers and when the power goes.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.collector.download import downloads_session
from batchgen.core.errors import Exit
from batchgen.core.job import CostKnown, Event, Intent, Job, JobFailed, PriceKnown, State, Succeeded
from batchgen.core.money import Money
from batchgen.models.catalog import Catalogue
from batchgen.providers.contract import (
    Busy,
    Failure,
    Lost,
    NoNews,
    NotSent,
    Rejected,
    ResultAnswer,
    StatusAnswer,
    SubmitAnswer,
    Success,
)
from batchgen.providers.runcomfy.model_api import RunComfy
from batchgen.runner.load import gather
from batchgen.runner.options import Options
from batchgen.runner.outcome import Report
from batchgen.runner.recover import release
from batchgen.runner.session import Session
from batchgen.scheduler import Scheduler
from batchgen.state import Reader, open_reader, open_state
from batchgen.storage.paths import RunFolder
from tests.collector.media import picture
from tests.money.here import collecting
from tests.processes import MODEL
from tests.providers.fake import FakeProvider

BASE = "http://127.0.0.1:9/v1"
LIST_MICRO = 30_000


@dataclass(frozen=True)
class Ask:
    """One row: how many outputs, what they cost at the list price's *share*, how its POSTs and reads are answered."""

    units: int = 1
    share: float = 1.0
    posts: tuple[str, ...] = ()
    is_failing: bool = False
    reads_without_cost: int = 0
    connect_ms: int = 0
    answer_ms: int = 0

    @property
    def cost_micro(self) -> int:
        return round(self.units * LIST_MICRO * self.share)


@dataclass
class Toll(FakeProvider):
    """A provider that charges each text what its Ask says. *is_off*: the power went, nothing reaches it."""

    asks: Mapping[str, Ask] = field(default_factory=dict)
    paid: dict[str, list[int]] = field(default_factory=dict)
    highest_told: int = LIST_MICRO
    floors: dict[str, int] = field(default_factory=dict)
    is_off: bool = False

    def ask_of(self, request_id: str) -> Ask:
        return self.asks[self._taken[request_id][0]]

    async def submit(
        self, model: str, body: Mapping[str, Any], before_sending: Callable[[], Awaitable[None]]
    ) -> SubmitAnswer:
        text = str(body["text"])
        ask = self.asks[text]
        await asyncio.sleep(ask.connect_ms / 1000)
        if self.went_off():
            return NotSent("no power")
        self.floors[text] = self.highest_told * ask.units
        await before_sending()
        if self.went_off():
            return Lost("no power")
        said = self.submits.get(text) or []
        if not said or (isinstance(said[0], Lost) and said[0].reason == "charged"):
            self.paid.setdefault(text, []).append(ask.cost_micro)
        await asyncio.sleep(ask.answer_ms / 1000)

        async def nothing() -> None:
            """The intent is written already."""

        return await super().submit(model, body, nothing)

    def went_off(self) -> bool:
        return self.is_off

    async def status(self, request_id: str) -> StatusAnswer:
        return NoNews("no power", contact=True) if self.is_off else await super().status(request_id)

    async def result(self, request_id: str, model: str) -> ResultAnswer:
        if self.is_off:
            return NoNews("no power", contact=True)
        told = await super().result(request_id, model)
        if not isinstance(told, Success):
            return told
        ask, reads = self.ask_of(request_id), self.asked.count((request_id, -1.0))
        self.asked.append((request_id, -1.0))
        cost_micro = None if reads < ask.reads_without_cost else ask.cost_micro
        return Failure("the model refused", cost_micro) if ask.is_failing else Success(told.outputs, cost_micro)


ANSWERS: Mapping[str, Callable[[], SubmitAnswer]] = {
    "charged": lambda: Lost("charged"),
    "lost": lambda: Lost("not charged"),
    "busy": lambda: Busy("later", 0.0),
    "rejected": lambda: Rejected("no"),
}


class Life:
    """One folder with a budget, its provider, and all that was seen of its money.

    A run that is *careless* has neither a budget nor a price list: what it sends counts only once its price is known.
    """

    def __init__(self, folder: Path, asks: list[Ask], budget_micro: int, file_url: str) -> None:
        self.asks = {f"dune {number}": ask for number, ask in enumerate(asks)}
        self.budget_micro = budget_micro
        self.manifest = folder / "dunes.csv"
        self.out = folder / "out-0"
        self._folder = folder
        self._file_url = file_url
        lines = [f"row-{number:03d},dune {number},https://e.com/a.png,{ask.units}" for number, ask in enumerate(asks)]
        head = "id,text,images,sequential_image_generation_options"
        self.manifest.write_text("\n".join([head, *lines]) + "\n")
        self.provider = Toll(
            now=asyncio.get_running_loop().time,
            url_of=lambda request_id: self._file_url,
            submits={text: [ANSWERS[word]() for word in ask.posts] for text, ask in self.asks.items()},
            asks=self.asks,
        )
        self.crashes = 0
        self.possibly = 0
        self.spent_before = 0

    async def run(
        self,
        crash_after: int | None = None,
        releasing: bool = False,
        in_flight: int = 4,
        careless: bool = False,
        limit: int | None = None,
    ) -> Report:
        """One command on the folder: released rows, late costs, and the run. The power may go after some moves."""
        moves = 0
        snapshot = self._folder / f"out-{self.crashes + 1}"
        beside: list[Scheduler] = []

        def seen(job: Job, event: Event) -> None:
            nonlocal moves
            moves += 1
            if self.provider.is_off:
                return
            if not careless:
                self._check(job, event, state.reader)
            if moves == crash_after and beside:
                self._copy(snapshot)
                self.provider.is_off = True
                beside[0].leave()

        async def watch(scheduler: Scheduler) -> None:
            beside.append(scheduler)

        state = open_state(RunFolder.at(self.out), BASE, True, lambda reason, jobs: None, seen)
        try:
            catalogue = Catalogue(BASE, None, None if careless else {MODEL: Decimal("0.03")})
            options = Options(
                api_base=BASE,
                rehearsal=True,
                in_flight=in_flight,
                min_free_bytes=0,
                limit=limit,
                budget_usd=None if careless else self.budget_micro / 1e6,
            )
            async with (
                downloads_session(allow_private=True, limit=4) as session,
                collecting(state.folder, session, asyncio.get_running_loop().time) as collector,
            ):
                provider = cast(RunComfy, self.provider)  # it passes the same contract
                opened = Session(state.folder, options, state, provider, collector, catalogue)
                await opened.keep_budget()
                await opened.settle_unanswered()
                scratch, problems = await gather(self.manifest, catalogue, state.reader)
                assert not problems
                await state.enrol(scratch)
                scratch.close()
                if releasing:
                    await release(state, list(state.reader.jobs([State.IN_DOUBT])))
                await opened.ask_late_costs(None)
                report = await opened.carry(None, watch)
            if careless:  # some of it at prices that the run learned as it went
                self.spent_before = state.reader.money().committed
        finally:
            state.close()
        if self.provider.is_off:
            self.crashes += 1
            self.out = snapshot
            self.provider.is_off = False
        return report

    def _copy(self, snapshot: Path) -> None:
        """What is on disk at this moment. The journal goes first: it may be behind the state, never ahead."""
        snapshot.mkdir()
        for name in ("journal.jsonl", "state.db", "state.db-wal"):
            if (self.out / name).exists():
                shutil.copy(self.out / name, snapshot / name)
        shutil.copytree(
            self.out / "rows", snapshot / "rows", ignore=lambda folder, names: [n for n in names if ".part" in n]
        )

    def _check(self, job: Job, event: Event, reader: Reader) -> None:
        """docs/money.md, at this very move."""
        if isinstance(event, Intent):
            assert reader.money().unpriced == 0, "sent while nobody knew what is left of the budget"
            assert event.estimate_micro is not None
            assert event.estimate_micro >= self.provider.floors[job.input["text"]], "reserved below a cost seen before"
        money = reader.money()
        if isinstance(event, PriceKnown) or job.estimate_micro is None:  # it was spent without a budget
            self.spent_before = max(self.spent_before, money.committed)
        before = 0 if isinstance(event, Intent) else self.spent_before
        assert money.committed <= max(self.budget_micro, before) + self._surplus(reader)
        assert money.possibly >= self.possibly, "a doubtful attempt gave its money back"
        self.possibly = money.possibly
        cost_micro = event.cost_micro if isinstance(event, Succeeded | JobFailed | CostKnown) else None
        if cost_micro is not None:
            self.provider.highest_told = max(self.provider.highest_told, -(-cost_micro // job.units))

    def _surplus(self, reader: Reader) -> int:
        """By how much the costs of what was sent are above what was reserved for it."""
        sent = [job for job in reader.sent() if job.estimate_micro is not None]
        asks = [(self.asks[f"dune {int(job.row_id.removeprefix('row-'))}"], job) for job in sent]
        return sum(max(0, ask.cost_micro - (job.estimate_micro or 0)) for ask, job in asks)

    def money(self) -> tuple[Money, int, list[Job], int]:
        """(the account, the surplus, rows still pending, the highest price seen) as the folder has them now."""
        with closing(open_reader(RunFolder.at(self.out))) as reader:
            pending = list(reader.jobs([State.PENDING]))
            highest = max([LIST_MICRO, *reader.highest_unit_prices().values()])
            return reader.money(), self._surplus(reader), pending, highest

    @property
    def really_paid(self) -> int:
        return sum(sum(costs) for costs in self.provider.paid.values())


@pytest.fixture(scope="module")
def file_url() -> Iterator[str]:
    """A picture on loopback."""
    content = picture()

    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *words: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/a.png"
    server.shutdown()
    thread.join()
    server.server_close()


POSTS = st.one_of(
    st.just(()),
    st.just(()),
    st.lists(st.sampled_from(["charged", "lost", "busy", "rejected"]), max_size=2).map(tuple),
)
ASKS = st.builds(
    Ask,
    units=st.integers(1, 3),
    share=st.sampled_from([0.0, 0.5, 1.0, 1.0, 1.0, 1.5, 3.0]),
    posts=POSTS,
    is_failing=st.sampled_from([False, False, True]),
    reads_without_cost=st.sampled_from([0, 0, 1, 2, 3]),
    connect_ms=st.sampled_from([0, 0, 5, 60]),
    answer_ms=st.sampled_from([0, 0, 1, 5]),
)
RUNS = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(1, 20)), st.booleans(), st.integers(1, 6)), min_size=1, max_size=3
)


# The same forty in every run: what one run finds must not hang on luck.
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asks=st.lists(ASKS, min_size=1, max_size=8),
    careless=st.one_of(st.none(), st.none(), st.tuples(st.one_of(st.none(), st.integers(1, 20)), st.integers(1, 6))),
    runs=RUNS,
    budget_units=st.integers(0, 16),
)
def test_charged_possibly_and_reserved_stay_within_the_budget_but_for_the_surplus_of_what_was_in_flight(
    file_url: str,
    asks: list[Ask],
    careless: tuple[int | None, int] | None,
    runs: list[tuple[int | None, bool, int]],
    budget_units: int,
) -> None:
    async def live() -> None:
        with tempfile.TemporaryDirectory() as folder:
            life = Life(Path(folder), asks, budget_units * LIST_MICRO, file_url)
            if careless is not None:
                await life.run(careless[0], in_flight=careless[1], careless=True)
            for crash_after, releasing, in_flight in runs:
                await life.run(crash_after, releasing, in_flight)
            report = await life.run()
            account, surplus, pending, highest = life.money()
            assert life.really_paid <= account.committed + surplus
            assert account.unpriced == 0
            assert account.committed <= max(life.budget_micro, life.spent_before) + surplus
            if careless is None and all(ask.share <= 1.0 for ask in asks):
                assert surplus == 0
                assert life.really_paid <= account.committed <= life.budget_micro
            if pending:  # and it does not stop before it must
                assert report.exit is Exit.BUDGET
                assert account.committed + pending[0].units * highest > life.budget_micro

    asyncio.run(live())


async def test_the_money_of_a_released_row_is_never_free_again(tmp_path: Path, file_url: str) -> None:
    life = Life(tmp_path, [Ask(posts=("charged", "charged"))] + [Ask()] * 3, 4 * LIST_MICRO, file_url)
    assert (await life.run()).exit is Exit.IN_DOUBT
    assert life.money()[0] == Money(charged=3 * LIST_MICRO, reserved=LIST_MICRO)
    report = await life.run(releasing=True)
    assert report.exit is Exit.BUDGET
    assert life.money()[0] == Money(charged=3 * LIST_MICRO, possibly=LIST_MICRO)
    assert life.really_paid == life.budget_micro
    life.budget_micro += LIST_MICRO - 1
    assert (await life.run()).exit is Exit.BUDGET
    assert life.really_paid == 4 * LIST_MICRO
    life.budget_micro += 1
    assert (await life.run()).exit is Exit.IN_DOUBT  # the second POST's answer is lost as well
    assert life.money()[0] == Money(charged=3 * LIST_MICRO, possibly=LIST_MICRO, reserved=LIST_MICRO)


async def test_what_jobs_give_back_of_their_reserve_is_spent_before_the_budget_stops_the_run(
    tmp_path: Path, file_url: str
) -> None:
    life = Life(tmp_path, [Ask(share=0.5)] * 4, 2 * LIST_MICRO, file_url)
    assert (await life.run(in_flight=4)).exit is Exit.BUDGET
    account, _, pending, _ = life.money()
    assert (account, len(pending)) == (Money(charged=3 * LIST_MICRO // 2), 1)


async def test_what_was_sent_at_an_unknown_price_counts_before_the_next_row_is_sent_under_a_budget(
    tmp_path: Path, file_url: str
) -> None:
    asks = [Ask(reads_without_cost=9), Ask(posts=("charged",)), Ask(reads_without_cost=9, is_failing=True)]
    life = Life(tmp_path, [*asks, *[Ask()] * 3], 4 * LIST_MICRO, file_url)
    await life.run(careless=True, limit=3)
    assert life.money()[0] == Money(unpriced=3)
    assert (await life.run(in_flight=1)).exit is Exit.BUDGET
    assert life.money()[0] == Money(charged=3 * LIST_MICRO, reserved=LIST_MICRO)
    assert life.really_paid == life.budget_micro


async def test_rows_that_waited_for_a_connection_while_the_price_rose_are_weighed_again(
    tmp_path: Path, file_url: str
) -> None:
    asks = [Ask(share=3.0), *[Ask(connect_ms=1_000)] * 5]
    life = Life(tmp_path, asks, 6 * LIST_MICRO, file_url)
    assert (await life.run(in_flight=6)).exit is Exit.BUDGET
    account, surplus, pending, highest = life.money()
    assert (highest, surplus) == (3 * LIST_MICRO, 2 * LIST_MICRO)
    assert len(pending) == 4
    assert account.committed <= life.budget_micro


async def test_a_late_cost_above_the_list_raises_the_reserve_of_the_next_run(tmp_path: Path, file_url: str) -> None:
    life = Life(tmp_path, [Ask(share=2.0, reads_without_cost=2), Ask(), Ask()], LIST_MICRO, file_url)
    assert (await life.run()).exit is Exit.BUDGET
    assert life.money()[0] == Money(charged=LIST_MICRO)
    life.budget_micro = 4 * LIST_MICRO - 1  # 2 for the first as it now turns out, and not quite 2 for the next
    assert (await life.run()).exit is Exit.BUDGET
    account, _, pending, highest = life.money()
    assert (account, len(pending), highest) == (Money(charged=2 * LIST_MICRO), 2, 2 * LIST_MICRO)
    life.budget_micro += 1
    assert (await life.run()).exit is Exit.BUDGET
    assert len(life.money()[2]) == 1
