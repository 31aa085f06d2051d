"""What the log says: every line of a row's work names it, whatever went wrong is explained, and no secret gets out."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextvars import Context
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from batchgen.cli.output import emit, say, tell
from batchgen.core import log
from batchgen.core.job import Billed, Job, JobFailed, State, advance
from batchgen.core.redaction import as_reason, hide, redacted, sentence, shortened
from tests.collector.media import picture
from tests.processes import TOKEN, Batchgen, Ended, serving, write_csv

# ── redaction ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://h.example/a/b.png?X-Amz-Signature=s&x=1 failed", "GET https://h.example/a/b.png?... failed"),
        ('{"url": "http://h.example/a?sig=s&se=t"}', '{"url": "http://h.example/a?..."}'),
        ("HTTPS://H.example?key=s", "HTTPS://H.example?..."),
        ("https://me:s@h.example:8443/a", "https://h.example:8443/a"),
        ("image data:image/png;base64,c2VjcmV0== is too large", "image data:image/png... is too large"),
        ("Authorization: Bearer abc.def is no good", "Authorization: Bearer [hidden] is no good"),
        ('{"authorization":"bearer abc"}', '{"authorization":"bearer [hidden]"}'),
        ("auth was Bearer [hidden]] and more", "auth was Bearer [hidden]] and more"),
        ("what is it? https://h.example/a", "what is it? https://h.example/a"),
        ("ein Bär, 100 % wahr", "ein Bär, 100 % wahr"),
    ],
)
def test_signatures_logins_inlined_files_and_keys_are_taken_out_and_nothing_else(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_a_secret_that_is_known_is_taken_out_wherever_it_stands() -> None:
    hide("k-93f2/x+y")
    assert redacted("it ends with k-93f2/x+y.") == "it ends with [hidden]."


# ── for a program that uses batchgen ────────────────────────────────────────────────────────────────────


def test_lines_reach_the_handlers_of_the_program_that_uses_batchgen(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "batchgen"):
        log.bind(row="dune", n=2, request_id=None)
        log.warn("download", answer="Broken", reason="reset by http://h.example/a?sig=s")
    assert caplog.messages == ["dune download Broken reset by http://h.example/a?..."]


def test_lines_about_the_run_name_their_words(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "batchgen"):
        of_no_row = Context()
        of_no_row.run(log.tell, "end", exit=1, reason="", pending=0, collected=7, failed=1)
        of_no_row.run(log.warn, "breaker", breaker="provider", model=None, position="opened", reason="refused")
    end, breaker = caplog.messages
    assert end == "end exit=1 pending=0 collected=7 failed=1"
    assert breaker == "breaker breaker=provider position=opened refused"


def test_nothing_is_printed_where_nobody_asked_for_lines(capfd: pytest.CaptureFixture[str]) -> None:
    log.warn("download", answer="Broken", reason="reset")
    assert capfd.readouterr() == ("", "")


def test_a_full_disk_costs_lines_and_not_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    with log.written(Path("/dev/full"), to_stderr=False):
        log.warn("download", answer="Broken", reason="reset")
    assert capfd.readouterr() == ("", "")


# ── a run ───────────────────────────────────────────────────────────────────────────────────────────────

ROWS = 60
FAULTS = "submit.5xx_before=5%,submit.429=10%,submit.drop_reply=5%,status.5xx=10%,result.5xx=5%,download.truncate=10%"


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_every_line_of_a_rows_work_names_the_row_and_its_request(tmp_path: Path) -> None:
    log = tmp_path / "night.log"
    with serving(faults=FAULTS, seed=5) as server:
        batchgen = Batchgen(tmp_path, server.url, environ={"BATCHGEN_LOG": str(log)})
        ended = batchgen("run", write_csv(tmp_path / "dunes.csv", ROWS), "--yes", "--json", "-v", "-j", "10")
        told = server.ledger()
    lines = lines_of(log)
    assert (lines[0]["event"], lines[-1]["event"], lines[-1]["exit"]) == ("start", "end", ended.exit)
    assert all({"at", "level", "event"} <= set(line) for line in lines)
    work = [line for line in lines if line["event"] in ("submit", "status", "result", "download", "verify")]
    assert {line["event"] for line in work} >= {"submit", "status", "result", "download"}
    assert all(line["row"].startswith("row-") and line["level"] == "warning" and line["reason"] for line in work)
    requests = {job["request_id"] for job in told["charged"]}
    for line in work:
        if line["event"] == "submit":
            assert line["request_id"] is None
        else:
            assert line["request_id"] in requests
    moves = Counter(line["event"] for line in lines)
    assert moves["Intent"] == told["totals"]["posts"]
    assert moves["Collected"] == ended.json["rows"]["collected"]
    doubtful = {line["row"] for line in lines if line["event"] == "submit" and line["answer"] == "Lost"}
    assert doubtful == set(ended.json["in_doubt"]), "each row in doubt is explained"
    assert len([line for line in ended.stderr.splitlines() if " download Broken " in line]) == len(
        [line for line in work if line["event"] == "download"]
    ), "-v shows the same in words"


def test_events_carry_what_the_readme_says(tmp_path: Path) -> None:
    with serving(faults="submit.429=#2", latency="fixed:20ms") as server:
        ended = Batchgen(tmp_path, server.url)("run", write_csv(tmp_path / "dunes.csv", 3), "--yes", "--events")
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    of_rows = [event for event in events if event["event"] != "breaker"]
    assert {tuple(event) for event in of_rows} == {
        ("at", "row", "n", "event", "state", "request_id", "reason", "cost_usd")
    }
    assert {tuple(event) for event in events if event["event"] == "breaker"} == {
        ("at", "event", "breaker", "model", "position", "reason", "since", "until")
    }
    assert [event["event"] for event in of_rows].count("Collected") == 3


def test_a_log_is_added_to_and_one_that_cannot_be_written_stops_the_run_before_it_sends(tmp_path: Path) -> None:
    log = tmp_path / "night.log"
    with serving(latency="fixed:20ms") as server:
        batchgen = Batchgen(tmp_path, server.url)
        manifest = write_csv(tmp_path / "dunes.csv", 2)
        refused = batchgen("run", manifest, "--yes", "--log", tmp_path)
        assert (refused.exit, server.charged) == (2, [])
        assert "choose another --log" in refused.stderr
        for _ in range(2):
            assert batchgen("run", manifest, "--yes", "--log", log).exit == 0
    assert [line["event"] for line in lines_of(log)].count("start") == 2


# ── a server that repeats what it should not ────────────────────────────────────────────────────────────

IN_ERROR, IN_LINK, IN_INPUT = "s3cret-in-error", "s3cret-in-link", "s3cret-in-input"
PNG = picture()


class Gossip(BaseHTTPRequestHandler):
    """A provider that puts what it was sent, and signed links, into every error. Row `failed-0003` fails."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[Counter[str]] = Counter()

    def log_message(self, format: str, *args: object) -> None:
        return

    def gossip(self) -> str:
        key = self.headers.get("Authorization", "Bearer nobody")
        alone = key.removeprefix("Bearer ")
        return (
            f"{key} ({alone}) may not read https://in.example/a.png?X-Amz-Signature={IN_ERROR} "
            f"nor data:image/png;base64,{IN_ERROR} " + "x" * 300 + alone
        )

    def answer(self, status: int, body: object, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = int(sent["text"].split()[-1])
        if number == 0:
            self.answer(422, {"error_code": 422001, "detail": [{"msg": self.gossip()}]})
        elif number == 1:
            self.answer(500, self.gossip().encode())
        elif number == 2 and not self.asked["busy"]:
            self.asked["busy"] += 1
            self.answer(429, {"message": self.gossip()}, **{"Retry-After": "0"})
        else:
            self.answer(200, {"request_id": f"id-{number}"})

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.asked[path] += 1
        host = f"http://{self.headers['Host']}"
        link = f"{host}/a.png?X-Amz-Signature={IN_LINK}&X-Amz-Expires=9"
        if path == "/a.png":
            first = self.asked[path] == 1
            self.answer(*((503, b"") if first else (200, PNG)))
        elif not path.startswith("/v1/requests/"):
            self.answer(500, {"error": self.gossip()})
        elif self.asked[path] == 1:
            self.answer(502, {"error": {"why": self.gossip()}})
        elif path.endswith("/status"):
            self.answer(200, {"status": "completed"})
        elif "/id-3/" in path:
            self.answer(200, {"status": "failed", "error": [self.gossip()], "cost": 0.01})
        else:
            self.answer(200, {"status": "succeeded", "output": {"images": [link]}, "cost": 0.01})


@pytest.fixture
def gossip() -> Iterator[str]:
    Gossip.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gossip)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_a_server_repeats_gets_into_no_log_no_output_and_no_file(gossip: str, tmp_path: Path) -> None:
    batchgen, log = Batchgen(tmp_path, gossip), tmp_path / "night.log"
    manifest = tmp_path / "dunes.csv"
    signed = f"https://in.example/a.png?X-Amz-Signature={IN_INPUT}&X-Amz-Expires=60"
    rows = "".join(f"row-{number},a dune {number},{signed}\n" for number in range(4))
    manifest.write_text(f"id,text,images\n{rows}")
    out = tmp_path / "out" / "dunes"
    prices = tmp_path / "prices.yaml"
    prices.write_text("bytedance/seedream-4-0/edit-sequential: 0.01\n")
    flags: list[object] = ["--yes", "--events", "-v", "--log", log, "--prices", prices, "--offline"]
    ended = [batchgen("run", manifest, *flags), batchgen("report", out), batchgen("audit", out)]
    ended += [batchgen("show", out, f"row-{number}") for number in range(4)]
    ended += [batchgen("status", out), batchgen("reconcile", out), batchgen("run", manifest, *flags)]
    assert [one.exit for one in (ended[0], ended[1], ended[-1])] == [7, 0, 7], ended[0].stderr
    lines = lines_of(log)
    assert {(line["event"], line.get("answer")) for line in lines} >= {
        ("submit", "Rejected"),
        ("submit", "Lost"),
        ("submit", "Busy"),
        ("status", "NoNews"),
        ("result", "NoNews"),
        ("download", "Broken"),
    }
    assert {line["state"] for line in lines if "state" in line} >= {"collected", "failed", "in_doubt"}
    assert "may not read" in log.read_text(), "the provider's own words are kept"
    printed = "".join(one.stdout + one.stderr for one in ended)
    found = {name: _holders(tmp_path, name, printed) for name in (TOKEN, TOKEN[:8], IN_ERROR, IN_LINK, IN_INPUT)}
    kept_for_resuming = {"state.db", "state.db-wal", "journal.jsonl"}
    assert found[TOKEN] == found[TOKEN[:8]] == found[IN_ERROR] == set()
    assert found[IN_LINK] <= kept_for_resuming
    assert found[IN_INPUT] <= kept_for_resuming | {"dunes.csv", "failed.csv"}


