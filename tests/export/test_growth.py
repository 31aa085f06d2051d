"""A data set that is killed, or grows, keeps what it has: byte for byte, split for split."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import batchgen
from batchgen.core.errors import Exit
from batchgen.core.job import State
from batchgen.results.export import Settings, export
from batchgen.state import open_reader
from batchgen.storage.paths import RunFolder
from tests.bench.export import make_run
from tests.export.conftest import Run, edits, made, pictures, written
from tests.export.kills import FORMATS, contents, killed, only_whole_files, whole
from tests.export.readers import read_csv, read_jsonl
from tests.money.strace import traced
from tests.processes import Batchgen, kill_group, serving

SPLIT: dict[str, Any] = {"split": "train=0.7,val=0.3", "group_by": "meta.subject"}


def hashes(dest: Path) -> dict[str, str]:
    """Every file of the data set itself by its path; the card, which has a date, and the ledger left out."""
    return {
        path.relative_to(dest).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(dest.rglob("*"))
        if path.is_file() and path.name not in ("README.md", "samples.jpg") and ".batchgen" not in path.parts
    }


@pytest.mark.parametrize(("to", "pattern"), [("webdataset", "train/*.tar"), ("imagefolder", "train/*/*.png")])
@pytest.mark.parametrize("after_files", [1, 15])
def test_an_export_that_was_killed_goes_on_to_the_very_same_bytes(
    run: Run, tmp_path: Path, to: str, pattern: str, after_files: int
) -> None:
    run.export(tmp_path / "whole", to, shard_size=1)
    for attempt in range(5):
        dest = tmp_path / f"killed-{attempt}"
        process = run.command.start("export", run.out, dest, "--to", to, "--shard-size", "1")
        while process.poll() is None and len(list(dest.glob(pattern))) < after_files:
            time.sleep(0.0005)
        kill_group(process)
        process.communicate()
        left = hashes(dest)
        if process.returncode < 0:
            break
    else:
        pytest.fail("the export was over before it could be killed")
    expected = hashes(tmp_path / "whole")
    assert len(left) < len(expected)
    finished = {name: content for name, content in left.items() if not name.endswith(".part")}
    assert finished.items() <= expected.items()
    run.export(dest, to, shard_size=1)
    assert hashes(dest) == expected


@traced
@pytest.mark.parametrize("to", FORMATS)
def test_killed_again_and_again_an_export_comes_to_the_very_same_files(run: Run, tmp_path: Path, to: str) -> None:
    expected = whole(run, tmp_path / "whole" / "data", to)
    dest = tmp_path / "killed" / "data"
    for call in (6, 9, 13):
        assert killed(run.command, run.out, dest, to, call)
        assert only_whole_files(contents(dest), expected)
    assert whole(run, dest, to) == expected


@pytest.mark.skipif(os.name == "nt", reason="no limit on the size of files")
def test_an_export_whose_disk_takes_no_more_ends_with_9_and_goes_on_later(run: Run, tmp_path: Path) -> None:
    dest = tmp_path / "full" / "data"
    limited = ("bash", "-c", 'ulimit -f 150; exec "$@"', "-")  # KiB: room for the ledger, and not for the shard
    process = run.command.start("export", run.out, dest, "--to", "webdataset", before=limited)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == Exit.STATE, stderr
    assert "run the same command again" in stderr
    assert not list(dest.glob("*/*.tar"))
    run.export(dest, "webdataset")
    run.export(tmp_path / "whole" / "data", "webdataset")
    assert contents(dest) == contents(tmp_path / "whole" / "data")


def test_a_kill_while_the_round_is_planned_leaves_nothing_to_trip_over(run: Run, tmp_path: Path) -> None:
    run.export(tmp_path / "whole", "webdataset")
    torn = tmp_path / "torn/.batchgen/round-0001"
    torn.mkdir(parents=True)
    (torn / "train.jsonl").write_text('{"number": 0, "shard"')
    (torn / "val.jsonl.part").write_text("{")
    run.export(tmp_path / "torn", "webdataset")
    assert hashes(tmp_path / "torn") == hashes(tmp_path / "whole")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, dict[str, dict[str, str]], Path]]:
    """A run of 20 rows that was exported, and got 50 more: the folder, what each format held, and where."""
    folder, dests = tmp_path_factory.mktemp("growing"), tmp_path_factory.mktemp("dests")
    with serving(latency="fixed:20ms") as server:
        run = made(folder, server, edits(folder, 20))
        before = {}
        for to in FORMATS:
            run.export(dests / to, to, shard_size=30_000, **SPLIT)
            before[to] = hashes(dests / to)
        more = [*pictures(15), *edits(folder, 55, 0)]  # some before, some after those that were there
        yield made(folder, server, more), before, dests


@pytest.mark.parametrize("to", FORMATS)
def test_fifty_more_rows_change_no_shard_and_no_split(
    grown: tuple[Run, dict[str, dict[str, str]], Path], to: str
) -> None:
    run, before, dests = grown
    old, old_lines = places(dests / to), tables(dests / to)
    flags = ("--shard-size", 30_000, "--split", SPLIT["split"], "--group-by", SPLIT["group_by"])
    told = run.command("export", run.out, dests / to, "--to", to, "--json", *flags)
    assert told.json["new"] == 15 + 35 * 2, told.stderr
    now = hashes(dests / to)
    kept = {name: content for name, content in before[to].items() if Path(name).suffix not in (".jsonl", ".csv")}
    assert kept.items() <= now.items()
    assert old.items() <= places(dests / to).items()
    for name, lines in tables(dests / to).items():  # columns may come, but none changes, and lines come at the end
        assert all(before.items() <= after.items() for before, after in zip(old_lines[name], lines, strict=False))
    again = run.export(dests / to, to, shard_size=30_000, **SPLIT)
    assert again.new == 0
    assert hashes(dests / to) == now


def test_a_group_lies_in_one_split_whenever_its_rows_came(
    grown: tuple[Run, dict[str, dict[str, str]], Path], tmp_path: Path
) -> None:
    grown[0].export(tmp_path / "data", "jsonl", **SPLIT)
    splits: dict[str, set[str]] = {}
    for path in (tmp_path / "data").glob("*.jsonl"):
        for line in path.read_bytes().split(b"\n"):
            if line and (record := json.loads(line))["meta.subject"]:
                splits.setdefault(record["meta.subject"], set()).add(record["split"])
    assert len(splits) == 19
    assert all(len(names) == 1 for names in splits.values())
    assert {name for names in splits.values() for name in names} == {"train", "val"}


def places(dest: Path) -> dict[str, tuple[int, str, int]]:
    """Number, split and shard of every item, by the hash of its file."""
    found = {}
    for path in sorted(dest.glob(".batchgen/round-*/*.jsonl")):
        for line in path.read_bytes().split(b"\n"):
            if line:
                told = json.loads(line)
                found[told["record"]["sha256"]] = (told["number"], told["record"]["split"], told["shard"])
    return found


def tables(dest: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of every table by its path."""
    found = [*dest.glob("*.csv"), *dest.glob("*.jsonl"), *dest.glob("*/metadata.jsonl")]
    return {
        path.relative_to(dest).as_posix(): read_csv(path) if path.suffix == ".csv" else read_jsonl(path)
        for path in found
    }


