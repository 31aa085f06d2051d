"""A malformed value of every kind in a share of a provider's answers costs the rows that got one, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.job import Billed, Job, State
from batchgen.simulator.malformed import KINDS
from batchgen.state import open_reader
from batchgen.storage.paths import RunFolder
from tests.money.harness import body_sha256
from tests.processes import Batchgen, serving, write_csv


def faults(answers: str, posts: str, files: str) -> str:
    """What share of the answers about jobs, of those to POSTs and of the downloads holds a malformed value.

    A dead link is asked for again after half a minute, and many POSTs in a row whose answer is lost stop a run.
    """
    names = [f"{name}.malformed={answers}" for name in ("status", "result", "job")]
    return ",".join([*names, f"submit.malformed={posts}", f"download.malformed={files}"])


def test_exactly_the_rows_whose_answers_were_malformed_for_good_fail_each_with_a_reason(tmp_path: Path) -> None:
    _ends_as_it_must(tmp_path, 300, faults("20%", "3%", "0%"), seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_of_twenty_thousand_rows_with_every_kind_in_one_percent_of_all_answers_just_those_fail(tmp_path: Path) -> None:
    charged = _ends_as_it_must(tmp_path, 20_000, faults("1%", "1%", "0.1%"), seed=2)
    assert _kinds_met(charged) == {f"{of}.{kind}" for of in ("submit", "job") for kind in KINDS[of]}


def _ends_as_it_must(folder: Path, rows: int, plan: str, seed: int) -> Mapping[str, Mapping[str, Any]]:
    """Run *rows* rows and hold each against the ledger, whose jobs are given back by the bodies they were made of."""
    manifest, out = write_csv(folder / "dunes.csv", rows), folder / "out"
    with serving(faults=plan, latency="lognormal:200ms", seed=seed, concurrency=500) as server:
        flags = ("--yes", "--json", "-o", out, "-j", 500, "--min-free", 0)
        ended = Batchgen(folder, server.url)("run", manifest, *flags, timeout_s=2800)
        assert ended.exit == 7, ended.stderr[-2000:]
        charged = {job["body_sha256"]: job for job in server.charged}
    jobs = _latest_jobs(out)
    assert len(charged) == len(jobs) == rows
    for row_id, job in jobs.items():
        _ended_as_it_must(job, charged[_body_of(int(row_id.removeprefix("row-")))])
    assert set(ended.json["in_doubt"]) == {row_id for row_id, job in jobs.items() if job.state is State.IN_DOUBT}
    return charged


def _ended_as_it_must(job: Job, charged: Mapping[str, Any]) -> None:
    told = f"{job.row_id} ({', '.join(charged['malformed'])}): {job.state}, {job.reason}"
    if not charged["answered"]:
        assert job.state is State.IN_DOUBT, told
    elif charged["must_fail"]:
        assert (job.state, job.billed) == (State.FAILED, Billed.YES), told
        assert job.reason, told
    else:
        assert job.state is State.COLLECTED, told


def _kinds_met(charged: Mapping[str, Mapping[str, Any]]) -> set[str]:
    met = {name for job in charged.values() for name in job["malformed"]}
    return {name for name in met if name.partition(".")[0] in ("submit", "job")}


def _latest_jobs(out: Path) -> dict[str, Job]:
    with closing(open_reader(RunFolder.at(out))) as reader:
        return {job.row_id: job for job in reader.jobs(list(State))}


def _body_of(number: int) -> str:
    return body_sha256(f"Generate 1 images of dune {number}", "https://example.com/a.png", number, 1)
