"""failed.csv opens in a spreadsheet as text, in its letters, and is run again as it was."""

from __future__ import annotations

import csv
from contextlib import closing
from pathlib import Path

from batchgen.state import open_reader
from batchgen.storage.paths import RunFolder
from tests.money.here import ran, serving_here
from tests.providers.rawserver import raw_server, reply

TEXTS = ["=cmd|x", "@home", "-a dune", "+a dune", "'=a", "''@b", "'quoted'", "-1", "Über Café", "a dune"]


async def test_cells_that_a_spreadsheet_would_run_are_text_there_and_run_again_as_they_were(tmp_path: Path) -> None:
    manifest = tmp_path / "ads.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "images", "seed", "meta.mark"])
        writer.writerows([f"-row {n}", text, "https://e.com/a.png", "-1", text] for n, text in enumerate(TEXTS))
    async with serving_here("job.fail=100%") as server:
        await ran(tmp_path, server.url, manifest=manifest)
        failed = tmp_path / "out" / "failed.csv"
        assert failed.read_bytes().startswith(b"\xef\xbb\xbf")
        with failed.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(TEXTS)
        cells = [cell for row in rows for cell in row.values()]
        assert {cell for cell in cells if cell[:1] in ("=", "@", "+", "-")} == {"-1"}  # a number stays one
        server.change(faults="")
        await ran(tmp_path, server.url, manifest=failed)
    with closing(open_reader(RunFolder.at(tmp_path / "out"))) as reader:
        jobs = [reader.attempts(f"-row {n}") for n in range(len(TEXTS))]
        assert [len(attempts) for attempts in jobs] == [2] * len(TEXTS)
        assert [attempts[1].input["text"] for attempts in jobs] == TEXTS
        assert all(first.fingerprint == second.fingerprint for first, second in jobs)
        assert [attempts[1].meta["mark"] for attempts in jobs] == TEXTS


async def test_a_reason_is_one_line_that_no_terminal_acts_upon(tmp_path: Path) -> None:
    manifest = tmp_path / "ads.csv"
    manifest.write_text("id,text,images\na,a dune,https://e.com/a.png\n", "utf-8")
    says = "no dunes\x1b[2J\u202e\x9b31m\x07\r\nb,refunded"
    async with raw_server(reply(422, {"error_message": says})) as server:
        await ran(tmp_path, server.base, manifest=manifest)
    with (tmp_path / "out" / "failed.csv").open(newline="", encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    assert "no dunes" in row["note"]
    assert "refunded" in row["note"]
    assert row["note"].isprintable()
