"""A budget over jobs that an earlier run sent at a price nobody knew: they count before anything more is spent."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from batchgen.state import open_reader
from batchgen.storage.paths import RunFolder
from tests.bill.conftest import SEED, Shell, dunes, posts
from tests.money.harness import until
from tests.processes import Batchgen, Server, kill_group, serving


def test_jobs_of_unknown_price_stop_a_budget_until_they_are_priced_and_count_whatever_dies_then(
    tmp_path: Path, at: Callable[[Server], Shell]
) -> None:
    out = tmp_path / "out" / "ads"
    with serving(latency="fixed:600s", faults="job.late_cost=100%:999") as server:  # no cost is ever told
        shell, manifest = at(server), dunes(tmp_path, 4)
        careless = Batchgen(tmp_path, server.url).start("run", manifest, "--yes", "--offline", "-j", 2)
        killed_when_sent(careless, out, 2)

        refused = shell("run", manifest, "--yes", "--offline", "--budget", 5)
        assert (refused.exit, posts(server)) == (2, 2)
        told = refused.stderr.splitlines()[-1]
        assert f"2 of {SEED} (row-000, row-001)" in told
        assert "--prices FILE" in told
        assert f"`batchgen collect {out}`" in told
        (tmp_path / "prices.yaml").write_text(f"{SEED}: 0.03\n")
        priced = (manifest, "--offline", "--prices", "prices.yaml")
        assert shell("run", *priced, "--budget", 5).exit == 2  # nobody agreed
        bill = shell("plan", *priced, "--json").json
        assert bill["cost"] | {"balance": 0, "expected": None} == {
            "charged": 0.0,
            "reserved": 0.06,
            "possibly": 0.0,
            "budget": None,  # what was refused left none
            "unpriced": 0,
            "estimate": 0.06,
            "expected": None,
            "balance": 0,
        }

        killed_when_sent(Batchgen(tmp_path, server.url).start("run", *priced, "--yes", "--budget", 0.1), out, 3)
        (out / "state.db").unlink()  # the second copy knows what was reserved as well
        assert shell("repair", out).exit == 0
        with closing(open_reader(RunFolder.at(out))) as reader:
            assert (reader.money().reserved, reader.money().unpriced) == (90_000, 0)
        ended = shell("run", *priced, "--yes", "--json", "--budget", 0.1, "--job-timeout", 1)
        assert ended.json["cost"] == {"charged": 0.0, "reserved": 0.09, "possibly": 0.0, "budget": 0.1}
        assert (ended.exit, posts(server)) == (6, 3)


def killed_when_sent(process: subprocess.Popen[str], out: Path, count: int) -> None:
    """Kill *process* once *count* request_ids of the folder are on disk."""
    until(lambda: len(request_ids(out)) >= count)
    kill_group(process)
    process.communicate()
    assert len(request_ids(out)) == count


def request_ids(out: Path) -> set[str]:
    """Every id in the folder's journal."""
    journal = out / "journal.jsonl"
    whole = journal.read_text().split("\n")[:-1] if journal.exists() else []
    return {line["request_id"] for line in map(json.loads, whole) if line.get("request_id")}


def test_a_retry_of_unbounded_rows_is_refused_under_a_budget_and_priced_by_what_a_person_says(
    tmp_path: Path, at: Callable[[Server], Shell]
) -> None:
    sound = "bytedance/seed-audio-1.0/text-to-audio"
    (tmp_path / "sound.csv").write_text(f"id,model,prompt\nrain,{sound},rain on a roof\n")
    (tmp_path / "prices.yaml").write_text(f"{sound}: 0.02/output\n")
    with serving(latency="fixed:20ms", faults="job.fail=#1") as server:
        shell, out = at(server), tmp_path / "out" / "sound"
        assert shell("run", "sound.csv", "--yes").exit == 1
        refused = shell("retry", out, "--yes", "--budget", 3)
        assert (refused.exit, posts(server)) == (2, 1)
        assert f"nothing bounds how many seconds they ask for, 1 row of {sound}" in refused.stderr
        assert shell("retry", out, "--yes", "--budget", 3, "--prices", "prices.yaml").exit == 0
        assert posts(server) == 2
