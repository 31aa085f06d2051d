"""A manifest that is what was taken in last is not read at all, and nothing comes out otherwise for it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import chdir, closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchgen.core.job import Billed, JobFailed, State
from batchgen.runner.load import gather
from batchgen.state import Scope, open_reader
from batchgen.storage.paths import RunFolder
from tests.bill.test_known_rows import Cells, Folder, catalogue, folder, write
from tests.money.here import ran, serving_here
from tests.processes import Batchgen, kill_group, serving, write_csv

ALL = frozenset("0123456789abcdef")
SCOPES = [Scope(), Scope(limit=1), Scope(only=frozenset({"row-1", "row-2"})), Scope(rerun_changed=True)]


def some(rows: int, image: str = "https://e.com/a.png") -> list[Cells]:
    return [(f"row-{n}", f"dune {n}", image, str(n), "", "", "") for n in range(rows)]


async def unread(one: Folder, manifest: Path) -> bool:
    """Whether *manifest* is taken for what it was, without a record of it being read."""
    scratch, problems = await gather(manifest, catalogue("", manifest.parent), one.state.reader)
    scratch.close()
    assert not (scratch.unchanged and problems)
    return scratch.unchanged


async def told(one: Folder, manifest: Path) -> list[Any]:
    """Everything that a bill is made from, in every scope."""
    scratch, problems = await gather(manifest, catalogue("", manifest.parent), one.state.reader)
    try:
        held = [scratch.has(name) or bool(scratch.recalled and scratch.recalled(name)) for name in IDS]
        bills = [
            (compared.diff(), compared.local_files_to_send(), compared.expiring_inputs(1e9, 1.0))
            for compared in (one.state.reader.comparison(scratch, scope) for scope in SCOPES)
        ]
    finally:
        scratch.close()
    return [bills, list(problems), held]


IDS = ["row-0", "row-1", "row-2", "row-3", "nobody", "ROW-1"]


async def forgetting(one: Folder, manifest: Path) -> list[Any]:
    """The same where nothing is remembered, and every row is read."""
    kept = {name: one.state.reader.meta(name) for name in ("schemas", "manifest")}
    await one.state.set_meta(schemas="{}")
    try:
        return await told(one, manifest)
    finally:
        await one.state.set_meta(**{name: value for name, value in kept.items() if value is not None})


@pytest.mark.parametrize("sent", ["", "01234567", "0123456789abcdef"])
async def test_the_bill_is_the_same_as_if_it_were_read(tmp_path: Path, sent: str) -> None:
    Image.new("RGB", (1024, 1024)).save(tmp_path / "one.png")
    signed = "https://e.com/a.png?X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-Signature=1"
    rows = [*some(2), ("row-2", "the sea", "one.png", "", "3", "", ""), ("", "a dune", signed, "7", "", "note", "s")]
    manifest = write(tmp_path / "ads.csv", [*rows, rows[-1], ("gone", *rows[0][1:])])
    with folder(tmp_path / "out") as one:
        await one.take(manifest, catalogue("", tmp_path), frozenset(sent))
        assert await unread(one, manifest)
        assert await told(one, manifest) == await forgetting(one, manifest)
        write(manifest, [*rows, rows[-1]])  # one row leaves, sent or not
        await one.take(manifest, catalogue("", tmp_path), frozenset())
        for job in list(one.state.reader.jobs([State.SUBMITTED])):
            await one.state.record(job, JobFailed(2.0, "refused", Billed.NO))
        assert await unread(one, manifest)
        assert await told(one, manifest) == await forgetting(one, manifest)
        await one.state.start_attempts(list(one.state.reader.jobs([State.FAILED])))
        assert await told(one, manifest) == await forgetting(one, manifest)


async def test_what_left_and_was_to_be_tried_again_is_not_sent_by_a_manifest_that_lacks_it(tmp_path: Path) -> None:
    manifest = write(tmp_path / "ads.csv", some(3))
    with folder(tmp_path / "out") as one:
        await one.take(manifest, catalogue("", tmp_path), ALL)
        write(manifest, some(2))
        await one.take(manifest, catalogue("", tmp_path), frozenset())
        (job,) = [job for job in one.state.reader.jobs([State.SUBMITTED]) if job.row_id == "row-2"]
        await one.state.start_attempts([await one.state.record(job, JobFailed(2.0, "refused", Billed.NO))])
        assert [job.row_id for job in one.state.reader.each_pending()] == ["row-2"]
        assert await unread(one, manifest)
        await one.take(manifest, catalogue("", tmp_path), frozenset())
        assert list(one.state.reader.each_pending()) == []


FORMS: dict[str, str] = {
    "ads.csv": "id,text,images,seed\none,a dune,https://e.com/a.png,7\ntwo,the sea,https://e.com/b.png,8\n",
    "ads.jsonl": '{"id": "one", "text": "a dune", "images": ["https://e.com/a.png"], "seed": 7}\n',
    "ads.yaml": "rows_from: more.csv\ndefaults: {seed: 7}\ntemplate: {text: 'a {{ subject }} dune'}\n",
}


@pytest.mark.parametrize("name", FORMS)
async def test_any_other_byte_in_any_file_is_noticed_whatever_size_and_time_say(tmp_path: Path, name: str) -> None:
    manifest = tmp_path / name
    manifest.write_text(FORMS[name], "utf-8")
    files = [manifest]
    if name.endswith(".yaml"):
        files.append(tmp_path / "more.csv")
        files[1].write_text("id,subject,images\none,red,https://e.com/a.png\n", "utf-8")
    with folder(tmp_path / "out") as one:
        await one.take(manifest, catalogue("", tmp_path), frozenset())
        for file in files:
            written, stat = file.read_bytes(), file.stat()
            for place in range(len(written)):
                file.write_bytes(written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :])
                os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
                assert file.stat().st_mtime_ns == stat.st_mtime_ns
                assert not await unread(one, manifest), f"byte {place} of {file.name}"
            file.write_bytes(written)
            os.utime(file)
            assert await unread(one, manifest), "touched, and as it was"


async def test_a_local_picture_that_changed_has_its_rows_read(tmp_path: Path) -> None:
    picture = tmp_path / "one.png"
    Image.new("RGB", (1024, 1024)).save(picture)
    manifest = write(tmp_path / "ads.csv", some(3, "one.png"))
    with folder(tmp_path / "out") as one:
        await one.take(manifest, catalogue("", tmp_path), ALL)
        assert await unread(one, manifest)
        Image.new("RGB", (1024, 1024), "red").save(picture)
        os.utime(picture, ns=(1, 1))
        assert not await unread(one, manifest)
        assert (await told(one, manifest))[0][0][0].all.changed_paid == 3
        picture.unlink()
        assert not await unread(one, manifest)
        assert len((await told(one, manifest))[1]) == 3


async def test_it_is_read_for_whatever_else_decides_what_its_rows_are(tmp_path: Path) -> None:
    manifest = write(tmp_path / "ads.csv", some(3))
    with folder(tmp_path / "out") as one:
        await one.take(manifest, catalogue("", tmp_path), frozenset())
        assert await unread(one, manifest)
        scratch, _ = await gather(manifest, catalogue("seed as text", tmp_path), one.state.reader)
        scratch.close()
        assert not scratch.unchanged
        scratch, _ = await gather(manifest, catalogue("", tmp_path), one.state.reader, partial=True)
        scratch.close()
        assert not scratch.unchanged
        with chdir(tmp_path):
            assert not await unread(one, Path("ads.csv")), "problems would name it otherwise"
        kept = one.state.reader.meta("manifest")
        assert kept is not None
        await one.state.set_meta(manifest=kept.replace('"basis": ["', '"basis": ["older '))
        assert not await unread(one, manifest), "read by another version"


async def test_a_row_that_would_be_read_again_for_itself_keeps_the_whole_from_being_remembered(tmp_path: Path) -> None:
    manifest = write(tmp_path / "ads.csv", some(3))
    with folder(tmp_path / "out") as one:
        await one.take(manifest, catalogue("", tmp_path), ALL)
        rows = some(3)
        rows[1] = (rows[1][0], "another dune", *rows[1][2:])
        write(manifest, rows)
        scratch, _ = await gather(manifest, catalogue("", tmp_path), one.state.reader)
        await one.state.enrol(scratch, keep_changed=True)
        scratch.close()
        assert one.state.reader.meta("manifest") is None
        assert (await told(one, manifest))[0][0][0].all.changed_paid == 1


async def test_a_table_of_the_folder_itself_has_the_manifest_read_next(tmp_path: Path) -> None:
    async with serving_here("job.fail=100%") as server:
        manifest = write_csv(tmp_path / "dunes.csv", 2)
        await ran(tmp_path, server.url, manifest=manifest)
        with closing(open_reader(RunFolder.at(tmp_path / "out"))) as reader:
            assert reader.meta("manifest") is not None
        await ran(tmp_path, server.url, manifest=tmp_path / "out" / "failed.csv")
        with closing(open_reader(RunFolder.at(tmp_path / "out"))) as reader:
            assert reader.meta("manifest") is None


ROWS = 4_000


def _wal_bytes(out: Path) -> int:
    wal = out / "state.db-wal"
    return wal.stat().st_size if wal.exists() else 0


@pytest.mark.parametrize(
    "reached",
    [
        lambda out, server: (out / "state.db").exists(),
        lambda out, server: _wal_bytes(out) > 100_000,
        lambda out, server: _wal_bytes(out) > 1_000_000,
        lambda out, server: server.ledger(summary=True)["totals"]["posts"] > 0,
    ],
    ids=["state made", "enrolment begun", "enrolment under way", "first request"],
)
def test_whenever_a_run_is_killed_the_next_bill_is_as_if_all_were_read(
    tmp_path: Path, reached: Callable[[Path, Any], bool]
) -> None:
    manifest = write_csv(tmp_path / "ads.csv", ROWS)
    out = tmp_path / "out" / "ads"
    with serving(latency="fixed:600s") as server:
        command = Batchgen(tmp_path, server.url)
        process = command.start("run", manifest, "--yes", "-q", "-j", 5)
        while not reached(out, server):
            assert process.poll() is None, process.communicate()
            time.sleep(0.001)
        kill_group(process)
        process.communicate()
        remembered = command("plan", manifest, "--json").json
        with closing(sqlite3.connect(out / "state.db")) as state:
            taken_in = state.execute("SELECT COUNT(*) FROM rows").fetchone()[0]
            assert state.execute("DELETE FROM meta WHERE name = 'manifest'").rowcount == (taken_in > 0)
            state.execute("UPDATE meta SET value = '{}' WHERE name = 'schemas'")
            state.commit()
        assert taken_in in (0, ROWS)
        read = command("plan", manifest, "--json").json
        assert _bill(remembered) == _bill(read)
        assert read["rows"]["new"] == ROWS - taken_in


def _bill(plan: dict[str, Any]) -> dict[str, Any]:
    """All of a plan that does not move by itself: the schema's age does."""
    models = [{name: value for name, value in model.items() if name != "schema"} for model in plan["models"]]
    return {name: value for name, value in plan.items() if name != "free_bytes"} | {"models": models}
