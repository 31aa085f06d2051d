"""The same sheet under another name has a folder of its own: what it would pay for again is said, and asked."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from batchgen import run_async
from batchgen.core.job import State
from batchgen.runner.bill import Plan, Refused
from batchgen.runner.commands import plan
from batchgen.runner.options import Options
from batchgen.runner.outcome import Report
from tests.money.here import EmbeddedServer, serving_here
from tests.processes import TOKEN, write_csv


def options(server: EmbeddedServer, **further: Any) -> Options:
    return Options(api_base=server.url, token=TOKEN, min_free_bytes=0, **further)


async def paid(manifest: Path, server: EmbeddedServer, **further: Any) -> Report:
    return await run_async(manifest, options(server, **further), yes=True)


async def bill(manifest: Path, server: EmbeddedServer, **further: Any) -> Plan:
    return await plan(manifest, options(server, **further))


@pytest.mark.parametrize("name", ["ads (1).csv", "Copy of ads.csv", "sheet.jsonl"])
async def test_a_copy_of_the_sheet_is_not_paid_for_by_a_yes_that_did_not_know_of_it(tmp_path: Path, name: str) -> None:
    async with serving_here() as server:
        sheet = write_csv(tmp_path / "ads.csv", 3)
        await paid(sheet, server)
        copy = tmp_path / name
        if name.endswith(".csv"):
            shutil.copy(sheet, copy)
        else:
            lines = [
                f'{{"id": "row-{n:04d}", "text": "Generate 1 images of dune {n}", "seed": {n}, '
                f'"images": ["https://example.com/a.png"], "sequential_image_generation_options": 1}}\n'
                for n in range(3)
            ]
            copy.write_text("".join(lines))
        told = await bill(copy, server)
        assert told.paid_elsewhere == {tmp_path / "out/ads": 3}
        assert f"paid for already, in another folder: 3 rows in {tmp_path / 'out/ads'}" in told.warnings[0]
        assert told.as_json()["paid_elsewhere"] == {str(tmp_path / "out/ads"): 3}
        assert "They would be paid for again" in told.warnings[0]
        alone = await bill(copy, server, only=frozenset({"row-0001"}))
        assert f"1 row in {tmp_path / 'out/ads'}. It would be paid for again" in alone.warnings[0]
        assert any(f"--out {tmp_path / 'out/ads'}" in ask for ask in told.asks)
        assert told.as_json()["would_run"] is False
        with pytest.raises(Refused, match=r"another name\? Then go on there, with --out .*; --new-rows"):
            await paid(copy, server)
        assert server.posts == 3
        report = await paid(copy, server, out=tmp_path / "out/ads")
        assert (report.rows[State.COLLECTED], server.posts) == (3, 3)


async def test_whoever_says_that_they_are_new_pays_for_them_and_is_told_all_the_same(tmp_path: Path) -> None:
    async with serving_here() as server:
        sheet = write_csv(tmp_path / "ads.csv", 2)
        await paid(sheet, server)
        shutil.copy(sheet, tmp_path / "b.csv")
        shutil.copy(sheet, tmp_path / "c.csv")
        await paid(tmp_path / "b.csv", server, new_rows=True)
        assert server.posts == 4
        told = await bill(tmp_path / "c.csv", server, out=tmp_path / "elsewhere")
        assert {folder.name: rows for folder, rows in told.paid_elsewhere.items()} == {"ads": 2, "b": 2}
        await run_async(tmp_path / "c.csv", options(server), consent=lambda told: bool(told.warnings))
        await paid(sheet, server, out=tmp_path / "named")
        assert server.posts == 8


async def test_rows_that_are_the_folders_own_or_other_requests_are_no_neighbours(tmp_path: Path) -> None:
    async with serving_here() as server:
        sheet = write_csv(tmp_path / "ads.csv", 4)
        await paid(sheet, server, limit=2)
        assert (await bill(sheet, server)).paid_elsewhere == {}
        other = tmp_path / "other.csv"
        other.write_text(sheet.read_text("utf-8").replace("dune", "sea"), "utf-8")
        assert (await bill(other, server)).paid_elsewhere == {}
        await paid(other, server)
        longer = write_csv(tmp_path / "longer.csv", 9)
        assert (await bill(longer, server)).paid_elsewhere == {tmp_path / "out/ads": 2}, "two were sent there"
        assert (await bill(longer, server, only=frozenset({"row-0003"}))).paid_elsewhere == {}
        await paid(longer, server, new_rows=True)
        write_csv(longer, 10)
        assert (await bill(longer, server)).paid_elsewhere == {}, "one is new, and nobody has it"


@pytest.mark.parametrize(
    ("fault", "rows"), [("submit.refuse=100%", 0), ("submit.drop_reply=100%", 1), ("job.fail=100%", 1)]
)
async def test_what_was_never_accepted_is_not_paid_and_what_may_have_been_counts(
    tmp_path: Path, fault: str, rows: int
) -> None:
    async with serving_here(fault) as server:
        sheet = write_csv(tmp_path / "ads.csv", 1)
        await paid(sheet, server)
        shutil.copy(sheet, tmp_path / "b.csv")
        assert sum((await bill(tmp_path / "b.csv", server)).paid_elsewhere.values()) == rows


async def test_folders_of_another_account_and_those_that_cannot_be_read_say_nothing(tmp_path: Path) -> None:
    sheet = write_csv(tmp_path / "ads.csv", 2)
    copy = tmp_path / "b.csv"
    shutil.copy(sheet, copy)
    async with serving_here() as server:
        await paid(sheet, server)
    for name, content in {"text": b"no database", "empty": b""}.items():
        (tmp_path / "out" / name).mkdir()
        (tmp_path / "out" / name / "state.db").write_bytes(content)
    async with serving_here() as server:
        assert (await bill(copy, server)).paid_elsewhere == {}
        assert (await paid(copy, server)).rows[State.COLLECTED] == 2
