"""The main job, end to end: two hundred rows, four hundred pictures, and nothing paid twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import TOKEN, Batchgen, Ended, Server, serving, write_csv

ROWS = 200


@dataclass
class Done:
    server: Server
    out: Path
    first: Ended
    again: Ended
    posts_before_again: int


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """The job was run to its end, and then once more from another working directory."""
    home, elsewhere = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("elsewhere")
    manifest = write_csv(home / "dunes.csv", ROWS, outputs=2)
    with serving(latency="fixed:200ms", concurrency=40) as server:
        first = Batchgen(home, server.url)("run", manifest, "--yes", "--json", "-j", "30")
        posts = server.ledger(summary=True)["totals"]["posts"]
        again = Batchgen(elsewhere, server.url)("run", manifest, "--yes", "--json", "-j", "30")
        yield Done(server, home / "out" / "dunes", first, again, posts)


def test_every_row_has_its_folder_with_whole_files_that_are_what_the_server_made(done: Done) -> None:
    assert done.first.exit == 0, done.first.stderr
    assert done.first.json["rows"]["collected"] == ROWS
    made = {line["request_id"]: sorted(output["sha256"] for output in line["outputs"]) for line in done.server.charged}
    assert len(made) == ROWS
    folders = list((done.out / "rows").iterdir())
    assert {folder.name for folder in folders} == {f"row-{number:04d}" for number in range(ROWS)}
    for folder in folders:
        told = json.loads((folder / "row.json").read_text())
        files = {path.name: path for path in folder.iterdir() if path.name != "row.json"}
        assert set(files) == {"images-00.png", "images-01.png"} == {file["name"] for file in told["files"]}
        hashes = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in files.values())
        assert hashes == made[told["request_id"]] == sorted(file["sha256"] for file in told["files"])
        assert told["row_id"] == folder.name


def test_no_body_was_paid_for_twice_and_the_bill_is_the_servers(done: Done) -> None:
    totals = done.server.ledger(summary=True)["totals"]
    assert (totals["accepted"], totals["duplicates"]) == (ROWS, 0)
    assert done.first.json["cost"]["charged"] == pytest.approx(totals["charged_usd"])
    assert done.first.json["cost"]["reserved"] == 0


def test_the_slots_were_filled_and_never_overfilled(done: Done) -> None:
    assert 25 <= done.server.ledger(summary=True)["totals"]["max_in_progress"] <= 30


def test_the_same_command_from_another_directory_sends_nothing_and_is_done(done: Done) -> None:
    assert done.again.exit == 0, done.again.stderr
    assert done.again.json["out"] == str(done.out)
    assert done.again.json["rows"] == done.first.json["rows"]
    assert done.server.ledger(summary=True)["totals"]["posts"] == done.posts_before_again == ROWS


def test_the_token_is_in_no_file_no_output_and_no_request_to_a_file_host(done: Done) -> None:
    assert TOKEN not in done.first.stdout + done.first.stderr + done.again.stdout + done.again.stderr
    searched = [path for path in done.out.parents[1].rglob("*") if path.is_file()]
    assert len(searched) > 3 * ROWS
    assert [path for path in searched if TOKEN.encode() in path.read_bytes()] == []
    assert done.server.ledger(summary=True)["tokens_at_file_host"] == 0


def test_nothing_is_left_half_written(done: Done) -> None:
    assert [path for path in done.out.rglob("*") if path.suffix in (".part", ".etag")] == []
    assert not list((done.out / "parts").glob("*"))
