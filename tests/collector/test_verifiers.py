"""Processes that decode: what they answer, and that killing them costs nothing but time."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from batchgen.collector.verify import Undecodable, verify
from batchgen.collector.workers.decoder import Decoder
from batchgen.collector.workers.verifiers import Verifiers
from tests.collector.conftest import Bench, ready
from tests.collector.filehost import FileHost, sends
from tests.collector.media import picture
from tests.processes import Batchgen, serving, write_csv

posix = pytest.mark.skipif(sys.platform == "win32", reason="stops and kills processes by signals")
_children = Path(f"/proc/self/task/{os.getpid()}/children")
linux = pytest.mark.skipif(not _children.exists(), reason="finds child processes in /proc")


@pytest.fixture
async def verifiers() -> AsyncIterator[Verifiers]:
    one = Verifiers(1)
    yield one
    await one.close()


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "sound.part"
    path.write_bytes(picture(width=200, height=150))
    return path


def pids(verifiers: Verifiers) -> list[int]:
    return [verifier.pid for verifier in verifiers.begun]


@pytest.fixture
def cut(sound: Path) -> Path:
    path = sound.with_name("cut.part")
    path.write_bytes(sound.read_bytes()[:-400])
    return path


async def test_a_process_answers_as_the_function_does(verifiers: Verifiers, sound: Path, cut: Path) -> None:
    assert await verifiers.verify(sound) == verify(sound)
    with pytest.raises(Undecodable) as here:
        verify(cut)
    with pytest.raises(Undecodable) as there:
        await verifiers.verify(cut)
    assert str(there.value) == str(here.value)
    with pytest.raises(FileNotFoundError):
        await verifiers.verify(sound.with_name("absent"))
    assert len(pids(verifiers)) == 1


async def test_no_more_processes_begin_than_allowed(sound: Path) -> None:
    two = Verifiers(2)
    try:
        answers = await asyncio.gather(*(two.verify(sound) for _ in range(6)))
        assert answers == [verify(sound)] * 6
        assert len(pids(two)) <= 2
    finally:
        await two.close()


@posix
async def test_a_process_killed_at_its_work_is_replaced_and_the_file_looked_at_again(
    verifiers: Verifiers, sound: Path
) -> None:
    await verifiers.verify(sound)
    (first,) = pids(verifiers)
    os.kill(first, signal.SIGSTOP)
    looking = asyncio.create_task(verifiers.verify(sound))
    await asyncio.sleep(0.05)
    assert not looking.done()
    os.kill(first, signal.SIGKILL)
    assert await looking == verify(sound)
    assert len(pids(verifiers)) == 2


@posix
async def test_a_file_that_kills_whoever_decodes_it_is_undecodable(verifiers: Verifiers, tmp_path: Path) -> None:
    endless = tmp_path / "endless.part"
    os.mkfifo(endless)  # opening it waits for ever
    looking = asyncio.create_task(verifiers.verify(endless))
    killed = 0
    while not looking.done():
        for pid in pids(verifiers)[killed:]:
            os.kill(pid, signal.SIGKILL)
            killed += 1
        await asyncio.sleep(0.01)
    with pytest.raises(Undecodable, match="killed"):
        looking.result()
    assert killed == 3


async def test_a_whole_file_that_kills_whoever_decodes_it_is_kept_as_what_it_is(
    verifiers: Verifiers, sound: Path, cut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    kept = await verifiers.verify(sound)
    assert Decoder().look([sound, cut.with_name("absent"), sound])[::2] == [kept, kept]
    assert (kept.media_type, kept.checked, kept.doubt) == ("image/png", "container", "")
    with pytest.raises(Undecodable, match="cut off"):
        await verifiers.verify(cut)
    assert len(pids(verifiers)) == 6


@linux
async def test_of_many_files_only_the_one_that_kills_is_left_undecoded(sound: Path, cut: Path) -> None:
    endless = sound.with_name("endless.part")
    os.mkfifo(endless)  # opening it waits for ever
    decoder, killed = Decoder(), set()
    looking = asyncio.create_task(asyncio.to_thread(decoder.look, [sound, cut, endless, sound, cut]))
    while not looking.done():
        process = decoder._process
        if process is not None and process.pid not in killed and opens_a_pipe(process.pid):
            killed.add(process.pid)
            process.kill()
        await asyncio.sleep(0.02)
    first, second, third, *others = looking.result()
    assert first == verify(sound)
    assert [str(second), str(third)] == [str(others[1]), "it is no file"]
    assert others[0] == first
    assert len(killed) == 3
    assert decoder._process is not None
    with decoder._process:  # closes its stdin, at which it ends
        pass


def opens_a_pipe(pid: int) -> bool:
    """Whether the process waits where it opens a pipe."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/wchan").read_text() in ("wait_for_partner", "fifo_open")
    return False


@linux
async def test_what_makes_row_folders_outlives_who_decodes_for_it(host: FileHost, bench: Bench) -> None:
    content = picture()
    await bench.fetch(ready(host.puts("/a.png", sends(content))))
    (shelver,) = bench.collector._shelf.idle
    (decoding,) = verifiers_of(shelver.pid)
    os.kill(decoding, signal.SIGKILL)
    fetched = await bench.fetch(ready(host.puts("/b.png", sends(content)), row_id="arrakis"))
    assert fetched.waits == []
    assert [file.checked for file in fetched.collected.saved] == ["decoded"]
    assert bench.collector._shelf.idle == [shelver]


@posix
def test_a_process_ends_by_itself_when_nobody_asks_any_more(sound: Path) -> None:
    code = (
        "import asyncio, os, sys\nfrom pathlib import Path\n"
        "from batchgen.collector.workers.verifiers import Verifiers\n"
        "async def main():\n    one = Verifiers(1)\n    await one.verify(Path(sys.argv[1]))\n"
        "    print(one.begun[0].pid, flush=True)\n    os.kill(os.getpid(), 9)\nasyncio.run(main())"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(sound)], capture_output=True)
    give_up_at = time.monotonic() + 30
    while lives(int(ended.stdout)):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def lives(pid: int) -> bool:
    """Whether there is such a process. One that has ended, and that nobody has noticed yet, does not live."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        return True


@linux
def test_killing_the_processes_of_a_run_loses_nothing(tmp_path: Path) -> None:
    with serving(draw="bytes:200KB", latency="fixed:20ms") as server:
        manifest = write_csv(tmp_path / "m.csv", 40)
        process = Batchgen(tmp_path, server.url).start("run", manifest, "--yes", "--quiet", "--collect-workers", 2)
        killed: set[int] = set()
        while process.poll() is None and len(killed) < 4:
            for pid in verifiers_of(process.pid) - killed:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
        _, stderr = process.communicate(timeout=90)
        assert process.returncode == 0, stderr
        assert killed
        assert len(server.charged) == 40
    rows = tmp_path / "out" / "m" / "rows"
    assert sum((row / "row.json").is_file() and (row / "images-00.png").is_file() for row in rows.iterdir()) == 40


def verifiers_of(parent: int) -> set[int]:
    """The processes of *parent* that decode."""
    found = set()
    with suppress(OSError):
        for task in Path(f"/proc/{parent}/task").iterdir():
            for child in (task / "children").read_text().split():
                if b"batchgen.collector.verify" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(int(child))
    return found
