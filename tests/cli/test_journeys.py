"""What users do with a run folder, command after command."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

from tests.cli.conftest import At, Shell, posts, table
from tests.processes import Server, kill_group, serving


def files_of(out: Path, row_id: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "rows" / row_id).iterdir() if path.name != "row.json"}


def collected(told: dict[str, Any]) -> int:
    return int(told["rows"]["collected"])


def test_plan_run_and_status_speak_json_on_stdout_and_everything_else_on_stderr(shell: Shell, server: Server) -> None:
    manifest = shell.write("ads.csv", table("json-a|dune", "json-b|oasis"))
    before = posts(server)

    first = shell("plan", manifest, "--json")
    assert (first.exit, posts(server)) == (0, before)
    assert set(first.json) >= {"rows", "cost", "problems"}
    assert {name: first.json["rows"][name] for name in ("new", "changed", "paid", "left", "in_doubt")} == {
        "new": 2,
        "changed": 0,
        "paid": 0,
        "left": 0,
        "in_doubt": 0,
    }
    assert first.json["problems"] == []
    assert not (shell.folder / "out").exists()

    ran = shell("run", manifest, "--yes", "--json", "--budget", "5")
    assert ran.exit == ran.json["exit"] == 0
    assert ran.json["out"] == str(shell.folder / "out" / "ads")
    assert ran.json["rows"] == {
        **dict.fromkeys(("pending", "submitting", "in_doubt", "submitted", "ready", "failed", "cancelled"), 0),
        "collected": 2,
    }
    assert ran.json["in_doubt"] == []
    assert set(ran.json["cost"]) >= {"charged", "reserved", "possibly", "budget"}
    assert ran.json["cost"]["charged"] == first.json["cost"]["estimate"] > 0
    assert (ran.json["cost"]["reserved"], ran.json["cost"]["budget"]) == (0, 5.0)
    assert ran.stdout.count("\n") == 1
    assert "finished: 2 of 2 rows collected and verified" in ran.stderr

    shell.write("ads.csv", table("json-a|dune", "json-c|a new one"))
    after = shell("plan", manifest, "--json").json["rows"]
    assert (after["new"], after["paid"], after["left"]) == (1, 1, 1)

    status = shell("status", shell.folder / "out" / "ads", "--json")
    assert status.exit == 0
    assert {name: status.json[name] for name in ("rows", "in_doubt", "cost")} == {
        name: ran.json[name] for name in ("rows", "in_doubt", "cost")
    }
    assert "exit" not in status.json  # nothing was run


def test_only_limit_and_budget_bound_what_is_sent_and_the_rest_waits(shell: Shell, server: Server) -> None:
    manifest = shell.write("ads.csv", table(*(f"bound-{letter}|dune {letter}" for letter in "abcdefgh")))
    before = posts(server)
    some = shell("run", manifest, "--yes", "--json", "--only", "bound-c", "bound-a")
    assert (some.exit, collected(some.json), posts(server) - before) == (0, 2, 2)
    assert {path.name for path in (shell.folder / "out/ads/rows").iterdir()} == {"bound-a", "bound-c"}

    two_more = shell("run", manifest, "--yes", "--json", "--limit", "2")
    assert (collected(two_more.json), posts(server) - before) == (4, 4)
    assert (shell.folder / "out/ads/rows/bound-d").is_dir()  # manifest order: b and d came first

    each = two_more.json["cost"]["charged"] / 4
    enough_for_five = shell("run", manifest, "--yes", "--json", "--budget", f"{each * 5.5:.6f}")
    assert enough_for_five.exit == enough_for_five.json["exit"] == 6
    assert (collected(enough_for_five.json), posts(server) - before) == (5, 5)
    assert "larger --budget" in enough_for_five.stderr
    stays = shell("run", manifest, "--yes", "--json")
    assert (stays.exit, posts(server) - before) == (6, 5)


def test_every_flag_but_consent_has_a_variable(shell: Shell, server: Server) -> None:
    manifest = shell.write("ads.csv", table("env-a|dune", "env-b|oasis", "env-c|mesa"))
    before = posts(server)
    ended = shell(
        "run",
        manifest,
        "-y",
        BATCHGEN_OUT=str(shell.folder / "there"),
        BATCHGEN_JSON="1",
        BATCHGEN_ONLY="env-b env-c",
        BATCHGEN_LIMIT="1",
        BATCHGEN_IN_FLIGHT="1",
        BATCHGEN_BUDGET="9",
    )
    assert (ended.exit, posts(server) - before) == (0, 1)
    assert ended.json["out"] == str(shell.folder / "there")
    assert ended.json["cost"]["budget"] == 9.0
    assert [path.name for path in (shell.folder / "there/rows").iterdir()] == ["env-b"]


def test_failed_rows_are_edited_in_failed_csv_or_retried_as_they_are(at: At) -> None:
    with serving(latency="fixed:20ms", faults="job.fail=x2") as server:
        shell = at(server)
        manifest = shell.write("ads.csv", table("fail-a|dune", "fail-b|oasis", "fail-c|mesa"))
        out = shell.folder / "out" / "ads"
        ran = shell("run", manifest, "--yes", "--json", "-j", "1")
        assert (ran.exit, collected(ran.json), ran.json["rows"]["failed"]) == (1, 1, 2)
        assert "failed.csv" in ran.stderr

        again = shell("run", manifest, "--yes", "--json")
        assert (again.exit, posts(server)) == (1, 3)  # a job that was accepted is never sent again by itself

        with (out / "failed.csv").open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
        assert [row["id"] for row in rows] == ["fail-a", "fail-b"]
        assert all(row["note"] for row in rows)
        with (out / "failed.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerow(rows[0] | {"text": "a gentler dune"})
        edited = shell("run", out / "failed.csv", "--yes", "--json")
        assert edited.json["out"] == str(out)
        assert (edited.exit, collected(edited.json), edited.json["rows"]["failed"], posts(server)) == (0, 2, 1, 4)
        told = json.loads((out / "rows/fail-a/row.json").read_text())
        assert told["input"]["text"] == "a gentler dune"
        assert [attempt["state"] for attempt in told["attempts"]] == ["failed", "collected"]

        retried = shell("retry", out, "--yes", "--json")
        assert (retried.exit, collected(retried.json), posts(server)) == (0, 3, 5)
        assert not (out / "failed.csv").exists()


def test_retry_with_rerun_pays_again_and_keeps_the_old_files(shell: Shell, server: Server) -> None:
    manifest = shell.write("ads.csv", table("rerun-a|dune", "rerun-b|oasis"))
    out = shell.folder / "out" / "ads"
    assert shell("run", manifest, "--yes", "-q").exit == 0
    old, before = files_of(out, "rerun-a"), posts(server)
    assert shell("retry", out, "--rerun", "--only", "rerun-a").exit == 2  # nobody agreed to pay
    ended = shell("retry", out, "--rerun", "--only", "rerun-a", "--yes", "--json")
    assert (ended.exit, posts(server) - before) == (0, 1)
    kept = {path.name: path.read_bytes() for path in (out / "attempts/rerun-a/1").iterdir() if path.suffix == ".png"}
    assert kept == old
    assert set(files_of(out, "rerun-a")) == set(old)
    assert not (out / "attempts" / "rerun-b").exists()


def test_collect_verify_brings_back_what_was_lost_or_damaged_without_paying(shell: Shell, server: Server) -> None:
    manifest = shell.write("ads.csv", table("verify-a|dune", "verify-b|oasis", "verify-c|mesa"))
    out = shell.folder / "out" / "ads"
    assert shell("run", manifest, "--yes", "-q").exit == 0
    before, good = posts(server), {row: files_of(out, row) for row in ("verify-a", "verify-b", "verify-c")}
    (out / "rows/verify-a" / min(good["verify-a"])).unlink()
    damaged = out / "rows/verify-b" / min(good["verify-b"])
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    ended = shell("collect", out, "--verify", "--json")
    assert (ended.exit, collected(ended.json), posts(server)) == (0, 3, before)
    assert {row: files_of(out, row) for row in good} == good


def test_a_rehearsal_is_free_and_can_never_be_taken_for_a_paid_run(shell: Shell, server: Server) -> None:
    manifest = shell.write("ads.csv", table("try-a|dune", "try-b|oasis"))
    before = posts(server)
    rehearsed = shell.without(token=None)("rehearse", manifest, "--json", "--latency", "fixed:20ms", "--draw", "tiny")
    assert (rehearsed.exit, collected(rehearsed.json), posts(server)) == (0, 2, before)
    out = shell.folder / "out" / "ads.rehearsal"
    assert rehearsed.json["out"] == str(out)
    assert sorted(path.name for path in (shell.folder / "out").iterdir()) == ["ads.rehearsal"]
    paid = shell("run", manifest, "-o", out, "--yes")
    assert (paid.exit, posts(server)) == (2, before)
    assert "rehearsal" in paid.stderr

    assert shell("run", manifest, "--yes", "-q").exit == 0
    real = files_of(shell.folder / "out" / "ads", "try-a")
    (shell.folder / "out/ads.rehearsal").rename(shell.folder / "away")
    (shell.folder / "out/ads").rename(out)
    refused = shell("rehearse", manifest, "--latency", "fixed:20ms", "--draw", "tiny")
    assert refused.exit == 2
    assert files_of(out, "try-a") == real  # a paid folder is never cleared away


def test_status_answers_while_a_run_is_on_and_who_holds_the_folder_is_named(at: At) -> None:
    with serving(latency="fixed:10min") as server:
        shell = at(server)
        manifest = shell.write("ads.csv", table("live-a|dune", "live-b|oasis"))
        running = shell.command.start("run", manifest, "--yes", "--json", "-q")
        try:
            out, deadline = shell.folder / "out" / "ads", time.monotonic() + 60
            while posts(server) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            status, held = shell("status", out, "--json"), shell("run", manifest, "--yes")
        finally:
            kill_group(running)
            running.communicate()
        assert status.exit == 0
        assert status.json["rows"]["submitted"] == 2
        assert status.json["cost"]["reserved"] > 0
        assert (held.exit, posts(server)) == (8, 2)
        assert f"pid {running.pid}" in held.stderr
