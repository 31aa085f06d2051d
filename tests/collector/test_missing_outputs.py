"""A row with a whole file is collected, whatever became of its other outputs; they are asked for again."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from batchgen.collector import row_folder
from batchgen.collector.collect import TryLater
from batchgen.collector.verify import verify
from batchgen.core.job import Collected, Job, State, advance
from tests.collector.conftest import Bench, ready
from tests.collector.filehost import FileHost, Way, breaks_off, sends
from tests.collector.media import picture

PNG, OTHER = picture(), picture(seed=2)
HTML = b"<!doctype html><html><body>denied</body></html>"
FRESH = time.time() + 10_000  # its links were asked for just now, however slow the machine


def row_json(bench: Bench) -> dict[str, object]:
    told = json.loads((bench.folder.row("dune") / "row.json").read_text())
    assert isinstance(told, dict)
    return told


async def collected(bench: Bench, *urls: str) -> Job:
    """The job of these outputs, once it is collected."""
    job = ready(*urls)._replace(ended_at=FRESH)
    return advance(job, (await bench.fetch(job, tries=20)).collected)


@pytest.mark.parametrize(
    ("way", "why"),
    [
        (sends(HTML), "images-01: "),
        (sends(b""), "images-01: "),
        (sends(b"", 404), "images-01 is gone: HTTP 404 on 4 fresh links"),
        (sends(b"", 410), "images-01 is gone: HTTP 410 on 4 fresh links"),
    ],
    ids=["error page", "empty", "404", "410"],
)
async def test_a_row_with_a_whole_file_is_collected_and_says_what_it_lacks(
    host: FileHost, bench: Bench, way: Way, why: str
) -> None:
    good, bad, last = host.puts("/1.png", sends(PNG)), host.puts("/2", way), host.puts("/3.png", sends(OTHER))
    job = await collected(bench, good, bad, last)
    assert job.state is State.COLLECTED
    assert str(job.reason).startswith(why)
    assert bench.saved() == {"images-00.png": PNG, "images-02.png": OTHER}
    assert row_json(bench)["missing"] == job.reason
    assert [asked.target for asked in host.asked].count("/1.png") == 1


@pytest.mark.parametrize(("status", "tries"), [(503, 8), (403, 4)])
async def test_an_output_that_is_out_of_reach_for_long_keeps_no_row_from_its_files(
    host: FileHost, bench: Bench, status: int, tries: int
) -> None:
    job = ready(host.puts("/1.png", sends(PNG)), host.puts("/2", sends(b"", status)))._replace(ended_at=FRESH)
    fetched = await bench.fetch(job, tries=20)
    assert len(fetched.waits) == tries - 1
    assert str(fetched.collected.missing).startswith(f"images-01: HTTP {status}")
    assert bench.saved() == {"images-00.png": PNG}


async def test_out_of_reach_and_no_whole_file_is_waited_for(host: FileHost, bench: Bench) -> None:
    job = ready(host.puts("/1", sends(HTML)), host.puts("/2", sends(b"", 503)))._replace(ended_at=FRESH)
    assert isinstance((await bench.fetch(job, tries=14)).end, TryLater)


async def test_a_row_that_lacks_nothing_says_so(host: FileHost, bench: Bench) -> None:
    job = await collected(bench, host.puts("/a.png", sends(PNG)))
    assert job.reason is None
    assert row_json(bench)["missing"] is None


async def test_an_output_that_is_gone_is_not_asked_for_while_others_are_waited_for(
    host: FileHost, bench: Bench
) -> None:
    bad, late = host.puts("/bad", sends(HTML)), host.puts("/late.png", *[sends(b"", 503)] * 5, sends(PNG))
    await collected(bench, bad, late)
    assert [asked.target for asked in host.asked].count("/bad") == 2
    assert bench.saved() == {"images-01.png": PNG}


async def test_links_that_were_asked_for_just_now_are_dead_on_the_fourth(host: FileHost, bench: Bench) -> None:
    job = ready(host.puts("/a.png", sends(b"", 404)))._replace(ended_at=FRESH)
    fetched = await bench.fetch(job)
    assert [wait.after_s for wait in fetched.waits] == [30.0, 120.0, 600.0]
    assert fetched.failed.reason == "images-00 is gone: HTTP 404 on 4 fresh links"


async def test_a_row_folder_that_lacks_an_output_is_found_whole_after_a_kill(host: FileHost, bench: Bench) -> None:
    urls = host.puts("/1.png", sends(PNG)), host.puts("/2", sends(HTML))
    job = await collected(bench, *urls)
    host.asked.clear()
    again = await bench.fetch(ready(*urls))  # as the state has it if the run died before it took the event
    assert again.collected.missing == job.reason
    assert again.collected.saved == job.saved
    assert host.asked == []
    assert len(bench.set_aside) == 1


# ── asking again ────────────────────────────────────────────────────────────────────────────────────────


async def asked_again(bench: Bench, job: Job) -> Collected:
    end = await bench.collector.complete(job, (), job.outputs)
    bench.assert_tidy()
    return end


async def test_what_is_missing_comes_into_the_row_folder_that_is_there(host: FileHost, bench: Bench) -> None:
    good, bad = host.puts("/1.png", sends(PNG)), host.puts("/2", sends(HTML))
    job = await collected(bench, bad, good)
    host.asked.clear()
    host.puts("/2", sends(OTHER))
    end = await asked_again(bench, job)
    assert [asked.target for asked in host.asked] == ["/2"]
    assert bench.saved() == {"images-00.png": OTHER, "images-01.png": PNG}
    assert [file.name for file in end.saved] == ["images-00.png", "images-01.png"]
    assert end.missing is None
    assert row_json(bench)["missing"] is None
    assert advance(job, end).reason is None


@pytest.mark.parametrize(
    "way",
    [sends(HTML), sends(b"", 404), sends(b"", 403), sends(b"", 503), breaks_off(OTHER, 3000), breaks_off(OTHER, 0)],
    ids=["error page", "404", "403", "503", "reset midway", "reset at once"],
)
async def test_what_does_not_come_this_time_either_changes_no_file(host: FileHost, bench: Bench, way: Way) -> None:
    good, bad = host.puts("/1.png", sends(PNG)), host.puts("/2", sends(HTML))
    job = await collected(bench, good, bad)
    host.puts("/2", way)
    end = await bench.collector.complete(job, (), job.outputs)
    assert bench.saved() == {"images-00.png": PNG}
    assert (end.saved, end.missing is None) == (job.saved, False)
    host.puts("/2", sends(OTHER))
    assert (await asked_again(bench, advance(job, end))).missing is None
    assert bench.saved() == {"images-00.png": PNG, "images-01.png": OTHER}


_KILLED = """
import os, pickle, signal, sys
from batchgen.collector import row_folder
left = int(sys.argv[1])
def kill(event, arguments):
    global left
    if event == "os.rename":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
row_folder.add_files(*pickle.load(sys.stdin.buffer))
"""


@pytest.mark.parametrize("renames", [1, 2])
async def test_a_kill_while_a_file_is_added_loses_nothing(host: FileHost, bench: Bench, renames: int) -> None:
    good, bad = host.puts("/1.png", sends(PNG)), host.puts("/2", sends(HTML))
    job = await collected(bench, good, bad)
    parts = row_folder.open_parts(bench.folder, job)
    (parts / "images-01.png").write_bytes(OTHER)
    added = row_folder.saved_file("images-01.png", verify(parts / "images-01.png"))
    told = pickle.dumps((bench.folder, job, (), [*job.saved, added], None))
    killed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", _KILLED, str(renames)], input=told, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    host.asked.clear()
    end = await asked_again(bench, job)
    assert host.asked == []
    assert bench.saved() == {"images-00.png": PNG, "images-01.png": OTHER}
    assert end.missing is None
    assert os.listdir(Path(bench.folder.path) / "parts") == []
