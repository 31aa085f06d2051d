"""Rows that were not named with --only are not paid for: not now, and not by a later run that nobody gave that word."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.runner.bill import Refused
from tests.money.here import attempts, ran, serving_here

ROWS = ("row-0000", "row-0001", "row-0002")
ONLY = frozenset({"row-0001"})


async def test_a_table_of_failed_rows_sends_those_that_were_named(tmp_path: Path) -> None:
    async with serving_here("job.fail=100%") as server:
        await ran(tmp_path, server.url, rows=3)
        server.change(faults="")
        failed = tmp_path / "out" / "failed.csv"
        await ran(tmp_path, server.url, manifest=failed, only=ONLY)
        assert [len(attempts(tmp_path, row_id)) for row_id in ROWS] == [1, 2, 1]
        assert len(await server.charged()) == 4
        await ran(tmp_path, server.url)  # the whole manifest: failed rows are nobody's to send again
        assert len(await server.charged()) == 4


async def test_a_rerun_of_changed_rows_pays_again_for_those_that_were_named(tmp_path: Path) -> None:
    async with serving_here() as server:
        await ran(tmp_path, server.url, rows=3)
        manifest = tmp_path / "dunes.csv"
        manifest.write_text(manifest.read_text("utf-8").replace("of dune", "of a high dune"), "utf-8")
        await ran(tmp_path, server.url, only=ONLY, rerun_changed=True)
        assert [len(attempts(tmp_path, row_id)) for row_id in ROWS] == [1, 2, 1]
        with pytest.raises(Refused, match="changed after being paid for: 2 rows"):
            await ran(tmp_path, server.url)
        assert len(await server.charged()) == 4
