"""Who is told of the end of a run: told once, whatever the end is, nothing but figures, and with no say in it."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.errors import Exit
from batchgen.runner.notify import EndOfRun, tell
from tests.processes import TOKEN, Batchgen, Server, serving, write_csv

SECRET = "T0KEN-of-the-webhook"


@dataclass
class Listener:
    """A web server that is told: what it got, and what it answers."""

    url: str = ""
    answers: int = 204
    posts: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)


@contextmanager
def listening(answers: int = 204) -> Iterator[Listener]:
    listener = Listener(answers=answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            listener.posts.append(json.loads(body))
            listener.headers.append(dict(self.headers))
            self.send_response(listener.answers)
            self.send_header("Location", f"{listener.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.url = f"http://127.0.0.1:{server.server_port}/hooks/{SECRET}?key={SECRET}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(latency="fixed:20ms") as running:
        yield running


@pytest.fixture
def batchgen(tmp_path: Path, server: Server) -> Batchgen:
    return Batchgen(tmp_path, server.url)


def noting(folder: Path) -> tuple[str, Callable[[], list[dict[str, Any]]]]:
    """A command that writes down each time what it is told, and the way to read that."""
    script, notes = folder / "it's noted.py", folder / "notes.jsonl"
    script.write_text(
        "import json, os, sys\n"
        "note = {'environ': dict(os.environ), 'report': json.load(sys.stdin), 'arguments': sys.argv[2:]}\n"
        "open(sys.argv[1], 'a').write(json.dumps(note) + '\\n')\n"
        "print('a word of the hook')\n"
    )
    command = shlex.join([sys.executable, str(script), str(notes), "two words", "$HOME;ls"])
    return command, lambda: [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


def test_a_url_and_a_command_are_told_once_and_nothing_but_figures(
    batchgen: Batchgen, listener: Listener, tmp_path: Path
) -> None:
    command, notes = noting(tmp_path)
    manifest = write_csv(tmp_path / "dunes.csv", 3, prefix="named")
    ended = batchgen("run", manifest, "--yes", "--json", "--notify-url", listener.url, "--on-finish", command)
    assert ended.exit == 0, ended.stderr
    (told,) = listener.posts
    assert told["run"] == "dunes"
    assert told["command"] == "run"
    assert (told["exit"], told["rows"], told["cost"]) == (0, ended.json["rows"], ended.json["cost"])
    assert (
        told["text"]
        == told["content"]
        == ("dunes: everything in scope is collected and verified (3 collected; $0.09 charged)")
    )
    (note,) = notes()
    assert note["report"] == told | {"out": ended.json["out"]}
    assert note["arguments"] == ["two words", "$HOME;ls"], "no shell has seen the command"
    environ = note["environ"]
    assert environ["BATCHGEN_EXIT"] == "0"
    assert environ["BATCHGEN_OUT"] == ended.json["out"]
    assert (environ["BATCHGEN_ROWS_COLLECTED"], environ["BATCHGEN_ROWS_FAILED"]) == ("3", "0")
    assert (float(environ["BATCHGEN_COST_CHARGED"]), float(environ["BATCHGEN_COST_RESERVED"])) == (0.09, 0.0)
    assert "a word of the hook" in ended.stderr, "stdout is for data"
    said = json.dumps([told, note["report"]])
    for content in ("dune 1", "named-0001", "example.com", TOKEN, SECRET):
        assert content not in said


def test_neither_the_token_nor_the_url_reaches_the_command_or_a_file_or_the_screen(
    batchgen: Batchgen, listener: Listener, tmp_path: Path
) -> None:
    command, notes = noting(tmp_path)
    urls = tmp_path.parent / f"{tmp_path.name}-url.txt"
    urls.write_text(f"{listener.url}\n")
    told = Batchgen(
        tmp_path,
        batchgen.base,
        environ={"BATCHGEN_NOTIFY_URL_FILE": str(urls), "BATCHGEN_ON_FINISH": command, "RUNCOMFY_API_KEY": "another"},
    )
    listener.answers = 500
    ended = told("run", write_csv(tmp_path / "dunes.csv", 2), "--yes", "--json", "-v")
    assert ended.exit == 0, ended.stderr
    assert len(listener.posts) == 1
    assert "--notify-url (127.0.0.1) answered HTTP 500" in ended.stderr
    (note,) = notes()
    assert not [name for name in note["environ"] if name.startswith(("RUNCOMFY", "BATCHGEN_NOTIFY", "BATCHGEN_ON"))]
    assert TOKEN not in json.dumps(note)
    assert SECRET not in json.dumps(note) + ended.stdout + ended.stderr
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    for headers in listener.headers:
        assert "Authorization" not in headers


@pytest.mark.slow
def test_every_end_is_told_with_its_code(batchgen: Batchgen, listener: Listener, tmp_path: Path) -> None:
    manifest = write_csv(tmp_path / "dunes.csv", 2)
    hooked = Batchgen(tmp_path, batchgen.base, environ={"BATCHGEN_NOTIFY_URL": listener.url})
    keyless = Batchgen(tmp_path, batchgen.base, token=None, environ=hooked.environ)
    broken = tmp_path / "broken.csv"
    broken.write_text("id,text,imagez\na,b,c\n")
    out = tmp_path / "out" / "dunes"
    ends = [
        ("run", 2, hooked("run", manifest)),  # nobody agreed
        ("run", 2, hooked("run", broken, "--yes")),
        ("run", 3, keyless("run", manifest, "--yes")),
        ("run", 6, hooked("run", manifest, "--yes", "--budget", "0.03")),
        ("collect", 9, hooked("collect", tmp_path / "nowhere")),
        ("run", 0, hooked("run", manifest, "--yes", "--budget", "10")),
        ("retry", 2, hooked("retry", out, "--yes")),  # nothing to retry
        ("collect", 0, hooked("collect", out)),
    ]
    assert [(told["command"], told["exit"]) for told in listener.posts] == [(name, code) for name, code, _ in ends]
    assert [ended.exit for *_, ended in ends] == [code for _, code, _ in ends], [ended.stderr for *_, ended in ends]


def test_a_rehearsal_tells_as_well(batchgen: Batchgen, listener: Listener, tmp_path: Path) -> None:
    manifest = write_csv(tmp_path / "dunes.csv", 2)
    ended = batchgen("rehearse", manifest, "--latency", "fixed:20ms", "--notify-url", listener.url)
    assert ended.exit == 0, ended.stderr
    assert [(told["run"], told["rows"]["collected"]) for told in listener.posts] == [("dunes.rehearsal", 2)]


def test_two_presses_of_ctrl_c_are_an_end_like_any_other(listener: Listener, tmp_path: Path) -> None:
    command, notes = noting(tmp_path)
    with serving(latency="fixed:600s") as slow:
        batchgen = Batchgen(tmp_path, slow.url)
        manifest = write_csv(tmp_path / "dunes.csv", 3)
        running = batchgen.start(
            "run", manifest, "--yes", "--quiet", "--notify-url", listener.url, "--on-finish", command
        )
        _until(lambda: len(slow.charged) == 3)
        running.send_signal(signal.SIGINT)
        assert running.stderr is not None
        seen = _read_until(running.stderr, "Again: save and leave now")
        running.send_signal(signal.SIGINT)
        seen += running.communicate(timeout=60)[1]
    assert running.returncode == 75, seen
    assert [told["exit"] for told in listener.posts] == [75]
    assert [note["environ"]["BATCHGEN_EXIT"] for note in notes()] == ["75"]
    assert "to go on: batchgen run" in seen
    assert SECRET not in seen, "the line that resumes shows the URL"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (shlex.join([sys.executable, "-c", "raise SystemExit(3)"]), "ended with 3"),
        (shlex.join([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]), "ended with -9"),
        ("/no/such/program --at all", "could not be started"),
    ],
)
def test_a_command_that_fails_changes_nothing(batchgen: Batchgen, tmp_path: Path, command: str, said: str) -> None:
    ended = batchgen("run", write_csv(tmp_path / "dunes.csv", 1), "--yes", "--json", "--on-finish", command)
    assert (ended.exit, ended.json["rows"]["collected"]) == (0, 1)
    assert f"--on-finish {said}" in ended.stderr


def _sentences(url: str | None = None, command: str | None = None) -> list[str]:
    end = EndOfRun("run", Path("/runs/ads"), Exit.DONE, None)
    return list(tell(end, url, command, url_s=0.5, command_s=0.5))


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500])
def test_an_answer_that_is_not_well_is_said_and_no_redirect_is_followed(status: int) -> None:
    with listening(answers=status) as listener:
        assert _sentences(listener.url) == [f"--notify-url (127.0.0.1) answered HTTP {status}"]
        assert len(listener.posts) == 1


def test_a_url_that_does_not_answer_is_left_in_time() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{SECRET}"
        (said,) = _sentences(url)
    assert "did not answer" in said
    assert SECRET not in said


def test_a_url_where_nobody_listens_is_said_without_its_secret() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        url = f"http://user:{SECRET}@127.0.0.1:{taken.getsockname()[1]}/{SECRET}"
    (said,) = _sentences(url)
    assert said.startswith("--notify-url (127.0.0.1) was not reached")
    assert SECRET not in said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups to end")
def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    began = tmp_path / "began"
    (said,) = _sentences(command=shlex.join(["sh", "-c", f"(sleep 600; touch x) & echo $! > {began}; wait"]))
    assert "was not done after" in said
    _until(lambda: not _is_alive(int(began.read_text() or "0")))


def test_a_command_that_reads_nothing_and_one_that_prints_much_hold_nothing_up() -> None:
    assert _sentences(command=shlex.join([sys.executable, "-c", "print('x' * 300_000)"])) in ([], [_LATE])


_LATE = "--on-finish was not done after 0 s and was ended"  # a machine under load


@pytest.mark.parametrize(
    "url", [f"hooks.example.com/{SECRET}", f"ftp://host/{SECRET}", "https://", f"http://[{SECRET}", f"a {SECRET}"]
)
def test_what_is_no_web_address_is_refused_before_anything_is_sent_and_not_shown(
    batchgen: Batchgen, server: Server, tmp_path: Path, url: str
) -> None:
    posts = server.ledger(summary=True)["totals"]["posts"]
    ended = batchgen("run", write_csv(tmp_path / "dunes.csv", 1), "--yes", "--notify-url", url)
    assert ended.exit == 2
    assert "is no web address" in ended.stderr
    assert SECRET not in ended.stderr
    assert server.ledger(summary=True)["totals"]["posts"] == posts


@pytest.mark.parametrize(("command", "said"), [("", "is empty"), ("sh -c 'unclosed", "cannot be read as a command")])
def test_a_command_line_that_cannot_be_read_is_refused_before_anything_is_sent(
    batchgen: Batchgen, tmp_path: Path, command: str, said: str
) -> None:
    ended = batchgen("run", write_csv(tmp_path / "dunes.csv", 1), "--yes", "--on-finish", command)
    assert ended.exit == 2
    assert said in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_file_that_should_hold_the_url_and_cannot_be_read_is_named(batchgen: Batchgen, tmp_path: Path) -> None:
    hooked = Batchgen(tmp_path, batchgen.base, environ={"BATCHGEN_NOTIFY_URL_FILE": str(tmp_path / "gone")})
    ended = hooked("run", write_csv(tmp_path / "dunes.csv", 1), "--yes")
    assert ended.exit == 2
    assert "BATCHGEN_NOTIFY_URL_FILE" in ended.stderr


def _is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not asked about yet does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _until(true: Callable[[], object], patience_s: float = 60.0) -> None:
    give_up = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < give_up, f"waited for {patience_s} s in vain"
        time.sleep(0.02)


def _read_until(stream: Any, words: str) -> str:
    seen = ""
    while words not in seen:
        line = stream.readline()
        assert line, f"the command ended and never said {words!r}:\n{seen}"
        seen += line
    return seen
