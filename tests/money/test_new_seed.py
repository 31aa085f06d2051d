"""`retry --rejected --new-seed`: another picture is paid for once, and the row is not taken for a changed one."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.errors import Exit
from batchgen.core.job import State
from batchgen.results.reviews import append_mark
from batchgen.results.row_history import story
from batchgen.runner.bill import Refused
from batchgen.runner.commands import retry
from batchgen.runner.options import Options
from batchgen.runner.outcome import Report
from batchgen.runner.seeds import NoNewSeed
from batchgen.state import StateUnusable
from batchgen.state.repair import repair
from batchgen.storage.paths import RunFolder
from tests.money.harness import Scene
from tests.money.here import attempts, ran, serving_here
from tests.money.strace import traced
from tests.processes import TOKEN, serving, write_csv

ROW = "row-0000"
_KILLED_AT = (1, 3, 5, 7)
"""Fsyncs of a retry: the new attempt, its intent twice, its answer."""


def reject(out: Path, row_id: str = ROW) -> None:
    file = sidecar(out, row_id)["files"][0]
    append_mark(RunFolder.at(out), row_id, file["name"], file["sha256"], "rejected", time.time())


def sidecar(out: Path, row_id: str = ROW) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((out / "rows" / row_id / "row.json").read_text("utf-8"))
    return told


async def remade(folder: Path, base: str, agreed: bool = True, rejected: bool = True, **options: Any) -> Report:
    told = Options(api_base=base, token=TOKEN, min_free_bytes=0, **options)
    return await retry(folder / "out", told, lambda bill: agreed, rejected=rejected, new_seed=True)


async def test_nothing_that_happens_to_a_folder_makes_a_new_seed_look_like_a_changed_row(tmp_path: Path) -> None:
    manifest = write_csv(tmp_path / "dunes.csv", 3)
    folder = RunFolder.at(tmp_path / "out")
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, manifest=manifest)).exit is Exit.DONE
        reject(folder.path)
        assert (await remade(tmp_path, server.url)).exit is Exit.DONE
        assert server.posts == 4
        first, second = attempts(tmp_path)
        assert {**first.input, "seed": 0} == {**second.input, "seed": 0}
        assert first.input["seed"] != second.input["seed"] == sidecar(folder.path)["input"]["seed"]
        assert [(one["n"], one["came_from"], one["seed"]) for one in sidecar(folder.path)["attempts"]] == [
            (1, None, first.input["seed"]),
            (2, 1, second.input["seed"]),
        ]
        assert story(folder.path, ROW).new_seed(2) == second.input["seed"]
        assert len({job["body_sha256"] for job in await server.charged()}) == 4

        async def nothing_is_sent() -> None:
            assert (await ran(tmp_path, server.url, manifest=manifest)).exit is Exit.DONE
            assert server.posts == 4

        await nothing_is_sent()
        head, *lines = manifest.read_text("utf-8").splitlines()
        manifest.write_text("\n".join([head, *reversed(lines)]) + "\n", "utf-8")
        await nothing_is_sent()
        folder.state.unlink()
        with pytest.raises(StateUnusable):
            await ran(tmp_path, server.url, manifest=manifest)
        repair(folder, server.url)
        await nothing_is_sent()
        assert story(folder.path, ROW).new_seed(2) == second.input["seed"], "the journal knows both attempts"
        folder.state.unlink()
        folder.journal.unlink()
        repair(folder, server.url)
        await nothing_is_sent()


async def test_a_new_picture_is_not_reviewed_yet_and_once_rejected_gets_a_third_seed(tmp_path: Path) -> None:
    async with serving_here() as server:
        await ran(tmp_path, server.url)
        reject(tmp_path / "out")
        await remade(tmp_path, server.url)
        with pytest.raises(Refused, match="no row in scope has a rejected output"):
            await remade(tmp_path, server.url)
        reject(tmp_path / "out")
        await remade(tmp_path, server.url)
        assert len({job.input["seed"] for job in attempts(tmp_path)}) == 3


async def test_a_failed_attempt_keeps_its_new_seed_and_its_row_stands_in_failed_csv_as_the_manifest_asks(
    tmp_path: Path,
) -> None:
    async with serving_here() as server:
        await ran(tmp_path, server.url, rows=2)
        reject(tmp_path / "out")
        server.change(faults="job.fail=100%")
        assert (await remade(tmp_path, server.url)).exit is Exit.SOME_FAILED
        server.change(faults="")
        failed_csv = tmp_path / "out" / "failed.csv"
        assert (await ran(tmp_path, server.url, manifest=failed_csv)).exit is Exit.DONE
        seeds = [job.input["seed"] for job in attempts(tmp_path)]
        assert len(seeds) == 3
        assert seeds[0] != seeds[1] == seeds[2]
        assert (await ran(tmp_path, server.url)).exit is Exit.DONE
        assert server.posts == 4


@pytest.mark.parametrize("go_on", ["retry", "run"])
async def test_without_consent_or_beyond_the_budget_no_new_seed_is_sent(tmp_path: Path, go_on: str) -> None:
    async with serving_here() as server:
        await ran(tmp_path, server.url)
        reject(tmp_path / "out")
        with pytest.raises(Refused, match="not agreed"):
            await remade(tmp_path, server.url, agreed=False)
        assert [job.state for job in attempts(tmp_path)] == [State.COLLECTED], "not even a new attempt was begun"
        assert (await remade(tmp_path, server.url, budget_usd=0.04)).exit is Exit.BUDGET
        assert server.posts == 1
        chosen = attempts(tmp_path)[-1].input["seed"]
        again = remade if go_on == "retry" else ran
        assert (await again(tmp_path, server.url, budget_usd=1)).exit is Exit.DONE, "the attempt that waits is sent"
        assert [job.input["seed"] for job in attempts(tmp_path)][1:] == [chosen]
        assert server.posts == 2


async def test_rows_of_a_model_without_a_seed_are_named_and_nothing_is_sent(tmp_path: Path) -> None:
    manifest = tmp_path / "flasks.csv"
    manifest.write_text("id,model,prompt\nflask,google/nano-banana-2/text-to-image,a flask\n", "utf-8")
    async with serving_here() as server:
        await ran(tmp_path, server.url, manifest=manifest)
        reject(tmp_path / "out", "flask")
        with pytest.raises(NoNewSeed, match=r"google/nano-banana-2/text-to-image has no field 'seed' \(flask\)"):
            await remade(tmp_path, server.url)
        assert server.posts == 1
        assert len(attempts(tmp_path, "flask")) == 1


class Retry(Scene):
    """The same folder, but what is started and killed is the retry."""

    @property
    def arguments(self) -> tuple[object, ...]:
        return ("retry", self.folder / "out", "--rejected", "--new-seed", "--yes", "--json", "--quiet")


@traced
async def test_killed_anywhere_a_retry_with_a_new_seed_pays_for_it_once(tmp_path: Path) -> None:
    with serving(latency="fixed:100ms") as server:
        done, kept = tmp_path / "done", tmp_path / "kept"
        await ran(done, server.url, manifest=Scene(done, server, "dune", rows=2).manifest)
        reject(done / "out", "dune-000")
        done.rename(kept)
        for number in _KILLED_AT:
            before = {job["request_id"] for job in server.charged}
            shutil.rmtree(done, ignore_errors=True)
            killed = Retry(shutil.copytree(kept, done), server, "dune", rows=2)
            shutil.copy(kept / "dune.csv", killed.manifest)  # a scene writes its own, after the name of its folder
            assert killed.kill_at_sync(number)
            doubtful = (await ran(killed.folder, server.url, manifest=killed.manifest)).in_doubt
            with suppress(Refused):  # the run may have left nothing to do
                assert (await remade(killed.folder, server.url)).in_doubt == doubtful
            paid = [job for job in server.charged if job["request_id"] not in before]
            assert len(paid) <= 1 if doubtful else len(paid) == 1, f"killed at fsync {number}: paid {len(paid)} times"