def test_originals_are_copied_and_left_as_they_are(run: Run, tmp_path: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_nlink) for path in run.out.rglob("*") if path.is_file()}
    run.export(tmp_path / "data", "imagefolder")
    for path in (tmp_path / "data/train").glob("*/*.png"):
        with path.open("ab") as stream:
            stream.write(os.urandom(4))
    after = {path: (path.stat().st_mtime_ns, path.stat().st_nlink) for path in run.out.rglob("*") if path.is_file()}
    wal = {path for path in after if path.name.startswith("state.db-")}
    assert {path: after[path] for path in before if path not in wal} == {
        path: before[path] for path in before if path not in wal
    }


@pytest.mark.skipif(os.name == "nt", reason="no way to hold a process")
def test_what_is_collected_so_far_is_exported_while_the_run_goes_on(tmp_path: Path) -> None:
    with serving(latency="fixed:400ms", concurrency=2) as server:
        manifest = written(tmp_path, pictures(16))
        command, out, dest = Batchgen(tmp_path, server.url), tmp_path / "out/rows", tmp_path / "data"
        process = command.start("run", manifest, "--yes", "--quiet")
        while collected(out) < 3:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGSTOP)  # in the middle of whatever it does, with the folder's lock in its hands
        early = export(out, dest, Settings("webdataset"))
        assert early.new == len(batchgen.records(out)) == collected(out)
        first = hashes(dest)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
        late = export(out, dest, Settings("webdataset"))
    assert process.returncode == 0
    assert 3 <= early.new < 16
    assert early.new + late.new == 16
    assert first.items() <= hashes(dest).items()


def collected(out: Path) -> int:
    """How many rows of a run have come to their files so far."""
    if not (out / "state.db").exists():
        return 0
    with closing(open_reader(RunFolder.at(out))) as reader:
        return reader.counts()[State.COLLECTED]


@pytest.fixture(scope="module")
def few_and_many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Run folders of 1,000 outputs, a whole row group of Parquet, and of 2,000."""
    few, many = (tmp_path_factory.mktemp(name) / "out" for name in ("few", "many"))
    make_run(few, 1_000, 400)
    make_run(many, 2_000, 400)
    return few, many


@pytest.mark.slow
@pytest.mark.parametrize("to", FORMATS)
def test_memory_does_not_grow_with_the_outputs(few_and_many: tuple[Path, Path], tmp_path: Path, to: str) -> None:
    export(few_and_many[0], tmp_path / "warm", Settings(to))
    few, many = (peak_bytes(out, tmp_path / out.parent.name, to) for out in few_and_many)
    assert (many - few) / 1_000 < 40  # bytes an output: a line alone has a thousand, a number in a dict a hundred


def test_memory_does_not_grow_with_what_a_data_set_holds(few_and_many: tuple[Path, Path], tmp_path: Path) -> None:
    for out in few_and_many:
        export(out, tmp_path / out.parent.name, Settings("jsonl"))
    few, many = (peak_bytes(out, tmp_path / out.parent.name, "jsonl") for out in few_and_many)
    assert (many - few) / 1_000 < 40


def peak_bytes(out: Path, dest: Path, to: str) -> int:
    tracemalloc.start()
    try:
        export(out, dest, Settings(to))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
