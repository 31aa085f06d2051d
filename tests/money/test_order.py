"""What is on disk before what is sent, read from a trace of the real command: killing proves nothing about fsync."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.money.harness import Scene
from tests.money.strace import traced
from tests.processes import serving

_CALLS = "write,pwrite64,sendto,sendmsg,writev,fsync,fdatasync"
_LINE = re.compile(r"(?P<thread>\d+) +[\d:.]+ (?P<call>.*)")
_SYNC = re.compile(r"(?:fsync|fdatasync)\(\d+<(?P<path>[^>]*)>")
_WAL, _JOURNAL = "state.db-wal", "journal.jsonl"


@dataclass
class Trace:
    """A traced run as line numbers: what was written, synced and sent, and when."""

    wal_written: list[int] = field(default_factory=list)
    wal_synced: list[int] = field(default_factory=list)
    journal_written: dict[int, str] = field(default_factory=dict)
    journal_synced: list[int] = field(default_factory=list)
    sent: dict[int, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Trace:
        """A sync counts from the line where it ended, everything else from where it began."""
        trace = cls()
        syncing: dict[str, str] = {}
        for number, line in enumerate(path.read_text(errors="replace").splitlines()):
            if (found := _LINE.match(line)) is not None:
                trace._take(number, found["thread"], found["call"], syncing)
        return trace

    def _take(self, number: int, thread: str, call: str, syncing: dict[str, str]) -> None:
        if (sync := _SYNC.match(call)) is not None:
            syncing[thread] = sync["path"]
        if "sync" in call.partition("(")[0] and "unfinished" not in call and " = 0" in call:
            synced = syncing.pop(thread)
            if synced.endswith(_WAL):
                self.wal_synced.append(number)
            elif synced.endswith(_JOURNAL):
                self.journal_synced.append(number)
        elif call.startswith("pwrite64(") and _WAL in call:
            self.wal_written.append(number)
        elif call.startswith("write(") and _JOURNAL in call:
            self.journal_written[number] = call
        elif call.startswith(("sendto(", "sendmsg(", "writev(", "write(")) and "socket" in call:
            self.sent[number] = call

    def durable_before(self, number: int, words: tuple[str, ...]) -> str | None:
        """Why a journal line with all *words* was not on disk twice before line *number*; None if it was."""
        written = [at for at, text in self.journal_written.items() if at < number and _on_one_line(text, words)]
        if not written:
            return f"the journal knew nothing of {words}"
        at = written[-1]
        if not any(at < synced < number for synced in self.journal_synced):
            return f"the journal was not synced after {words}"
        earlier = max((other for other in self.journal_written if other < at), default=0)
        committed = [other for other in self.wal_written if earlier < other < at]
        if not committed:
            return f"the state file was not written before the journal told {words}"
        if not any(committed[-1] < synced < at for synced in self.wal_synced):
            return f"the state file was not synced before the journal told {words}"
        return None


def _on_one_line(text: str, words: tuple[str, ...]) -> bool:
    return any(all(word in line for word in words) for line in text.split(r"\n"))


@traced
def test_intents_ids_and_outcomes_are_synced_twice_before_the_run_acts_on_them(tmp_path: Path) -> None:
    with serving(latency="fixed:100ms") as server:
        scene = Scene(tmp_path, server, "dune", rows=8, flags=("--in-flight", 3))
        log = tmp_path / "trace.txt"
        tracer = ["strace", "-f", "-tt", "-y", "-s", "100000", "-e", f"trace={_CALLS}", "-o", str(log)]
        process = scene.batchgen.start(*scene.arguments, before=tracer)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
        charged = server.charged
    trace = Trace.read(log)
    posts = {at: call for at, call in trace.sent.items() if "POST /v1/models/" in call}
    gets = {at: call for at, call in trace.sent.items() if "GET /" in call}
    bodies = {row_id: [at for at, call in posts.items() if f"{row_id} in " in call] for row_id in scene.row_ids}
    assert len(posts) == scene.rows
    for row_id, sent in bodies.items():
        assert len(sent) == 1, f"{row_id} was sent {len(sent)} times"
        assert trace.durable_before(sent[0], ("Intent", row_id)) is None
    for job in charged:
        first_use = min(at for at, call in gets.items() if job["request_id"] in call)
        assert trace.durable_before(first_use, ("Accepted", job["request_id"])) is None
        link = job["outputs"][0]["url_path"]
        fetched = min(at for at, call in gets.items() if f"GET {link}" in call)
        assert trace.durable_before(fetched, ("Succeeded", link)) is None


_MOVED = re.compile(
    r'rename(?:at2?)?\((?:[^"]*, )?"(?P<source>[^"]*)", (?:\d+<(?P<folder>[^>]*)>, |[^"]*, )?"(?P<target>[^"]*)"'
)


def moments(path: Path) -> dict[tuple[str, str], int]:
    """When (as line number of the trace) each path was first synced or took its name, and each row was collected."""
    seen: dict[tuple[str, str], int] = {}
    syncing: dict[str, str] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines()):
        if (found := _LINE.match(line)) is None:
            continue
        call = found["call"]
        if (sync := _SYNC.match(call)) is not None:
            syncing[found["thread"]] = sync["path"]
        if "sync" in call.partition("(")[0] and "unfinished" not in call and " = 0" in call:
            seen.setdefault(("synced", syncing.pop(found["thread"])), number)
        elif (moved := _MOVED.match(call)) is not None:
            seen.setdefault(("named", os.path.join(moved["folder"] or "", moved["target"])), number)
        elif call.startswith("write(") and _JOURNAL in call:
            for row_id in re.findall(r'\\"row\\":\\"([^\\]+)\\",\\"n\\":1,\\"event\\":\\"Collected\\"', call):
                seen.setdefault(("collected", row_id), number)
    return seen


@traced
def test_a_row_is_collected_once_its_files_its_row_json_and_their_folders_are_synced(tmp_path: Path) -> None:
    with serving(latency="fixed:50ms") as server:
        scene = Scene(tmp_path, server, "dune", rows=8)
        log = tmp_path / "trace.txt"
        calls = "trace=write,fsync,fdatasync,rename,renameat,renameat2"
        tracer = ["strace", "-f", "-tt", "-y", "-s", "100000", "-e", calls, "-o", str(log)]
        process = scene.batchgen.start(*scene.arguments, before=tracer)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
    seen = moments(log)
    out = scene.out
    for row_id in scene.row_ids:
        parts, place = out / "parts" / f"{row_id}.1", out / "rows" / row_id
        picture = seen["named", str(parts / "images-00.png")]
        assert seen["synced", str(parts / "images-00.part")] < picture < seen["synced", str(parts)]
        assert seen["synced", str(parts / "row.json")] < seen["synced", str(parts)]
        assert seen["synced", str(parts)] < seen["named", str(place)] < seen["collected", row_id]
    groups = sorted(at for (what, path), at in seen.items() if (what, path) == ("synced", str(out / "rows")))
    assert groups[0] < min(at for (what, _), at in seen.items() if what == "collected")
