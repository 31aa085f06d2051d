"""A run that the account, the budget or the catalogue stops: rows stay pending and the exit code tells why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.bill.conftest import Shell, dunes
from tests.money.harness import counted, until
from tests.processes import MODEL, Batchgen, Server, serving

At = Callable[[Server], Shell]


def test_a_key_that_goes_bad_in_the_middle_stops_with_3_and_the_right_one_goes_on(tmp_path: Path, at: At) -> None:
    with serving(latency="fixed:300ms") as server:
        command = Batchgen(tmp_path, server.url)
        manifest = dunes(tmp_path, 12)
        process = command.start("run", manifest, "--yes", "--json", "-j", 2)
        until(lambda: counted(server, "submit.accepted") >= 3)
        server.control(token="another-token")
        stdout, stderr = process.communicate(timeout=60)
        told = json.loads(stdout)
        sent = counted(server, "submit.accepted")
        assert (process.returncode, told["exit"]) == (3, 3), stderr
        assert told["rows"]["pending"] == 12 - sent > 0
        assert told["rows"]["failed"] == 0
        assert "rows not sent stay pending" in stderr
        server.control(token="test-token-7f3a9c")
        again = command("run", manifest, "--yes", "--json")
        assert (again.exit, again.json["rows"]["collected"], len(server.charged)) == (0, 12, 12)


def test_a_wallet_that_empties_stops_with_4_after_what_it_paid_for_is_collected(tmp_path: Path, at: At) -> None:
    with serving(latency="fixed:20ms", wallet_usd=0.1) as server:
        ended = at(server)("run", dunes(tmp_path, 5), "--yes", "--json", "-j", 1)
        assert (ended.exit, len(server.charged)) == (4, 3)
    assert (ended.json["rows"]["collected"], ended.json["rows"]["pending"]) == (3, 2)


def test_a_model_that_vanished_stops_with_5_and_its_rows_wait(tmp_path: Path, at: At) -> None:
    with serving(latency="fixed:20ms", faults="submit.error_in_200=#2-99:404001") as server:
        ended = at(server)("run", dunes(tmp_path, 5), "--yes", "--json", "-j", 1)
        assert (ended.exit, len(server.charged)) == (5, 1)
    assert (ended.json["rows"]["collected"], ended.json["rows"]["pending"]) == (1, 4)
    assert any(MODEL in note for note in ended.json["notes"])
    assert MODEL in ended.json["reason"]


def test_a_budget_is_kept_over_all_runs_and_retries_of_the_folder_and_stops_with_6(tmp_path: Path, at: At) -> None:
    with serving(latency="fixed:20ms", faults="job.fail=#1") as server:
        shell = at(server)
        manifest = dunes(tmp_path, 4)
        first = shell("run", manifest, "--yes", "--json", "-j", 1, "--budget", 0.06)
        assert (first.exit, len(server.charged), first.json["rows"]["pending"]) == (6, 2, 2)
        assert first.json["cost"] == {"charged": 0.06, "reserved": 0.0, "possibly": 0.0, "budget": 0.06}
        assert shell("run", manifest, "--yes", "-q").exit == 6  # the folder knows its budget
        retried = shell("retry", "out/ads", "--yes", "-q")
        assert (retried.exit, len(server.charged)) == (6, 2)
        more = shell("run", manifest, "--yes", "-q", "--budget", 0.09)  # the new attempt waits like any row
        assert (more.exit, len(server.charged)) == (6, 3)
        last = shell("run", manifest, "--yes", "--json", BATCHGEN_BUDGET="0.15")
        assert (last.exit, last.json["rows"]["collected"], last.json["cost"]["charged"]) == (0, 4, 0.15)
