"""A run that is told to leave is gone in seconds, whatever the provider does meanwhile, and says how things stand."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.money.harness import counted, until
from tests.processes import Batchgen, Ended, Server, serving, write_csv
from tests.providers.rawserver import RawServer, Reply, Seen, listening, reply

_INTERRUPT, _TERMINATE = signal.SIGINT, signal.SIGTERM
_PATIENCE_S = 45.0
"""Long enough for a busy machine, and much less than what is not to be waited for."""


@pytest.mark.parametrize(
    "fault", ["result.5xx=100%", "result.drop=100%", "status.slow=100%:300s", "download.slow=100%:300s"]
)
def test_sigterm_waits_for_no_question_and_no_file(tmp_path: Path, fault: str) -> None:
    with serving(faults=fault, latency="fixed:50ms") as server:
        batchgen = Batchgen(tmp_path, server.url)
        manifest = write_csv(tmp_path / "ads.csv", 4)
        met = f"fault.{fault.partition('=')[0]}"
        for command in (("run", manifest, "--yes"), ("collect", "out/ads")):
            before = counted(server, met)
            process = batchgen.start(*command, "--json", "--quiet")
            until(partial(_has_met, server, met, before + 4))
            ended = _told(process, _TERMINATE)
            assert ended.exit == 75, ended.stderr
            assert "stopped while 4 paid jobs may still run" in ended.stderr
        server.control(faults="")
        assert batchgen("collect", "out/ads").exit == 0
        assert len(server.charged) == 4


def test_one_row_in_doubt_does_not_hide_the_jobs_that_are_live(tmp_path: Path) -> None:
    with serving(faults="submit.drop_reply=#1", latency="fixed:600s") as server:
        batchgen = Batchgen(tmp_path, server.url)
        process = batchgen.start("run", write_csv(tmp_path / "ads.csv", 5), "--yes", "--json", "-q", "-j", 4)
        until(lambda: counted(server, "submit.accepted") == 5)
        until(lambda: batchgen("status", "out/ads", "--json").json["rows"]["submitted"] == 4)
        ended = _told(process, _TERMINATE)
    assert (ended.exit, ended.json["in_doubt"]) == (75, ["row-0000"]), ended.stderr
    assert "stopped while 4 paid jobs may still run" in ended.stderr
    assert "in doubt: row-0000 may have been paid for" in ended.stderr
    assert "everything else is done" not in ended.stderr


def test_where_nothing_is_live_and_rows_wait_the_end_says_both(tmp_path: Path) -> None:
    with serving(faults="submit.drop_reply=#1", latency="fixed:50ms") as server:
        ended = Batchgen(tmp_path, server.url)("run", write_csv(tmp_path / "ads.csv", 3), "--yes", "-q", "--limit", 2)
    assert ended.exit == 7
    assert "1 row not sent yet; 1 row in doubt" in ended.stderr


@dataclass
class Dripping(RawServer):
    """Takes every POST, and answers it byte after byte without an end."""

    begin: bytes = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (seen := await self._read(reader)) is not None:
                self.seen.append(seen)
                writer.write((await self.answer_to(seen)).content)
                while seen.method == "POST":
                    await writer.drain()
                    await asyncio.sleep(0.1)
                    writer.write(b" ")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer_to(self, seen: Seen) -> Reply:
        return Reply(self.begin) if seen.method == "POST" else reply(404, {"error_code": 404001})


@pytest.mark.parametrize(
    ("begin", "signals"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", [_INTERRUPT, _INTERRUPT]),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", [_TERMINATE]),
    ],
    ids=["its body, and Ctrl-C twice", "its head, and SIGTERM"],
)
async def test_an_answer_that_drips_is_not_waited_for_to_its_end(
    tmp_path: Path, begin: bytes, signals: list[signal.Signals]
) -> None:
    async with listening(Dripping(begin=begin)) as server:
        batchgen = Batchgen(tmp_path, server.base)
        process = batchgen.start("run", write_csv(tmp_path / "ads.csv", 40), "--yes", "--json", "-q", "-j", 12)
        await asyncio.to_thread(until, lambda: len(server.posts) == 12)
        ended = await asyncio.to_thread(_told, process, *signals)
        posted = len(server.posts)
    doubtful = [f"row-{number:04d}" for number in range(12)]
    assert (ended.exit, posted) == (7, 12), ended.stderr
    assert ended.json["in_doubt"] == doubtful
    assert f"in doubt: {', '.join(doubtful)} may have been paid for" in ended.stderr
    assert "28 rows not sent yet; 12 rows in doubt" in ended.stderr


def _has_met(server: Server, fault: str, times: int) -> bool:
    return counted(server, fault) >= times


def _told(process: subprocess.Popen[str], *signals: signal.Signals) -> Ended:
    """What *process* ends with once it was sent *signals*, one after the other."""
    try:
        for number in signals:
            process.send_signal(number)
            time.sleep(0.3)
        stdout, stderr = process.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ended(process.returncode, stdout, stderr)
