"""Copies of the package with one rule of the promise taken out: each time, the check of that rule fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import batchgen
from tests.money import checks

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """*old* replaced by *new* in one file of the package, which *check* must notice."""

    name: str
    file: str
    old: str
    new: str
    check: checks.Check


MUTANTS = [
    Mutant(
        "the intent is recorded after the POST",
        "scheduler/submit.py",
        "self._provider.submit(post.job.model, body, write_intent)",
        "self._provider.submit(post.job.model, body, lambda: asyncio.sleep(0))\n            await write_intent()",
        checks.the_intent_is_on_disk_twice_when_the_post_arrives,
    ),
    Mutant(
        "the journal is skipped",
        "state/writer.py",
        "self._journal.append([*self._owed_lines, *lines])",
        "pass",
        checks.the_intent_is_on_disk_twice_when_the_post_arrives,
    ),
    Mutant(
        "the POST is not shielded",
        "scheduler/submit.py",
        "asyncio.shield(post.task)",
        "post.task",
        checks.an_answer_on_its_way_is_waited_for_and_saved_although_the_run_is_cancelled,
    ),
    Mutant(
        "a doubtful row is sent again",
        "scheduler/submit.py",
        "return ContactLost(now, reason)",
        "return Deferred(now, reason, now)",
        checks.a_doubtful_row_is_never_sent_again,
    ),
    Mutant(
        "the id is recorded after the first poll",
        "scheduler/submit.py",
        "recording = self._state.recording(post.job, meaning)",
        "await self._provider.status(answer.request_id)\n"
        "            recording = self._state.recording(post.job, meaning)",
        checks.the_id_is_on_disk_twice_at_its_first_use,
    ),
    Mutant(
        "a failed job is sent again",
        "runner/options.py",
        "Scope(folder.holds(manifest),",
        "Scope(True,",
        checks.a_failed_job_is_never_sent_again,
    ),
]


@pytest.mark.slow
def test_every_mutant_is_noticed_and_the_package_itself_is_not(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        itself = pool.submit(_run, _copy(tmp_path / "itself"), "every")
        noticed = list(pool.map(lambda mutant: _run(_mutated(tmp_path, mutant), mutant.check.__name__), MUTANTS))
    assert itself.result().returncode == 0, itself.result().stderr
    assert itself.result().stdout.startswith(str(tmp_path)), "it was not the copy that was checked"
    for mutant, ended in zip(MUTANTS, noticed, strict=True):
        assert ended.returncode != 0, f"nothing noticed that {mutant.name}"
        assert "AssertionError" in ended.stderr, f"{mutant.name}: {ended.stderr}"


def _copy(folder: Path) -> Path:
    shutil.copytree(Path(batchgen.__file__).parent, folder / "batchgen", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _mutated(folder: Path, mutant: Mutant) -> Path:
    copy = _copy(folder / mutant.name.replace(" ", "-"))
    file = copy / "batchgen" / mutant.file
    source = file.read_text("utf-8")
    assert source.count(mutant.old) == 1, f"{mutant.file} no longer says {mutant.old!r} once"
    file.write_text(source.replace(mutant.old, mutant.new), "utf-8")
    return copy


def _run(copy: Path, check: str) -> subprocess.CompletedProcess[str]:
    runs = copy / "runs"
    runs.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(copy), str(_ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "tests.money.checks", check, str(runs)]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=100)
