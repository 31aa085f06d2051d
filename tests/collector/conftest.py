"""A file host, and a collector that fetches from it into a run folder of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from batchgen.collector.collect import Collector, TryLater
from batchgen.collector.download import downloads_session
from batchgen.core.job import Collected, Job, JobFailed, Output, State
from batchgen.storage.paths import RunFolder
from tests.collector.filehost import FileHost, file_host


def ready(*outputs: tuple[str, str] | str, row_id: str = "dune", n: int = 1) -> Job:
    """A job whose result was read: *outputs* are URLs, or keys and URLs."""
    pairs = [("images", output) if isinstance(output, str) else output for output in outputs]
    return Job(
        key=1,
        row_id=row_id,
        n=n,
        state=State.READY,
        model="model",
        input={"text": "a dune"},
        files=(),
        fingerprint="f" * 64,
        outputs_asked=len(pairs),
        request_id=f"id-{n}",
        outputs=tuple(Output(key, url) for key, url in pairs),
    )


@dataclass
class Fetched:
    """How the tries at one job went: what each brought but the last, and the last."""

    waits: list[TryLater]
    end: Collected | JobFailed | TryLater

    @property
    def collected(self) -> Collected:
        assert isinstance(self.end, Collected), self.end
        return self.end

    @property
    def failed(self) -> JobFailed:
        assert isinstance(self.end, JobFailed), self.end
        return self.end


@dataclass
class Bench:
    """One collector; waits between tries are noted and not slept. *others* were made of it, with other bounds."""

    folder: RunFolder
    collector: Collector
    others: list[Collector] = field(default_factory=list)

    async def fetch(self, job: Job, tries: int = 8, earlier: tuple[Job, ...] = ()) -> Fetched:
        """Try until *job* has ended, or *tries* times. An ended job has left nothing half-written."""
        waits: list[TryLater] = []
        while True:
            end = await self.collector.shelve(job, earlier, await self.collector.download(job))
            if isinstance(end, TryLater) and len(waits) + 1 < tries:
                waits.append(end)
                continue
            if not isinstance(end, TryLater):
                self.assert_tidy()
            return Fetched(waits, end)

    def assert_tidy(self) -> None:
        every = [path for path in self.folder.path.rglob("*") if path.is_file()]
        assert [path for path in every if path.suffix in (".part", ".etag")] == []
        parts = self.folder.path / "parts"
        assert not parts.exists() or list(parts.iterdir()) == []
        for row in self.folder.rows.iterdir():
            names = {path.name for path in row.iterdir()}
            assert "row.json" in names
            assert len(names) > 1

    def saved(self, row_id: str = "dune") -> dict[str, bytes]:
        """The outputs in a row folder, by name."""
        place = self.folder.row(row_id)
        if not place.exists():
            return {}
        return {path.name: path.read_bytes() for path in sorted(place.iterdir()) if path.name != "row.json"}

    @property
    def set_aside(self) -> list[Path]:
        return sorted(self.folder.set_aside.iterdir()) if self.folder.set_aside.exists() else []

    def parts(self) -> dict[str, int]:
        """What is half-way, by name, and its bytes."""
        return {path.name: path.stat().st_size for path in (self.folder.path / "parts").rglob("*") if path.is_file()}

    def with_bounds(self, **bounds: Any) -> Bench:
        same = self.collector
        self.others.append(Collector(self.folder, same.session, same.allow_private, same.now, **bounds))
        return replace(self, collector=self.others[-1])

    async def close(self) -> None:
        for one in (self.collector, *self.others):
            await one.close()
        await self.collector.session.close()


@pytest.fixture
async def host() -> AsyncIterator[FileHost]:
    async with file_host() as running:
        yield running


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A collector for a loopback base, which gives up on a silent host after 0.3 s."""
    folder = RunFolder.at(tmp_path / "out")
    folder.rows.mkdir(parents=True)
    session = downloads_session(True, 8, idle_s=0.3)
    bench = Bench(folder, Collector(folder, session, True, time.time))
    yield bench
    await bench.close()


@pytest.fixture
async def public_bench(tmp_path: Path, host: FileHost, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """A collector for a public base. *host* is the user's own proxy, so that public names can be served here."""
    monkeypatch.setenv("http_proxy", host.url)
    monkeypatch.setenv("no_proxy", "")
    folder = RunFolder.at(tmp_path / "out")
    folder.rows.mkdir(parents=True)
    session = downloads_session(False, 8, idle_s=0.3)
    bench = Bench(folder, Collector(folder, session, False, time.time))
    yield bench
    await bench.close()
