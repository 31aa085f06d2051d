"""The live page: pictures as they land, marks that last, and nobody else."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from batchgen.results.reviews import marks_file, rejected_rows
from batchgen.storage.paths import RunFolder
from tests.processes import Batchgen, kill_group, write_csv
from tests.report.conftest import OpenPage, reported
from tests.report.folders import large_folder, mixed_folder

PICTURES = "#gallery .shot:not(.blank)"


@contextmanager
def watching(out: Path) -> Iterator[Watch]:
    process = Batchgen(out.parent).start("watch", out)
    assert process.stdout is not None
    try:
        yield Watch(process.stdout.readline().strip(), process)
    finally:
        kill_group(process)
        process.communicate()


class Watch:
    """A live page in a process of its own, and what a stranger's request to it is answered."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url = url
        self.process = process
        parts = urlsplit(url)
        assert parts.port is not None
        self.port, self.path = parts.port, parts.path
        self.origin = f"http://127.0.0.1:{self.port}"

    def asked(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> int:
        """The status of one raw request; the path is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def mark(self, row: str, file: str, mark: str, **headers: str) -> int:
        body = json.dumps({"row": row, "file": file, "mark": mark})
        sent = {"Content-Type": "application/json", "Origin": self.origin} | headers
        return self.asked(f"{self.path}marks", "POST", body, **sent)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported(mixed_folder, tmp_path_factory.mktemp("watched") / "out", 12).parent


@pytest.fixture(scope="module")
def watch(folder: Path) -> Iterator[Watch]:
    with watching(folder) as live:
        yield live


def test_pictures_land_on_the_open_page_while_a_rehearsal_runs(tmp_path: Path, open_page: OpenPage) -> None:
    batchgen = Batchgen(tmp_path)
    manifest = write_csv(tmp_path / "dunes.csv", 14)
    run = batchgen.start("rehearse", manifest, "--draw", "tiny", "--latency", "fixed:1s", "-j", 2, "--quiet")
    out = tmp_path / "out" / "dunes.rehearsal"
    deadline = time.monotonic() + 30
    while not (out / "state.db").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    with watching(out) as live:
        page = open_page(live.url)
        page.evaluate("window.sameWindow = true")
        page.wait_for_selector(PICTURES)
        landed = page.locator(PICTURES).count()
        assert run.poll() is None, "the run is still on"
        page.wait_for_function(
            "() => document.querySelectorAll('#gallery .shot:not(.blank)').length === 14", timeout=40_000
        )
        assert landed < 14
        page.wait_for_function("() => document.querySelector('h1').textContent === 'All 14 rows are done.'")
        page.wait_for_function("() => document.querySelector('#gallery .outputs img').naturalWidth > 0")
        assert page.evaluate("window.sameWindow"), "without a reload"
        page.close()
    run.communicate(timeout=30)
    assert run.returncode == 0


def test_outputs_are_marked_by_keyboard_and_the_marks_last(folder: Path, watch: Watch, open_page: OpenPage) -> None:
    page = open_page(f"{watch.url}#sort=manifest")
    page.wait_for_selector(PICTURES)
    page.locator(PICTURES).first.click()
    row_id = page.inner_text("#facts h2")
    with page.expect_response("**/marks"):  # the page says it at once, and takes it back where it was not kept
        page.keyboard.press("a")
    page.wait_for_function("() => document.getElementById('said').textContent.includes('accepted')")
    with page.expect_response("**/marks"):
        page.keyboard.press("r")
    page.wait_for_function("() => document.getElementById('said').textContent.includes('rejected')")
    kept = [json.loads(line) for line in marks_file(RunFolder.at(folder)).read_text().splitlines()]
    assert [line["mark"] for line in kept] == ["accepted", "rejected"]
    assert {"at", "row", "file", "sha256", "mark"} == set(kept[0])
    assert rejected_rows(RunFolder.at(folder)) == {kept[1]["row"]}
    assert kept[0]["row"] == row_id

    with watching(folder) as restarted:
        again = open_page(restarted.url)
        again.wait_for_selector("#gallery .shot.rejected")
        assert again.locator("#gallery .shot.accepted").count() == 1
        again.close()
    written = Batchgen(folder.parent)("report", folder)
    assert written.exit == 0, written.stderr
    still = open_page((folder / "report.html").as_uri())
    assert still.locator("#gallery .shot.rejected").count() == 1
    assert f"batchgen retry {folder} --rejected --new-seed" in still.inner_text("#rejected")
    assert "In a real run" in still.inner_text("#rejected"), "a rehearsal cannot be gone on with"
    still.select_option("[data-choice=mark]", "rejected")
    assert still.locator("#gallery .card").count() == 1


@pytest.mark.slow
def test_the_page_of_a_large_folder_is_there_before_its_rows_and_figures_are(
    tmp_path: Path, open_page: OpenPage
) -> None:
    with watching(large_folder(tmp_path / "out", 10_000)) as live:
        with urllib.request.urlopen(live.url, timeout=60) as answer:
            told = answer.read().decode()
        assert len(told) < 300_000, "the newest rows are in it, and no more"
        assert told.count("One moment") == 3
        assert "9,900 of 10,000 rows worked out." in told
        page = open_page(live.url)
        page.wait_for_selector(PICTURES)
        page.wait_for_function("() => !document.body.textContent.includes('One moment')", timeout=60_000)
        page.wait_for_function("() => document.getElementById('found').textContent === '10,000 rows'", timeout=60_000)
        assert "100 rows failed" in page.inner_text("#failures")
        page.select_option("#sort", "manifest")
        assert page.locator("#gallery h3").first.inner_text() == "r000000", "though it came last"
        page.close()


@pytest.mark.parametrize("path", ["/", "/events", "/favicon.ico", "/x/", "/rows/row-0001/images-00.png"])
def test_without_the_token_there_is_nothing(watch: Watch, path: str) -> None:
    assert watch.asked(path) == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1.evil.example:80", ""])
def test_a_foreign_name_for_this_machine_is_refused(watch: Watch, host: str) -> None:
    assert watch.asked(watch.path, Host=host) in (400, 403)


@pytest.mark.parametrize(
    "path",
    ["rows/../state.db", "rows/..%2f..%2fout/state.db", "rows/%2e%2e/state.db", "rows/row-0001/..%2f..%2f..%2fstate.db",
     "rows//etc/passwd", "rows/row-0001/%2fetc%2fpasswd", "rows/row-0001/.", "thumbs/../state.db", "state.db"],
)  # fmt: skip
def test_only_outputs_in_row_folders_are_served(watch: Watch, path: str) -> None:
    assert watch.asked(watch.path + path) == 404


def test_a_link_out_of_the_row_folder_is_not_followed(folder: Path, watch: Watch) -> None:
    (folder / "rows" / "row-0001" / "leak.png").symlink_to(folder / "state.db")
    assert watch.asked(f"{watch.path}rows/row-0001/leak.png") == 404
    assert watch.asked(f"{watch.path}rows/row-0001/images-00.png") == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
def test_marks_come_from_the_page_itself_only(folder: Path, watch: Watch, origin: str) -> None:
    before = marks_file(RunFolder.at(folder)).read_bytes() if marks_file(RunFolder.at(folder)).exists() else b""
    assert watch.mark("row-0001", "images-00.png", "rejected", Origin=origin) == 403
    assert watch.mark("row-0001", "images-00.png", "rejected", **{"Content-Type": "text/plain"}) == 415
    assert watch.mark("row-0001", "images-00.png", "lovely") == 400
    assert watch.mark("row-0001", "no-such.png", "rejected") == 404
    assert watch.mark("no-such-row", "images-00.png", "rejected") == 404
    after = marks_file(RunFolder.at(folder)).read_bytes() if marks_file(RunFolder.at(folder)).exists() else b""
    assert after == before


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc to see what is bound")
def test_nothing_but_loopback_is_bound(watch: Watch) -> None:
    links = [os.readlink(link) for link in Path(f"/proc/{watch.process.pid}/fd").iterdir()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    listening = [
        fields[1]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A" and fields[9] in inodes
    ]
    assert listening == [f"0100007F:{watch.port:04X}"]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    for command in ("watch", "report"):
        ended = Batchgen(tmp_path)(command, tmp_path)
        assert ended.exit == 9
        assert "not a run folder" in ended.stderr
