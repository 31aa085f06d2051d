"""A night in seconds: a loop whose clock jumps from one timer to the next, and a network inside the process.

Everything between the command line and the sockets is real: the scheduler, the state file with its thread, the
provider's client, the collector, and the embedded server behind them. Only time and the wire are not.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple, Unpack

from aiohttp import web

from batchgen.collector.collect import Collector
from batchgen.collector.download import downloads_session
from batchgen.core.errors import Exit
from batchgen.core.job import Job, State
from batchgen.core.money import Price
from batchgen.core.row import Row, fingerprint
from batchgen.providers.runcomfy.model_api import RunComfy
from batchgen.runner.outcome import exit_code
from batchgen.scheduler import Limits, Scheduler, StopInfo
from batchgen.scheduler.pacing import BreakerState, LearnedPolling
from batchgen.simulator import provider as embedded
from batchgen.simulator.files import serve_file
from batchgen.simulator.server import Api, ServeOptions
from batchgen.state import Asked, Staging, StateFile, open_reader, open_state
from batchgen.storage.paths import RunFolder
from tests.processes import MODEL, TOKEN

EPOCH_S = 1_790_000_000.0
API, FILES = ("127.0.0.1", 8001), ("127.0.0.1", 8002)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Where nothing is left to do but wait, its clock jumps to the next timer; what threads owe is waited for."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self.owed = 0
        self.waited_for_threads = 0
        self.servers: dict[tuple[str, int], Callable[[], asyncio.Protocol]] = {}
        self.unreachable: set[tuple[str, int]] = set()
        self._addresses: dict[int, tuple[str, int]] = {}
        self._pipes: list[tuple[tuple[str, int], _Pipe]] = []
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._now_s

    def jump(self, seconds: float) -> None:
        self._now_s += seconds

    # ── threads ─────────────────────────────────────────────────────────────────────────────────────────

    def create_future(self) -> asyncio.Future[Any]:
        """Futures that the state file's thread settles are counted, so that no time passes meanwhile."""
        future = super().create_future()
        if sys._getframe(1).f_globals["__name__"].startswith("batchgen.state."):
            self._owe(future)
        return future

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._owe(future)
        return future

    def _owe(self, future: asyncio.Future[Any]) -> None:
        self.owed += 1
        self.waited_for_threads += 1

        def settled(_: object) -> None:
            self.owed -= 1

        future.add_done_callback(settled)

    def cut_off(self, address: tuple[str, int]) -> None:
        """Nobody is reached at *address* any more; connections that are open break."""
        self.unreachable.add(address)
        for to, pipe in self._pipes:
            if to == address:
                pipe.peer.close()

    # ── the network ─────────────────────────────────────────────────────────────────────────────────────

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        if address in self.unreachable or address not in self.servers:
            raise ConnectionRefusedError(f"nobody listens on {address}")
        self._addresses[sock.fileno()] = address

    async def create_connection(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        sock: socket.socket = kwargs["sock"]
        address = self._addresses.pop(sock.fileno())
        sock.close()
        ours, theirs = protocol_factory(), self.servers[address]()
        here, there = _Pipe(self, ours), _Pipe(self, theirs)
        here.peer, there.peer = there, here
        self._pipes = [(to, pipe) for to, pipe in self._pipes if not pipe.is_closing()] + [(address, here)]
        theirs.connection_made(there)
        ours.connection_made(here)
        return here, ours


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self._loop.owed or timeout is None:
            return super().select(None)
        self._loop.jump(timeout)
        return super().select(0)


class _Pipe(asyncio.Transport):
    """One end of a connection that exists in memory only."""

    def __init__(self, loop: VirtualLoop, protocol: asyncio.Protocol) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self._loop = loop
        self._protocol = protocol
        self._kept: deque[bytes] = deque()
        self._paused = False
        self._closing = False
        self.peer: _Pipe

    def write(self, data: Any) -> None:
        if not self._closing:
            self._loop.call_soon(self.peer._received, bytes(data))

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)
            self._loop.call_soon(self.peer.close)

    abort = close

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._loop.call_soon(self._hand_on)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def _received(self, data: bytes) -> None:
        self._kept.append(data)
        self._hand_on()

    def _hand_on(self) -> None:
        while self._kept and not self._paused and not self._closing:
            self._protocol.data_received(self._kept.popleft())


