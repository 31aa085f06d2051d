"""What the terminal and the page both say, they say alike."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import batchgen
from batchgen.core.job import Job, State
from batchgen.core.text import STATE_WORDS
from batchgen.results.report.rows import shown
from batchgen.results.report.summary import summarise
from batchgen.results.status import FinishedRow, status
from batchgen.state import open_reader
from batchgen.storage.paths import RunFolder
from tests.report.folders import opened


def test_a_state_has_one_name_on_the_terminal_and_on_the_page() -> None:
    assert set(STATE_WORDS) == set(State)
    script = (Path(batchgen.__file__).parent / "results/report/page/rows.js").read_text("utf-8")
    for state, words in STATE_WORDS.items():
        assert f'{state.value}: "{words}"' in script


@pytest.mark.parametrize("field", ["prompt", "text", "tags", "lyrics"])
def test_a_prompt_is_found_in_the_same_fields(field: str) -> None:
    job = Job(1, "a", 1, State.COLLECTED, "maker/model", {field: "lofi, piano", "seed": 7}, (), "f")
    row = shown(Path("rows"), job, 1, lambda source: False)
    assert row.prompt == FinishedRow.of(job).prompt == "lofi, piano"
    assert row.options == {"seed": "7"}


def test_reasons_that_differ_by_an_id_alone_are_one_cause_on_the_page() -> None:
    reasons = ("worker deadbeefca ran out of memory", "Worker 0123456789 ran out of memory")
    jobs = [Job(1, "a", 1, State.FAILED, "maker/model", {}, (), "f", reason=reason) for reason in reasons]
    one, other = (shown(Path("rows"), job, 1, lambda source: False).cause for job in jobs)
    assert one == other


@pytest.mark.parametrize("silent_s", [0, 50, 70])
def test_status_and_the_page_agree_on_whether_a_run_is_on(tmp_path: Path, silent_s: int) -> None:
    with opened(tmp_path / "run"):
        folder = RunFolder.at(tmp_path / "run")
        os.utime(folder.holder, times=(time.time() - silent_s,) * 2)
        reader = open_reader(folder)
        is_running = summarise(folder, reader, "run").running
        reader.close()
        assert is_running == (status(folder.path).holder is not None) == (silent_s < 60)
