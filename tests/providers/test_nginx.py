"""Behind a proxy that limits, refuses, hangs up and cuts, every row ends as the tables say and none is paid twice."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.money.harness import Scene, sha256_of
from tests.processes import serving
from tests.providers.nginx import FAULTS, Proxy, proxied, proxy

ROWS = 500
RUNS = 20
"""Each with its share of the rows: refusals that no slowing down avoids make a run ever slower."""
AT_A_TIME = 7

CERTAINLY_NOT_ACCEPTED = ("busy", "busy_later", "limited")
NOBODY_KNOWS = ("bad_gateway", "unavailable", "unavailable_later", "closed", "cut")


@dataclass
class Night:
    """One run behind the proxy: what it said at its end, and its log."""

    scene: Scene
    told: dict[str, Any]
    lines: list[dict[str, Any]]


@pytest.mark.slow
@proxied
@pytest.mark.timeout(1200)
def test_behind_a_proxy_with_five_percent_of_every_fault_all_rows_end_and_none_is_paid_twice(tmp_path: Path) -> None:
    with (
        serving(latency="lognormal:100ms", draw="bytes:0.008MB", concurrency=60) as server,
        ThreadPoolExecutor(AT_A_TIME) as pool,
    ):
        between = proxy(tmp_path / "nginx", server, posts_per_s=20, burst=10)
        with between.serving(faulty=True):
            nights = list(pool.map(lambda number: _night(tmp_path / f"run-{number}", between), range(RUNS)))
        _every_post_is_explained(between, [line for night in nights for line in night.lines])
        _nothing_was_left_out(between)
        for night in nights:
            _every_end_is_explained(night)
            _trouble_with_questions_and_files_changed_no_outcome(night)

        with between.serving(faulty=False):  # the storm is over, and a person settles what nobody knew
            ended = list(pool.map(_settle, nights))
        assert [told["rows"]["collected"] for told in ended] == [ROWS // RUNS] * RUNS
        totals = server.ledger(summary=True)["totals"]
        assert (totals["accepted"], totals["duplicates"]) == (ROWS, 0)
        assert sum(told["cost"]["charged"] for told in ended) == pytest.approx(totals["charged_usd"])
        for night in nights:
            _files_are_what_the_server_made(night.scene)


def _night(folder: Path, between: Proxy) -> Night:
    """Run until there is nothing left to do."""
    log = folder / "night.log"
    environ = {"RUNCOMFY_MODEL_API_BASE": between.url, "BATCHGEN_LOG": str(log)}
    scene = Scene(folder, between.server, "dune", rows=ROWS // RUNS, environ=environ)
    told = scene.finish(patience_s=500.0)
    return Night(scene, told, [json.loads(line) for line in log.read_text("utf-8").splitlines()])


def _every_post_is_explained(between: Proxy, lines: list[dict[str, Any]]) -> None:
    """nginx and the log tell of the same POSTs: as many of each kind, one intent for each."""
    posts, answers = between.posts(), Counter(line.get("answer") for line in lines if line["event"] == "submit")
    moves = Counter(line["event"] for line in lines)
    assert set(posts) >= {*FAULTS, ""}, posts
    assert moves["Intent"] == posts.total()
    assert answers["Busy"] == moves["Deferred"] == sum(posts[fault] for fault in CERTAINLY_NOT_ACCEPTED)
    # nginx counts bytes by the second: an answer that is to be cut comes whole where a second ends in its middle.
    whole = moves["Accepted"] - posts[""] - posts["slow"]
    assert 0 <= whole < posts["cut"]
    assert answers["Lost"] == moves["ContactLost"] == sum(posts[fault] for fault in NOBODY_KNOWS) - whole
    reasons = " | ".join(line["reason"] for line in lines if line["event"] == "submit")
    assert {line["breaker"] for line in lines if line["event"] == "breaker" and line["position"] == "opened"} >= {
        "busy"
    }
    for word in ("HTTP 429", "HTTP 502", "HTTP 503", "the answer to the POST was lost"):
        assert word in reasons


def _nothing_was_left_out(between: Proxy) -> None:
    """Questions and files met every fault as well."""
    assert {exchange.fault for exchange in between.exchanges if exchange.method == "GET"} >= set(FAULTS)


def _every_end_is_explained(night: Night) -> None:
    """A row is collected, or in doubt for a reason that the log gives in a line about that row."""
    collected = {line["row"] for line in night.lines if line["event"] == "Collected"}
    lost = {line["row"] for line in night.lines if line["event"] == "submit" and line["answer"] == "Lost"}
    assert lost == set(night.told["in_doubt"])
    assert not collected & lost
    assert collected | lost == set(night.scene.row_ids)


def _trouble_with_questions_and_files_changed_no_outcome(night: Night) -> None:
    """What went wrong with GETs is told with row and request, and is all that came of it."""
    work = [line for line in night.lines if line["event"] in ("status", "result", "download")]
    assert all(line["row"] and line["request_id"] and line["reason"] for line in work)
    assert {line["answer"] for line in work} <= {"NoNews", "Broken"}
    assert night.told["rows"]["failed"] == night.told["rows"]["cancelled"] == 0


def _settle(night: Night) -> dict[str, Any]:
    """Adopt what the ledger knows of, release the rest, as a person does who looks at the provider's page; go on."""
    scene, in_doubt = night.scene, night.told["in_doubt"]
    bodies = scene.bodies()
    paid = {
        bodies[job["body_sha256"]]: job["request_id"] for job in scene.server.charged if job["body_sha256"] in bodies
    }
    adopt = [f"{row_id}={paid[row_id]}" for row_id in in_doubt if row_id in paid]
    release = [row_id for row_id in in_doubt if row_id not in paid]
    flags = ["--adopt", *adopt] * bool(adopt) + ["--release", *release] * bool(release)
    settled = scene.batchgen("reconcile", scene.out, *flags, timeout_s=240.0)
    assert settled.exit == 0, settled.stderr
    return scene.finish(patience_s=240.0)


def _files_are_what_the_server_made(scene: Scene) -> None:
    made = {job["request_id"]: [output["sha256"] for output in job["outputs"]] for job in scene.server.charged}
    for row_id in scene.row_ids:
        place = scene.out / "rows" / row_id
        told = json.loads((place / "row.json").read_text("utf-8"))
        saved = [sha256_of(path) for path in place.iterdir() if path.name != "row.json"]
        assert saved == made[told["request_id"]], row_id
    assert [path for path in scene.out.rglob("*") if path.suffix in (".part", ".etag")] == []