def in_virtual_time(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """Run *test* on a `VirtualLoop`."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(**fixtures))

    return run


def the_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


# ── a run ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Clock:
    """The wall clock of provider and run. *ahead_s* is what the run's machine slept through, or was set by."""

    ahead_s: float = 0.0

    def __call__(self) -> float:
        return EPOCH_S + the_loop().time() + self.ahead_s


class Embedded(embedded.Provider):
    """The embedded server's state on the test's clock. What *hosts_files* says no to answers the file host's GETs."""

    def __init__(self, options: ServeOptions, folder: Path, clock: Clock) -> None:
        self.clock = clock
        super().__init__(options, folder)

    def now_s(self) -> float:
        return self.clock()


@dataclass
class Night:
    """One run folder, one embedded server, and as many runs over them as a test wants."""

    folder: RunFolder
    server: Embedded
    clock: Clock
    post_s: float = 0.05
    posts_at: list[tuple[float, int]] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    ending: StopInfo = field(default_factory=StopInfo)
    breakers: list[BreakerState] = field(default_factory=list)
    token: str = TOKEN

    @property
    def now_s(self) -> float:
        """Seconds since the night began."""
        return self.clock() - EPOCH_S

    def change(self, **options: Any) -> None:
        self.server.change(options)

    def cut_off(self, cut: bool) -> None:
        """Whether the provider's API can be reached."""
        (the_loop().cut_off if cut else the_loop().unreachable.discard)(API)

    async def run(
        self,
        rows: Sequence[str] = (),
        during: Callable[[Scheduler], Coroutine[Any, Any, Any]] | None = None,
        submitting: bool = True,
        polls_per_min: float = 6000.0,
        **limits: Any,
    ) -> StopInfo:
        """Enrol *rows* and run to the end; *during* is awaited beside the run."""
        provider = RunComfy(f"http://{API[0]}:{API[1]}", self.token)
        session = downloads_session(True, 32)
        collector = Collector(self.folder, session, True, self.clock)
        with self._state() as state:
            await _enrol(state, rows)
            self.scheduler = Scheduler(
                state,
                provider,
                collector,
                Limits(**{"min_free_bytes": 0, **limits}),
                {MODEL: Price(30_000, 30_000)},
                LearnedPolling(polls_per_min),
                self.clock,
                submitting=submitting,
                on_breaker=self.breakers.append,
                seed=7,
            )
            beside = asyncio.create_task(during(self.scheduler)) if during else None
            try:
                self.ending = await self.scheduler.run()
            finally:
                if beside is not None:
                    beside.cancel()
                    await asyncio.gather(beside, return_exceptions=True)
                await collector.close()
                await session.close()
                await provider.close()
        if self.folder.state.exists():
            with closing(open_reader(self.folder)) as reader:
                self.jobs = {job.row_id: job for job in reader.jobs(list(State))}
        if beside is not None and not beside.cancelled() and (error := beside.exception()) is not None:
            raise error
        return self.ending

    def exit(self) -> Exit:
        """What the command would end with."""
        counts = {state: self.count(state) for state in State}
        unsent, missing = self.scheduler.rows_unsent, bool(self.scheduler.models_missing)
        return exit_code(counts, self.ending.cause, self.ending.by_user, model_missing=missing, unsent=unsent)

    @property
    def told(self) -> list[str]:
        """Every change of a breaker, in order."""
        return [f"{one.which.value} {one.position.value}" for one in self.breakers]

    def count(self, state: State) -> int:
        return sum(job.state is state for job in self.jobs.values())

    @property
    def paid(self) -> list[str]:
        """The row ids of the jobs that the server made and charged, in order."""
        return [json.loads(job.body)["text"] for job in self.server.account if isinstance(job.body, bytes)]

    @contextmanager
    def _state(self) -> Iterator[StateFile]:
        state = open_state(self.folder, "http://127.0.0.1:1", False, lambda reason, jobs: None)
        try:
            yield state
        finally:
            state.close()


@asynccontextmanager
async def night(place: Path, faults: str = "", latency: str = "fixed:30s", **options: Any) -> AsyncIterator[Night]:
    """A provider that has just begun to answer, and a run folder that is not there yet."""
    told = ServeOptions(token=TOKEN, faults=faults, latency=latency, draw="tiny", **options)
    (place / "server").mkdir()
    clock = Clock()
    server = Embedded(told, place / "server", clock)
    server.api_url, server.files_url = (f"http://{host}:{port}" for host, port in (API, FILES))
    made = Night(RunFolder.at(place / "out"), server, clock)
    api = Api(server)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            await asyncio.sleep(made.post_s)
        before = server.counters["submit"]
        answered = await api.handle(request)
        if server.counters["submit"] > before:
            made.posts_at.append((made.now_s, answered.status))
        return answered

    async def files(request: web.BaseRequest) -> web.StreamResponse:
        return await serve_file(server, request)

    loop = the_loop()
    loop.servers = {API: web.Server(answer, access_log=None), FILES: web.Server(files, access_log=None)}
    try:
        yield made
    finally:
        for one in loop.servers.values():
            assert isinstance(one, web.Server)
            await one.shutdown(1.0)
        server.gallery.close()


def names(count: int) -> list[str]:
    return [f"row-{number:03d}" for number in range(count)]


async def _enrol(state: StateFile, rows: Sequence[str]) -> None:
    scratch = Staging()
    try:
        for row_id in rows:
            body = {"text": row_id, "images": ["https://example.com/a.png"], "sequential_image_generation_options": 1}
            row = Row(row_id, True, MODEL, body, fingerprint(MODEL, body))
            assert scratch.add(row, Asked(1, 1)) is None
        scratch.done()
        if rows:
            await state.enrol(scratch)
    finally:
        scratch.close()
