"""What a person accepted stays accepted and comes into data sets, whatever later attempts at its row bring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.job import Job
from batchgen.results.export import Settings, export, records
from batchgen.results.reviews import Mark, append_mark
from batchgen.runner.bill import Plan
from batchgen.runner.commands import plan, retry
from batchgen.runner.options import Options
from batchgen.storage.paths import RunFolder
from tests.money.here import EmbeddedServer, attempts, ran, serving_here
from tests.processes import TOKEN, write_csv

ROW = "row-0000"


def marked(folder: Path, job: Job, *marks: Mark) -> None:
    for file, mark in zip(job.saved, marks, strict=True):
        append_mark(RunFolder.at(folder / "out"), job.row_id, file.name, file.sha256, mark, 1.0)


async def remade(folder: Path, server: EmbeddedServer, bills: list[Plan] | None = None, **how: Any) -> None:
    def consent(bill: Plan) -> bool:
        (bills if bills is not None else []).append(bill)
        return True

    await retry(folder / "out", Options(api_base=server.url, token=TOKEN, min_free_bytes=0), consent, **how)


def exported(folder: Path, dest: str, where: str = "") -> list[tuple[int, int, str]]:
    """(attempt, output, review) of every item of a data set, whose files are checked for their bytes."""
    export(folder / "out", folder / dest, Settings("imagefolder", where=where))
    lines = [json.loads(line) for line in (folder / dest / "train/metadata.jsonl").read_text("utf-8").splitlines()]
    return [(line["attempt"], line["output"], line["review"]) for line in lines]


async def two_outputs(folder: Path, server: EmbeddedServer) -> Job:
    """One row with two outputs, the first of them accepted and the second rejected."""
    await ran(folder, server.url, manifest=write_csv(folder / "ads.csv", 1, outputs=2))
    (job,) = attempts(folder)
    marked(folder, job, "accepted", "rejected")
    return job


async def test_a_retry_of_what_was_rejected_says_what_is_accepted_and_leaves_it_in_the_set(tmp_path: Path) -> None:
    async with serving_here() as server:
        await two_outputs(tmp_path, server)
        bills: list[Plan] = []
        await remade(tmp_path, server, bills, rejected=True, new_seed=True)
        assert bills[0].as_json()["accepted"] == 1
        assert f"1 accepted output of 1 row to send: {ROW}. What was accepted stays so" in bills[0].warnings[-1]
        assert exported(tmp_path, "accepted", "review == 'accepted'") == [(1, 0, "accepted")]
        assert exported(tmp_path, "all") == [(1, 0, "accepted"), (2, 0, ""), (2, 1, "")]
        marked(tmp_path, attempts(tmp_path)[-1], "rejected", "accepted")
        assert exported(tmp_path, "both", "review == 'accepted'") == [(1, 0, "accepted"), (2, 1, "accepted")]
        found = records(tmp_path / "out")
        assert [(tmp_path / "out" / file).is_file() for file in found["file"]] == [True] * 3
        assert list(found["attempt"]) == [1, 2, 2]


@pytest.mark.parametrize("fault", ["job.fail=100%", "submit.refuse=100%", "submit.drop_reply=100%"])
async def test_it_stays_where_the_next_attempt_brings_nothing(tmp_path: Path, fault: str) -> None:
    async with serving_here() as server:
        await two_outputs(tmp_path, server)
        server.change(faults=fault)
        await remade(tmp_path, server, rejected=True, new_seed=True)
        assert exported(tmp_path, "data") == [(1, 0, "accepted")]
        bills: list[Plan] = []
        server.change(faults="")
        if fault != "submit.drop_reply=100%":
            await remade(tmp_path, server, bills)
            assert bills[0].accepted == {ROW: 1}
            assert exported(tmp_path, "data") == [(1, 0, "accepted"), (3, 0, ""), (3, 1, "")]


async def test_a_data_set_that_holds_it_is_not_given_it_twice(tmp_path: Path) -> None:
    async with serving_here() as server:
        await two_outputs(tmp_path, server)
        assert exported(tmp_path, "data", "review == 'accepted'") == [(1, 0, "accepted")]
        await remade(tmp_path, server, rerun=True, new_seed=True)
        assert exported(tmp_path, "data", "review == 'accepted'") == [(1, 0, "accepted")]


async def test_what_was_not_accepted_gives_way_to_the_next_attempt(tmp_path: Path) -> None:
    async with serving_here() as server:
        job = await two_outputs(tmp_path, server)
        marked(tmp_path, job, "none", "unsure")
        bills: list[Plan] = []
        await remade(tmp_path, server, bills, rerun=True, new_seed=True)
        assert bills[0].accepted == {}
        assert exported(tmp_path, "data") == [(2, 0, ""), (2, 1, "")]


async def test_the_bill_of_a_run_that_remakes_changed_rows_says_which_have_accepted_outputs(tmp_path: Path) -> None:
    async with serving_here() as server:
        await two_outputs(tmp_path, server)
        manifest = tmp_path / "ads.csv"
        options = Options(api_base=server.url, token=TOKEN, out=tmp_path / "out", rerun_changed=True)
        assert (await plan(manifest, options)).accepted == {}
        manifest.write_text(manifest.read_text("utf-8").replace("dune 0", "dune 0 at dusk"), "utf-8")
        assert (await plan(manifest, options)).accepted == {ROW: 1}
        assert (await plan(manifest, Options(api_base=server.url, token=TOKEN, out=tmp_path / "else"))).accepted == {}
