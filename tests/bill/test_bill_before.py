"""`plan` is a bill: what it names, what it warns of, and that `run` then does as it said. Nothing is sent for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchgen import Options
from batchgen.core.errors import Refusal
from tests.bill.conftest import SEED, Shell, dunes, posts
from tests.processes import Server, serving

FLASH = "blackforestlabs/flux-2/flash/text-to-image"
FILM = "kling/kling-3.0/pro/image-to-video"


def signed(name: str, lives_s: int, since: float | None = None) -> str:
    """An address whose signature was made *since* (now) and lives so long."""
    made = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(since))
    return f"https://e.com/{name}?X-Amz-Date={made}&X-Amz-Expires={lives_s}&X-Amz-Signature=s"


def bill_of(shell: Shell, *arguments: object, **environ: str) -> dict[str, Any]:
    ended = shell("plan", *arguments, "--json", **environ)
    assert ended.exit == 0, ended.stderr
    return ended.json


def test_the_bill_goes_by_model_count_and_duration_and_says_what_run_will_ask(
    tmp_path: Path, shell: Shell, server: Server
) -> None:
    before = posts(server)
    (tmp_path / "mixed.yaml").write_text(
        f"""
rows:
  - {{id: three, model: {SEED}, text: x, images: [https://e.com/a.png], sequential_image_generation_options: 7}}
  - {{id: left-out, model: {SEED}, text: y, images: [https://e.com/a.png]}}
  - {{id: flash, model: {FLASH}, prompt: x}}
  - {{id: film, model: {FILM}, prompt: x, start_image_url: https://e.com/a.png, duration: 10}}
"""
    )
    bill = bill_of(shell, "mixed.yaml")
    lines = {line["model"]: (line["rows"]["outputs"], line["unit"], line["total_usd"]) for line in bill["models"]}
    assert lines == {SEED: (10, "output", 0.3), FLASH: (1, "output", 0.008), FILM: (1, "second", 1.12)}
    assert (bill["rows"]["new"], bill["to_send"], bill["outputs"]) == (4, 4, 12)
    assert (bill["cost"]["estimate"], bill["cost"]["balance"]) == (1.428, 25.0)
    (ask,) = bill["asks"]
    assert "asks before the first of 4 requests" in ask
    text = shell("plan", "mixed.yaml").stdout
    assert "to send: 4 rows, 12 outputs, at most $1.428" in text
    assert f"run: {ask}" in text
    assert posts(server) == before
    assert not (tmp_path / "out").exists()


def test_limit_and_only_bound_the_bill_in_the_order_of_sending(tmp_path: Path, shell: Shell, server: Server) -> None:
    manifest = tmp_path / "ads.csv"
    rows = ["a,1,", "b,2,", "c,5,9", "d,1,"]
    manifest.write_text(
        "id,sequential_image_generation_options,priority,text,images\n"
        + "".join(f"{row},bound {tmp_path.name},https://e.com/{row[0]}.png\n" for row in rows)
    )
    assert bill_of(shell, manifest, "--limit", 2)["outputs"] == 6  # c goes first
    assert bill_of(shell, manifest, "--only", "a", "--only", "d")["outputs"] == 2
    ran = shell("run", manifest, "--yes", "--json", "--limit", 2)
    assert (ran.exit, ran.json["cost"]["charged"]) == (0, 0.18)
    bill = bill_of(shell, manifest)
    assert (bill["rows"]["paid"], bill["rows"]["waiting"], bill["to_send"], bill["outputs"]) == (2, 2, 2, 3)
    before = posts(server)
    unknown = shell("run", manifest, "--yes", "--only", "bb")
    assert (unknown.exit, posts(server)) == (2, before)
    assert "no row is called 'bb'; did you mean 'b'?" in unknown.stderr


def test_a_price_comes_from_a_file_before_the_manifest_and_from_that_before_the_catalogue(
    tmp_path: Path, shell: Shell
) -> None:
    manifest = tmp_path / "ads.yaml"
    row = "{id: a, text: x, images: [https://e.com/a.png], sequential_image_generation_options: 2}"
    manifest.write_text(f"model: {SEED}\nrows: [{row}]\n")
    assert bill_of(shell, manifest)["cost"]["estimate"] == 0.06
    manifest.write_text(f"model: {SEED}\nprices: {{{SEED}: 0.05}}\nrows: [{row}]\n")
    assert bill_of(shell, manifest)["cost"]["estimate"] == 0.1
    (tmp_path / "prices.yaml").write_text(f"{SEED}: 0.2\n")
    assert bill_of(shell, manifest, "--prices", "prices.yaml")["cost"]["estimate"] == 0.4
    assert bill_of(shell, manifest, BATCHGEN_PRICES="prices.yaml")["cost"]["estimate"] == 0.4
    missing = shell("plan", manifest, "--prices", "nowhere.yaml")
    assert (missing.exit, missing.stdout) == (2, "")
    assert "nowhere.yaml: there is no such file" in missing.stderr


def test_an_unknown_price_is_called_unknown_and_a_budget_refuses_its_rows(
    tmp_path: Path, shell: Shell, server: Server
) -> None:
    manifest = dunes(tmp_path, 2)
    bill = bill_of(shell, manifest, "--offline")
    assert (bill["cost"]["estimate"], bill["cost"]["balance"]) == (None, None)
    assert bill["models"][0]["schema"] == "shipped"
    assert "unknown" in shell("plan", manifest, "--offline").stdout
    before = posts(server)
    refused = shell("run", manifest, "--yes", "--json", "--offline", "--budget", 5)
    assert (refused.exit, refused.stdout, posts(server)) == (2, "", before)
    assert f"the price of {SEED} is unknown" in refused.stderr
    (tmp_path / "prices.yaml").write_text(f"{SEED}: 0.03\n")
    ran = shell("run", manifest, "--yes", "--json", "--offline", "--prices", "prices.yaml", "--budget", 5)
    assert (ran.exit, ran.json["cost"]["charged"]) == (0, 0.06)


SOUND = "bytedance/seed-audio-1.0/text-to-audio"


def test_a_model_of_unbounded_length_has_no_price_until_somebody_says_what_one_output_may_cost(
    tmp_path: Path, shell: Shell, server: Server
) -> None:
    manifest = tmp_path / "sound.csv"
    manifest.write_text(f"id,model,prompt\na,{SOUND},rain {tmp_path.name}\nb,{SOUND},wind {tmp_path.name}\n")
    bill = bill_of(shell, manifest)
    assert (bill["cost"]["estimate"], bill["models"][0]["total_usd"], bill["would_run"]) == (None, None, True)
    assert "to send: 2 rows, 2 outputs, at a price nobody knows" in shell("plan", manifest).stdout
    refused = shell("plan", manifest, "--json", "--budget", 3)
    assert (refused.exit, refused.json["would_run"]) == (2, False)
    (why,) = refused.json["refusals"]
    assert f"nothing bounds how many seconds they ask for, 2 rows of {SOUND}" in why
    assert f"`{SOUND}: USD/output`" in why
    before = posts(server)
    assert (shell("run", manifest, "--yes", "--budget", 3).exit, posts(server)) == (2, before)
    (tmp_path / "prices.yaml").write_text(f"{SOUND}: 0.02/output\n")
    bill = bill_of(shell, manifest, "--prices", "prices.yaml", "--budget", 0.03)
    assert (bill["cost"]["estimate"], bill["rows_within_budget"]) == (0.04, 1)
    ran = shell("run", manifest, "--yes", "--json", "--prices", "prices.yaml", "--budget", 3)
    assert (ran.exit, ran.json["cost"]["charged"]) == (0, 0.016)  # four seconds each


@pytest.mark.parametrize("amount", ["inf", "-inf", "nan", "1e13", "-1", "-0.01", "1e400", ""])
def test_a_budget_that_is_no_amount_is_refused_and_never_taken_for_none(
    tmp_path: Path, shell: Shell, amount: str
) -> None:
    refused = shell("plan", dunes(tmp_path, 1), "--json", f"--budget={amount}")
    assert (refused.exit, refused.stdout) == (2, "")
    with pytest.raises(Refusal, match="is no budget"):
        assert Options(budget_usd=float(amount or "nan")).budget_micro is None


def test_offline_takes_the_kept_schema_and_tells_its_age(tmp_path: Path, shell: Shell) -> None:
    manifest = dunes(tmp_path, 1)
    assert bill_of(shell, manifest)["models"][0]["schema"] == "catalogue"
    (kept,) = (tmp_path / ".home").rglob("schemas/*.json")
    aged = json.loads(kept.read_text())
    kept.write_text(json.dumps(aged | {"fetched_at": time.time() - 50 * 3600}))
    assert bill_of(shell, manifest, "--offline")["models"][0]["schema"] == "cache, 50 h old"
    assert bill_of(shell, manifest)["models"][0]["schema"] == "catalogue"  # a day is as long as it is believed


def test_a_bill_above_the_balance_or_the_budget_is_warned_of_and_one_that_meets_it_is_not(
    tmp_path: Path, at: Callable[[Server], Shell]
) -> None:
    with serving(wallet_usd=0.09) as server:
        shell = at(server)
        assert bill_of(shell, dunes(tmp_path, 3), "--budget", 0.09)["warnings"] == []
        balance, budget = bill_of(shell, dunes(tmp_path, 4), "--budget", 0.09)["warnings"]
    assert balance == "the account holds $0.09, less than this bill"
    assert budget == "the budget of $0.09 ends before these rows do: 3 of 4 rows fit"


def test_the_rows_that_fit_into_a_budget_are_counted_in_the_order_of_sending(tmp_path: Path, shell: Shell) -> None:
    manifest = tmp_path / "ads.csv"
    rows = ["a,1,1", "b,1,2", "c,9,4", "d,5,3"]
    manifest.write_text(
        "id,priority,sequential_image_generation_options,text,images\n"
        + "".join(f"{row},fits {tmp_path.name},https://e.com/{row[0]}.png\n" for row in rows)
    )
    fits = {
        budget: bill_of(shell, manifest, "--budget", budget)["rows_within_budget"]
        for budget in (0, 0.11, 0.12, 0.2, 0.21, 0.24, 0.29, 0.3)
    }
    # c is 0.12, d 0.09, a 0.03, b 0.06; what all fit into ends before nothing
    assert fits == {0: 0, 0.11: 0, 0.12: 1, 0.2: 1, 0.21: 2, 0.24: 3, 0.29: 3, 0.3: None}
    assert bill_of(shell, manifest, "--budget", 0.2, "--only", "a", "--only", "d")["rows_within_budget"] is None
    assert bill_of(shell, manifest, "--budget", 0.05, "--only", "a", "--only", "b")["rows_within_budget"] == 1
    assert (
        "warning: the budget of $0.20 ends before these rows do: 1 of 4 rows fit"
        in shell("plan", manifest, "--budget", 0.2).stdout
    )


def test_links_that_end_before_their_turn_are_named_and_paid_rows_are_not(tmp_path: Path, shell: Shell) -> None:
    manifest = tmp_path / "ads.csv"
    dead, soon = signed("a", 60, since=1_600_000_000), signed("b", 300)
    links = {"dead": dead, "soon": soon, "long": signed("c", 90_000), "plain": "https://e.com/d"}
    manifest.write_text(
        "id,text,images,sequential_image_generation_options\n"
        + "".join(f"{row_id},x {row_id} {tmp_path.name},{link},1\n" for row_id, link in links.items())
    )
    assert bill_of(shell, manifest)["expiring"] == ["dead"]  # no history yet: only what has ended already
    history = next((tmp_path / ".home").rglob("schemas")).parent / "history"
    assert shell("run", manifest, "--yes", "-q", "--only", "dead").exit == 0
    (file,) = history.iterdir()
    file.write_text(json.dumps({SEED: {"jobs": 1000, "seconds": 6e5, "files": 1, "bytes": 5_000_000}}))
    bill = bill_of(shell, manifest, "-j", 1)
    assert (bill["expiring"], bill["expected_bytes"]) == ([], 15_000_000)  # soon is the first of three now
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    bill = bill_of(shell, manifest, "-j", 1)
    assert bill["expiring"] == ["soon"]
    assert bill["expected_s"][0] <= 1800.0 <= bill["expected_s"][1]
    assert "1 row with signed input URLs that expire before their turn: soon" in bill["warnings"]


def test_more_bytes_than_the_disk_has_are_warned_of(tmp_path: Path, shell: Shell) -> None:
    manifest = dunes(tmp_path, 2)
    assert shell("run", manifest, "--yes", "-q").exit == 0
    (file,) = (tmp_path / ".home").rglob("history/*.json")
    file.write_text(json.dumps({SEED: {"jobs": 1, "seconds": 20.0, "files": 1, "bytes": 10**16}}))
    (warning,) = bill_of(shell, dunes(tmp_path, 3, name="more.csv"))["warnings"]
    assert warning.startswith("about 30000000.0 GB are expected")
    text = shell("plan", "more.csv").stdout
    assert "expected time: " in text


def test_plan_says_what_run_will_refuse_and_the_flag_that_allows_it_prices_it(tmp_path: Path, shell: Shell) -> None:
    manifest = dunes(tmp_path, 2)
    assert shell("run", manifest, "--yes", "-q").exit == 0
    manifest.write_text(manifest.read_text().replace("ads.csv in", "other in"))
    refused = shell("plan", manifest, "--json")
    bill = refused.json
    assert (refused.exit, bill["would_run"], bill["rows"]["changed"], bill["to_send"]) == (2, False, 2, 0)
    (ask,) = bill["asks"]
    assert ask == f"refuses: {bill['refusals'][0]}"
    assert ask.startswith("refuses: changed after being paid for: 2 rows (row-000, row-001)")
    assert shell("run", manifest, "--yes", "-q").exit == 2
    bill = bill_of(shell, manifest, "--rerun-changed")
    assert (bill["to_send"], bill["cost"]["estimate"]) == (2, 0.06)
    assert [ask.partition(" ")[0] for ask in bill["asks"]] == ["asks"]


def test_run_shows_the_bill_that_plan_showed_before_it_asks(tmp_path: Path, shell: Shell, server: Server) -> None:
    manifest = dunes(tmp_path, 3, outputs=2)
    planned = [line for line in shell("plan", manifest).stdout.splitlines() if not line.startswith("run:")]
    before = posts(server)
    asked = shell("run", manifest)
    assert (asked.exit, posts(server)) == (2, before)
    shown = asked.stderr.splitlines()
    said = [line for line in planned if "schema from" not in line]
    assert [line for line in shown if "schema from" not in line][: len(said)] == said


def test_a_parquet_table_is_planned_with_its_types_and_lists_and_its_faults_are_told_by_row(
    tmp_path: Path, shell: Shell
) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed; it comes with the extra `parquet`")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns: dict[str, list[Any]] = {
        "id": ["a", "b", "c"],
        "text": ["a dune", "the sea", "the sky"],
        "images": [["https://e.com/a.png", "https://e.com/b.png"], ["https://e.com/c.png"], ["https://e.com/d.png"]],
        "sequential_image_generation_options": [2, None, 3],
        "meta.weight": [0.5, float("nan"), 1.5],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "ads.parquet", row_group_size=2)
    bill = bill_of(shell, "ads.parquet", "--offline")
    assert (bill["rows"]["new"], bill["outputs"], bill["problems"]) == (
        3,
        8,
        [],
    )  # left out: 3
    columns["text"][2] = ""
    parquet.write_table(pyarrow.table(columns), tmp_path / "ads.parquet")
    faulty = shell("plan", "ads.parquet", "--offline", "--json")
    assert faulty.exit == 2
    (problem,) = faulty.json["problems"]
    assert (problem["line"], problem["column"], problem["row"]) == (3, "text", "c")


def test_five_hundred_rows_with_one_fault_are_one_line_for_people_and_five_hundred_for_machines(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "ads.csv").write_text(
        "id,text,images,seed\n" + "".join(f"r{n},dune,https://e.com/a.png,{n}x\n" for n in range(1_200))
    )
    ended = shell("plan", "ads.csv")
    assert ended.exit == 2
    lines = ended.stderr.splitlines()
    assert sum("1,200 rows" in line for line in lines) == 1
    assert len(lines) <= 3
    machine = shell("plan", "ads.csv", "--json")
    assert machine.exit == 2
    problems = json.loads(machine.stdout)["problems"]
    assert [(one["row"], one["line"]) for one in problems] == [(f"r{n}", n + 2) for n in range(1_200)]
    assert {one["column"] for one in problems} == {"seed"}


def test_rows_of_a_model_that_nobody_knows_are_each_told(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "ads.csv").write_text("id,model,text\n" + "".join(f"r{n},no/such,dune\n" for n in range(40)))
    ended = shell("plan", "ads.csv", "--json")
    assert [one["row"] for one in json.loads(ended.stdout)["problems"]] == [f"r{n}" for n in range(40)]
    assert "(40 rows: lines 2, 3, 4, 5, 6, 7, 8, 9, ...)" in ended.stderr