def _holders(folder: Path, secret: str, printed: str) -> set[str]:
    """The files below *folder*, and `printed` if it is in there, that hold *secret*."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.name for path in files if secret.encode() in path.read_bytes()} | (
        {"printed"} if secret in printed else set[str]()
    )


@pytest.mark.slow
def test_verbose_and_log_are_there_for_every_command_that_carries_rows(tmp_path: Path) -> None:
    with serving(latency="fixed:20ms") as server:
        batchgen = Batchgen(tmp_path, server.url)
        manifest = write_csv(tmp_path / "dunes.csv", 1)
        out = tmp_path / "out" / "dunes"
        first: Ended = batchgen("run", manifest, "--yes", "-v")
        assert "row-0000 Collected collected" in first.stderr
        for command in (["collect", out], ["retry", out, "--rerun", "--yes"], ["rehearse", manifest]):
            log = tmp_path / f"{command[0]}.log"
            assert batchgen(*command, "--log", log).exit == 0
            assert {"start", "end"} <= {line["event"] for line in lines_of(log)}


# ── reasons ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cannot identify image file <_io.BytesIO object at 0x7fd12a31>", "cannot identify image file"),
        ("<av.container.InputContainer '/home/me/x.mp4'> has no stream", " has no stream"),
        ("bad block at 0x55d0c0ffee12", "bad block at 0x…"),
        ("[Errno 2] No such file or directory: '/home/me/My Pictures/a.part'", "No such file or directory: '…/a.part'"),
        ("cannot open /Users/me/out/rows/a/images-00.png: denied", "cannot open …/images-00.png: denied"),
        (r"cannot open C:\Users\me\out\a.png: denied", "cannot open …/a.png: denied"),
        (r"cannot open '\\server\share\my out\a.png'", "cannot open '…/a.png'"),
        ("POST /v1/models/x/y answered 404", "POST /v1/models/x/y answered 404"),
        ('"/input/images/0" is too short', '"/input/images/0" is too short'),
        ("https://h.example/home/me/a.png is gone", "https://h.example/home/me/a.png is gone"),
        ("no room\r\nstopped: all collected\u2028\nrun this", "no room stopped: all collected run this"),
        ("5/10 done; a <b>bold</b> word; seed 0x12", "5/10 done; a <b>bold</b> word; seed 0x12"),
    ],
)
def test_a_reason_tells_nothing_of_this_machine_and_keeps_the_providers_words(text: str, reason: str) -> None:
    assert as_reason(text) == reason


def test_whatever_an_event_brings_the_reason_that_is_kept_is_fit_for_others() -> None:
    job = Job(1, "row", 1, State.SUBMITTED, "model", {}, (), "0" * 64, request_id="q")
    ended = advance(job, JobFailed(1.0, "cut short: '/home/me/out/parts/row.1/a.part' <x object at 0x1f>", Billed.YES))
    assert ended.reason == "cut short: '…/a.part'"


def test_an_error_of_the_system_names_no_path() -> None:
    with pytest.raises(OSError, match="my folder") as caught:
        open("/nowhere/in my folder/a.part").close()
    assert sentence(caught.value) == "No such file or directory"


@pytest.mark.parametrize("at", [*range(280, 301), *range(65_500, 65_540)])
def test_no_part_of_a_secret_is_left_where_a_text_is_cut(at: int) -> None:
    hide("tok-93f2c71b")
    for most in (300, 70_000):
        shown = shortened("a " * (at // 2) + "tok-93f2c71b https://h.example/a?sig=s3cret and more " * 9, most)
        assert "tok-" not in shown
        assert "sig" not in shown


# ── what a terminal acts upon ───────────────────────────────────────────────────────────────────────────

ACTED_UPON = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2066\r\x7f\u2028"


def test_what_v_shows_of_others_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    with log.written(None, to_stderr=True):
        log.warn("download", row="dune", reason=ACTED_UPON)
    shown = capsys.readouterr().err
    assert shown.removesuffix("\n").isprintable()
    assert r"\x1b]0;owned\x07" in shown


def test_the_log_file_holds_the_same_signs_as_json_spells_them(tmp_path: Path) -> None:
    with log.written(tmp_path / "log", to_stderr=False):
        log.warn("download", row="dune", reason=ACTED_UPON)
    line = (tmp_path / "log").read_text().removesuffix("\n")
    assert line.isprintable()
    assert json.loads(line)["reason"] == ACTED_UPON


def test_json_and_sentences_on_the_screen_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"reason": ACTED_UPON, "name": "Bär 🚀"})
    say(f"batchgen: {ACTED_UPON}")
    tell(f"# {ACTED_UPON}")
    shown = capsys.readouterr()
    assert all(line.isprintable() for line in (shown.out + shown.err).split("\n"))
    assert json.loads(shown.out.split("\n")[0]) == {"reason": ACTED_UPON, "name": "Bär 🚀"}
