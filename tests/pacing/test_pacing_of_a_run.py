"""What the pace of a real run comes to: the command against the embedded server."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.processes import Batchgen, serving, write_csv


def meta(out: Path) -> dict[str, str]:
    with closing(sqlite3.connect(out / "state.db")) as state:
        return dict(state.execute("SELECT name, value FROM meta"))


def test_a_column_that_every_row_is_refused_for_costs_a_few_rows_and_the_rest_stays_pending(tmp_path: Path) -> None:
    manifest = write_csv(tmp_path / "m.csv", 200)
    with serving(faults="submit.refuse=100%") as server:
        ended = Batchgen(tmp_path, server.url)("run", manifest, "--yes", "--json", "-q", "-j", 4)
        assert server.ledger(summary=True)["counters"]["submit"] <= 8 + 3 + 4
    assert ended.exit == 1
    assert ended.json["rows"]["pending"] >= 200 - (8 + 3 + 4)
    assert any("nothing more of" in note for note in ended.json["notes"])


def test_failures_for_different_causes_between_good_rows_stop_nothing(tmp_path: Path) -> None:
    manifest = write_csv(tmp_path / "m.csv", 60)
    with serving(faults="job.fail=30%") as server:
        ended = Batchgen(tmp_path, server.url)("run", manifest, "--yes", "--json", "-q")
    assert ended.exit == 1
    assert ended.json["rows"]["pending"] == 0


def test_auto_finds_what_runs_at_once_and_the_folder_keeps_it(tmp_path: Path) -> None:
    manifest = write_csv(tmp_path / "m.csv", 120)
    with serving(latency="fixed:150ms", concurrency=10) as server:
        ended = Batchgen(tmp_path, server.url)("run", manifest, "--yes", "--json", "-q", "-j", "auto")
    assert ended.exit == 0
    learned = meta(tmp_path / "out" / "m")
    assert int(learned["in_flight_learned"]) <= 20
    (ages,) = json.loads(learned["polling_learned"]).values()
    assert ages["jobs"] == 120
