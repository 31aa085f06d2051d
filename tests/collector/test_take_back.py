"""Bytes that were set aside are taken into their row by a person's word, and lost at no moment of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from batchgen.collector import row_folder
from batchgen.collector.collect import Collector
from batchgen.collector.download import downloads_session
from batchgen.collector.write_rows import RowFiles, shelve
from batchgen.core.job import Billed, Collected, Job, JobFailed, Output, State, Succeeded
from batchgen.runner import takeback
from batchgen.state import StateFile, open_reader
from batchgen.storage.paths import RunFolder
from tests.collector.media import picture
from tests.money.harness import Scene, until
from tests.money.strace import traced
from tests.processes import Server, serving
from tests.report.folders import a_row, enrol, happen, jobs_of, opened, sent

PICTURE, OTHER = picture(seed=1), picture(seed=2)
PAGE = b"<!DOCTYPE html><html><body>denied</body></html>"


@dataclass
class Aside:
    """A run folder with a row whose outputs are in its folder or set aside, and what takes them back."""

    state: StateFile
    collector: Collector

    async def row(self, *, aside: dict[str, bytes], there: dict[str, bytes] | None = None) -> Job:
        """A row of two outputs that ended with *aside*: failed, or collected with what is *there*."""
        row = a_row("dune", "a dune")
        await asyncio.to_thread(enrol, self.state, [row], 2)
        (job,) = jobs_of(self.state, [row])
        outputs = tuple(Output("images", f"https://files.example/{n}.png") for n in range(2))
        job = await happen(self.state, job, *sent(5.0, job), Succeeded(6.0, outputs, 60_000))
        folder = self.state.folder
        if there:
            missing = "images-01: an error page"
            await asyncio.to_thread(shelve, folder, [RowFiles(job, (), there, True, missing)])
            job = await happen(
                self.state, job, Collected(7.0, tuple(row_folder.standing(folder, job).values()), missing)
            )
        else:
            job = await happen(self.state, job, JobFailed(7.0, "images-00: cut off", Billed.YES))
        folder.make(folder.set_aside)
        for stem, content in aside.items():
            (folder.set_aside / f"dune.1.{stem}.bytes").write_bytes(content)
        return job

    async def take_back(self) -> Job:
        (job,) = await takeback.take_back(self.state, self.collector, ["dune"])
        assert not (self.state.folder.path / "parts" / "dune.1").exists()
        return job

    @property
    def saved(self) -> dict[str, bytes]:
        place = self.state.folder.row("dune")
        return {path.name: path.read_bytes() for path in sorted(place.iterdir()) if path.name != "row.json"}

    @property
    def sidecar(self) -> dict[str, object]:
        told: dict[str, object] = json.loads((self.state.folder.row("dune") / "row.json").read_text("utf-8"))
        return told

    @property
    def set_aside(self) -> list[str]:
        return sorted(path.name for path in self.state.folder.set_aside.iterdir())


@pytest.fixture
async def aside(tmp_path: Path) -> AsyncIterator[Aside]:
    (tmp_path / "out").mkdir()
    with opened(tmp_path / "out") as state:
        session = downloads_session(True, 1)
        collector = Collector(state.folder, session, True, time.time)
        yield Aside(state, collector)
        await collector.close()
        await session.close()


async def test_a_failed_row_is_collected_with_what_was_set_aside(aside: Aside) -> None:
    failed = await aside.row(aside={"images-00": PICTURE, "images-01": PAGE})
    taken = await aside.take_back()
    assert (taken.state, taken.reason) == (State.COLLECTED, None)
    assert [(file.name, file.media_type, file.checked) for file in taken.saved] == [
        ("images-00.png", "image/png", "decoded"),
        ("images-01.bin", "application/octet-stream", "none"),
    ]
    assert aside.saved == {"images-00.png": PICTURE, "images-01.bin": PAGE}
    assert aside.sidecar["request_id"] == failed.request_id
    assert aside.set_aside == []
    assert taken.cost_micro == failed.cost_micro


async def test_a_row_of_which_a_part_was_set_aside_says_what_it_lacks_still(aside: Aside) -> None:
    await aside.row(aside={"images-01": PICTURE[:-200]})
    taken = await aside.take_back()
    assert (taken.state, taken.reason) == (State.COLLECTED, "images-00: not there")
    assert aside.saved == {"images-01.png": PICTURE[:-200]}
    assert aside.sidecar["missing"] == "images-00: not there"


async def test_a_collected_row_gets_what_it_lacks(aside: Aside) -> None:
    await aside.row(aside={"images-01": PAGE}, there={"images-00": OTHER})
    taken = await aside.take_back()
    assert (taken.state, taken.reason) == (State.COLLECTED, None)
    assert aside.saved == {"images-00.png": OTHER, "images-01.bin": PAGE}
    assert [file.name for file in taken.saved] == ["images-00.png", "images-01.bin"]
    assert aside.sidecar["missing"] is None


@pytest.mark.parametrize("there", [{}, {"images-00": OTHER}], ids=["failed", "collected"])
async def test_whoever_is_killed_before_it_is_recorded_takes_it_back_the_next_time(
    aside: Aside, there: dict[str, bytes]
) -> None:
    job = await aside.row(aside={"images-01": PICTURE}, there=there)
    found = row_folder.set_aside_of(aside.state.folder, job)
    await aside.collector.take_back(job, (), found)  # and nobody records it
    assert aside.set_aside == ["dune.1.images-01.bytes"]
    taken = await aside.take_back()
    assert taken.state is State.COLLECTED
    assert aside.saved["images-01.png"] == PICTURE
    assert len(aside.saved) == len(there) + 1
    assert aside.set_aside == []


async def test_whoever_is_killed_while_copying_takes_it_back_the_next_time(aside: Aside) -> None:
    job = await aside.row(aside={"images-01": PICTURE})
    part = row_folder.part_of(row_folder.open_parts(aside.state.folder, job), "images-01")
    part.write_bytes(PICTURE[:100])
    await aside.take_back()
    assert aside.saved == {"images-01.png": PICTURE}


async def test_whoever_is_killed_after_it_was_recorded_has_nothing_to_do_but_tidy_up(aside: Aside) -> None:
    job = await aside.row(aside={"images-01": PICTURE})
    found = row_folder.set_aside_of(aside.state.folder, job)
    await aside.state.record(job, await aside.collector.take_back(job, (), found))
    taken = await aside.take_back()
    assert aside.saved == {"images-01.png": PICTURE}
    assert (len(taken.saved), aside.set_aside) == (1, [])


async def test_what_cannot_be_taken_back_is_named_and_nothing_is_changed(aside: Aside) -> None:
    await aside.row(aside={"images-00": b"", "images 01": PAGE})
    with pytest.raises(takeback.NothingSetAside, match="latest attempt at row dune"):
        await aside.take_back()
    with pytest.raises(takeback.NothingSetAside, match="no row is called 'dunes'"):
        await takeback.take_back(aside.state, aside.collector, ["dunes"])
    (aside.state.folder.set_aside / "dune.1.images-00.bytes").unlink()
    (aside.state.folder.set_aside / "dune.1.images-00.bytes").symlink_to("/etc/hostname")
    with pytest.raises(takeback.NothingSetAside):  # a planted link is not followed
        await aside.take_back()


def test_the_command_takes_rows_back_without_a_request_and_says_so(tmp_path: Path) -> None:
    with serving(faults="download.html=100%", latency="fixed:10ms") as server:
        scene = failed_scene(tmp_path, server, rows=2)
        charged = server.charged
        ended = scene.batchgen("collect", scene.out, "--take-back", *scene.row_ids, "--json")
        assert ended.exit == 0, ended.stderr
        assert ended.json["rows"]["collected"] == 2
        assert "taken in as it is" in ended.stderr
        assert [path.name for path in (scene.out / "set-aside").iterdir()] == []
        assert server.charged == charged
        again = scene.batchgen("collect", scene.out, "--take-back", "dune-000")
        assert again.exit == 2
        assert "nothing of the latest attempt at row dune-000" in again.stderr


def failed_scene(folder: Path, server: Server, rows: int) -> Scene:
    """*rows* rows whose output was an error page, twice."""
    scene = Scene(folder, server, "dune", rows)
    scene.finish()
    assert len(list((scene.out / "set-aside").iterdir())) == rows
    return scene


class TakingBack(Scene):
    @property
    def arguments(self) -> tuple[object, ...]:
        return ("collect", self.out, "--take-back", *self.row_ids, "--json", "--quiet")


@traced
def test_a_kill_at_its_fsyncs_loses_nothing(tmp_path: Path) -> None:
    with serving(faults="download.html=100%", latency="fixed:10ms") as server:
        scene = failed_scene(tmp_path, server, rows=1)
        (page,) = [path.read_bytes() for path in (scene.out / "set-aside").iterdir()]
        kept, row = tmp_path / "kept", scene.out / "rows" / scene.row_ids[0]
        shutil.copytree(scene.out, kept)
        taking = TakingBack(tmp_path, server, "dune", rows=1)
        for number in range(2, 100, 5):
            shutil.rmtree(scene.out)
            shutil.copytree(kept, scene.out)
            if not taking.kill_at_sync(number):
                break
            until(lambda: taking.batchgen(*taking.arguments).exit in (0, 2))  # 8 while who was killed still dies
            assert (row / "images-00.bin").read_bytes() == page, f"killed at fsync {number}"
            with closing(open_reader(RunFolder.at(scene.out))) as reader:
                assert [job.state for job in reader.attempts(row.name)] == [State.COLLECTED]
        assert number > 7
        assert len(server.charged) == 1
