"""A state file that was deleted, cut short or put back from an old copy: nothing is sent before it is repaired."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.job import State
from batchgen.state import StateUnusable
from batchgen.state.repair import repair
from batchgen.storage.paths import RunFolder
from tests.money.harness import Scene
from tests.money.here import collected_whole, ran, serving_here
from tests.processes import serving

Damage = Callable[[Path], None]


def _deleted(out: Path) -> None:
    for path in out.glob("state.db*"):
        path.unlink()


def _emptied(out: Path) -> None:
    _deleted(out)
    (out / "state.db").touch()


def _cut_short(out: Path) -> None:
    content = (out / "state.db").read_bytes()
    _deleted(out)
    (out / "state.db").write_bytes(content[: len(content) // 3])


def _overwritten(out: Path) -> None:
    _deleted(out)
    (out / "state.db").write_bytes(b"<!doctype html>" * 1000)


def _put_back(out: Path) -> None:
    _deleted(out)
    shutil.copy(out.parent / "state.db.yesterday", out / "state.db")


@pytest.mark.parametrize("damage", [_deleted, _emptied, _cut_short, _overwritten, _put_back])
async def test_no_damage_to_the_state_file_costs_a_second_payment(tmp_path: Path, damage: Damage) -> None:
    out = tmp_path / "out"
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=8, limit=2)).exit == 0
        shutil.copy(out / "state.db", tmp_path / "state.db.yesterday")
        server.change(latency="fixed:1s")
        interrupted = await ran(tmp_path, server.url, limit=3, in_flight=3, job_timeout_s=0.1)
        assert (interrupted.exit, interrupted.rows[State.SUBMITTED]) == (75, 3)
        damage(out)
        damaged = {path: path.read_bytes() for path in out.glob("state.db")}
        for _ in range(2):
            with pytest.raises(StateUnusable, match=f"batchgen repair {out}"):
                await ran(tmp_path, server.url)
        assert {path: path.read_bytes() for path in out.glob("state.db")} == damaged, "it was written to"
        repair(RunFolder.at(out), server.url)
        assert server.posts == 5, "something was sent by a run that was refused, or by a repair"
        kept = [path.read_bytes() for path in (out / "set-aside").glob("state.*.db")]
        assert kept == list(damaged.values())
        assert (await ran(tmp_path, server.url, in_flight=3)).exit == 0
        assert server.posts == 8
        assert await collected_whole(tmp_path, server)


def test_a_state_file_deleted_after_kill_9_is_repaired_by_the_command_and_nothing_is_paid_twice(
    tmp_path: Path,
) -> None:
    with serving(latency="fixed:500ms") as server:
        scene = Scene(tmp_path, server, "dune", rows=8, flags=("--in-flight", 3))
        scene.kill_when_paid(5)
        _deleted(scene.out)
        # An id that was in the state only, since the kill came before the journal's fsync, is gone with it: in doubt.
        scene.on_the_wire_at_kills.append(_sending_by_the_journal(scene))
        refused = scene.batchgen(*scene.arguments)
        assert refused.exit == 9, refused.stderr
        assert f"batchgen repair {scene.out}" in refused.stderr
        assert scene.batchgen("repair", scene.out).exit == 0
        settlement = scene.settle(scene.finish())
        settlement.check()
        assert settlement.charged == scene.rows - len(settlement.doubt_free)


@pytest.mark.parametrize("journal", [None, "no journal line\n"])
def test_a_run_killed_soon_after_its_opening_whose_state_and_journal_were_lost_sends_nothing_more_by_itself(
    tmp_path: Path, journal: str | None
) -> None:
    """All that is left is a generation that knows of the opening and of no request."""
    with serving(latency="fixed:30s") as server:
        scene = Scene(tmp_path, server, "dune", rows=8, flags=("--in-flight", 3))
        scene.kill_when_paid(3)
        _deleted(scene.out)
        (scene.out / "journal.jsonl").unlink()
        if journal is not None:
            (scene.out / "journal.jsonl").write_text(journal, "utf-8")
        assert json.loads((scene.out / "generation.json").read_text("utf-8"))["seq"] == 0
        _assert_nothing_is_sent_after_a_repair(scene, doubtful=scene.row_ids)


def test_a_state_and_a_journal_put_back_after_a_run_that_was_killed_soon_send_nothing_more_by_themselves(
    tmp_path: Path,
) -> None:
    with serving(latency="fixed:3s") as server:
        scene = Scene(tmp_path, server, "dune", rows=8, flags=("--in-flight", 3))
        scene.batchgen(*scene.arguments, "--limit", 2)
        for name in ("state.db", "journal.jsonl"):
            shutil.copy(scene.out / name, tmp_path / f"{name}.before")
        scene.kill_when_paid(5)
        _deleted(scene.out)
        for name in ("state.db", "journal.jsonl"):
            shutil.copy(tmp_path / f"{name}.before", scene.out / name)
        _assert_nothing_is_sent_after_a_repair(scene, doubtful=scene.row_ids[2:])


def _assert_nothing_is_sent_after_a_repair(scene: Scene, doubtful: list[str]) -> None:
    """A run is refused before it, and after it names the rows that may have been sent."""
    paid = scene.paid
    refused = scene.batchgen(*scene.arguments)
    assert refused.exit == 9, refused.stderr
    assert scene.batchgen("repair", scene.out).exit == 0
    for _ in range(2):
        ended = scene.batchgen(*scene.arguments)
        assert ended.exit == 7, ended.stderr
        assert json.loads(ended.stdout)["in_doubt"] == doubtful
    assert scene.paid == paid


def _sending_by_the_journal(scene: Scene) -> set[str]:
    told = [json.loads(line) for line in (scene.out / "journal.jsonl").read_text("utf-8").splitlines()]
    last = {line["row"]: line["state"] for line in told if "row" in line}
    return {row_id for row_id, state in last.items() if state == "submitting"}


async def test_a_journal_that_is_torn_behind_or_gone_is_made_whole_and_one_that_is_ahead_is_refused(
    tmp_path: Path,
) -> None:
    async with serving_here() as server:
        assert (await ran(tmp_path, server.url, rows=4, limit=2)).exit == 0
        journal = tmp_path / "out" / "journal.jsonl"
        whole = journal.read_text("utf-8")
        lines = whole.splitlines(keepends=True)
        damaged = {"torn": whole[:-30], "behind": "".join(lines[:-3]), "emptied": "", "torn at its head": whole[:20]}
        for name, content in damaged.items():
            journal.write_text(content, "utf-8")
            assert (await ran(tmp_path, server.url, limit=0)).rows[State.COLLECTED] == 2, name
            assert _last_words(journal) == _last_words_of(whole), name
        journal.unlink()
        assert (await ran(tmp_path, server.url, limit=0)).rows[State.COLLECTED] == 2
        assert _last_words(journal) == _last_words_of(whole)

        ahead = json.dumps({"seq": 10**6, "at": 1.0, "row": "row-0003", "n": 1, "event": "Intent"}) + "\n"
        before = journal.read_text("utf-8")
        journal.write_text(before + ahead, "utf-8")
        with pytest.raises(StateUnusable, match="is ahead of"):
            await ran(tmp_path, server.url)
        journal.write_text(before + "no journal line\n", "utf-8")
        with pytest.raises(StateUnusable, match="damaged"):
            await ran(tmp_path, server.url)
        assert server.posts == 2
        journal.write_text(before, "utf-8")
        assert (await ran(tmp_path, server.url)).exit == 0
        assert server.posts == 4


async def test_a_budget_outlives_the_state_and_the_journal(tmp_path: Path) -> None:
    async with serving_here() as server:
        folder = RunFolder.at(tmp_path / "out")
        assert (await ran(tmp_path, server.url, rows=4, budget_usd=0.1, limit=1)).exit == 0
        folder.journal.unlink()
        assert (await ran(tmp_path, server.url, limit=1)).exit == 0
        _deleted(folder.path)
        repair(folder, server.url)
        stopped = await ran(tmp_path, server.url)
        assert stopped.exit == 6, stopped
        assert server.posts == 3


def _last_words(journal: Path) -> dict[str, tuple[str, str]]:
    return _last_words_of(journal.read_text("utf-8"))


def _last_words_of(text: str) -> dict[str, tuple[str, str]]:
    """The last state and request_id of every row that the journal tells of."""
    told: dict[str, dict[str, Any]] = {}
    for line in map(json.loads, text.splitlines()):
        if "row" in line:
            told[line["row"]] = told.get(line["row"], {}) | line
    return {row_id: (line["state"], line["request_id"]) for row_id, line in told.items()}
