"""The morning's account: what was expected, received and paid, for every attempt and in all."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

from batchgen.cli.tables import account, table
from batchgen.results.audit import Audit, Books, Entry
from tests.bill.conftest import Shell, dunes
from tests.processes import Server, serving

At = Callable[[Server], Shell]


def test_clean_books_exit_0_and_tell_every_attempt_in_three_forms(tmp_path: Path, at: At) -> None:
    with serving(latency="fixed:20ms", faults="job.fewer=100%") as server:
        shell = at(server)
        shell("run", dunes(tmp_path, 3, outputs=4), "--yes", "-q")
        ended = shell("audit", "out/ads", "--json", "--csv", "books.csv")
        made = sum(len(job["outputs"]) for job in server.charged)
    assert (ended.exit, ended.json["clean"]) == (0, True)  # fewer outputs than the cap are listed, and no fault
    totals = ended.json["totals"]
    assert (totals["charged_usd"], totals["reserved_usd"], totals["possibly_usd"]) == (0.36, 0.0, 0.0)
    assert (totals["expected"], totals["received"], totals["usable"]) == (12, made, made)
    attempts = ended.json["attempts"]
    assert [(entry["row"], entry["charged_usd"], entry["expected"]) for entry in attempts] == [
        (f"row-00{number}", 0.12, 4) for number in range(3)
    ]
    with open(tmp_path / "books.csv", newline="", encoding="utf-8-sig") as file:
        assert [line["request_id"] for line in csv.DictReader(file)] == [entry["request_id"] for entry in attempts]
    table = shell("audit", "out/ads").stdout
    assert f"outputs: 12 expected at most, {made} received, {made} usable" in table
    assert "3 brought fewer outputs than asked for" in table
    (tmp_path / "out/ads/rows/row-001/images-00.png").unlink()
    lost = shell("audit", "out/ads", "--json")
    assert (lost.exit, [entry["row"] for entry in lost.json["without_files"]]) == (1, ["row-001"])


def test_failed_doubtful_and_dear_attempts_are_named_with_their_money_and_exit_1(tmp_path: Path, at: At) -> None:
    faults = "submit.drop_reply=#2,job.fail=#3,job.cost_above=#4:2,job.late_cost=#4:2,submit.refuse=#5"
    with serving(latency="fixed:20ms", faults=faults) as server:
        shell = at(server)
        assert shell("run", dunes(tmp_path, 5), "--yes", "-q", "-j", 1).exit == 7
        server.control(faults="")
        ended = shell("audit", "out/ads", "--json")
        books = ended.json
        assert ended.exit == 1
        assert books["totals"]["in_doubt_usd"] == books["totals"]["reserved_usd"] == 0.03
        assert [entry["row"] for entry in books["in_doubt"]] == ["row-001"]
        assert [entry["row"] for entry in books["failed_and_billed"]] == ["row-002"]  # the refused one was free
        assert [entry["row"] for entry in books["above_estimate"]] == [
            row for row, entry in ((entry["row"], entry) for entry in books["attempts"]) if entry["cost_usd"] == 0.06
        ]
        assert len(books["above_estimate"]) == 1
        table = shell("audit", "out/ads").stdout
        assert "1 in doubt, and what they may have cost:" in table
        assert "the books are not clean" in table
        assert shell("reconcile", "out/ads", "--give-up", "row-001", "--json").exit in (0, 1)
        totals = shell("audit", "out/ads", "--json").json["totals"]
        assert (totals["possibly_usd"], totals["reserved_usd"]) == (0.03, 0.0)
        plan = shell("plan", "ads.csv", "--json").json
        assert plan["cost"]["possibly"] == 0.03


def test_money_that_may_have_been_charged_leaves_the_books_open_until_it_is_known(tmp_path: Path, at: At) -> None:
    with serving(latency="fixed:20ms", faults="submit.drop_reply=#2,submit.drop_reply=#4,submit.refuse=#5") as server:
        shell = at(server)
        assert shell("run", dunes(tmp_path, 5), "--yes", "-q", "-j", 1).exit == 7
        in_doubt = shell("audit", "out/ads", "--json")
        assert (in_doubt.exit, in_doubt.json["clean"], in_doubt.json["settled"]) == (0, False, False)
        shell("reconcile", "out/ads", "--give-up", "row-001")
        told = shell("audit", "out/ads", "--csv", "books.csv")
        assert told.exit == 0
        assert "the books are open: $0.06 may have been charged for 2 attempts whose answers were lost" in told.stdout
        first, second, *_ = told.stdout.splitlines()
        assert first == "1 in doubt, and what they may have cost:"
        assert second.startswith("row ")
        assert len(server.charged) == 4
    lines = books(tmp_path / "books.csv")
    assert [(line["row"], line["finding"].partition(":")[0]) for line in lines] == [
        ("row-001", "possibly charged"),
        ("row-003", "in doubt"),
        ("row-000", ""),
        ("row-002", ""),
        ("row-004", ""),
    ]
    assert [line["possibly_usd"] for line in lines[:2]] == ["0.030000", "0.000000"]
    assert {line["currency"] for line in lines} == {"USD"}
    assert {line["api_base"] for line in lines} == {server.url}
    assert {line["run"] for line in lines} == {str(tmp_path / "out/ads")}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", line["date"]) for line in lines[:4])
    assert [line["charged_usd"] for line in lines] == ["0.000000", "0.000000", "0.030000", "0.030000", "0.000000"]


def test_a_row_whose_id_was_found_closes_the_books(tmp_path: Path, at: At) -> None:
    with serving(latency="fixed:20ms", faults="submit.drop_reply=#1") as server:
        shell = at(server)
        assert shell("run", dunes(tmp_path, 1), "--yes", "-q").exit == 7
        (job,) = server.charged
        assert shell("reconcile", "out/ads", "--adopt", f"row-000={job['request_id']}").exit == 0
        assert shell("collect", "out/ads", "-q").exit == 0
        told = shell("audit", "out/ads")
        assert (told.exit, told.stdout.splitlines()[-1]) == (0, "the books are clean")


def test_an_attempt_at_a_price_that_nobody_knows_leaves_the_books_open() -> None:
    entry = Entry(1.0, 2.0, "a", 1, "m", "collected", "id", None, None, 0.0, 0.0, 0.0, 1, 1, 1, None, None)
    assert entry.findings == ("price unknown",)
    sums = Books()
    sums.add(entry)
    told = Audit(sums, (), (), (), (), (), ())
    assert (told.faulty, told.clean) == (False, False)
    assert account(told, [entry])[-1].startswith("the books are open: 1 attempt cost nobody knows what")


def books(path: Path) -> list[dict[str, str]]:
    assert path.read_bytes().startswith(b"\xef\xbb\xbf"), "or a spreadsheet takes it for another encoding"
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_what_others_wrote_stays_in_its_cell() -> None:
    lines = table([("row", "reason"), ("dune", "lost\r\ndune-2  found\x1b[2J\u2028x"), ("sea", "lost")])
    assert len(lines) == 3
    assert all(map(str.isprintable, lines))
