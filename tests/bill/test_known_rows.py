"""Rows that the folder has as the manifest gives them are not read again, and nothing comes out otherwise for it."""

from __future__ import annotations

import asyncio
import csv
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from batchgen.core.job import Accepted, Intent, State
from batchgen.core.row import Problem
from batchgen.models import SchemaCache, shipped
from batchgen.models.catalog import Catalogue
from batchgen.runner.load import gather
from batchgen.state import ManifestDiff, Scope, StateFile, open_reader, open_state
from batchgen.storage.paths import RunFolder
from tests.processes import MODEL

BASE = "http://127.0.0.1:9/v1"
COLUMNS = ("id", "text", "images", "seed", "priority", "note", "meta.series")
Cells = tuple[str, str, str, str, str, str, str]
Step = tuple[list[Cells], int, str, frozenset[str], Mapping[str, int]]


@dataclass(frozen=True)
class Folder:
    """A run folder that is given manifest after manifest. One that *forgets* reads every row each time."""

    state: StateFile
    forgets: bool

    async def take(self, manifest: Path, catalogue: Catalogue, sent: frozenset[str]) -> tuple[Any, ...]:
        """Read *manifest*, take it in unless something is wrong, send the rows *sent*, and say what it came to."""
        if self.forgets:
            await self.state.set_meta(schemas="{}")
        scratch, problems = await gather(manifest, catalogue, self.state.reader)
        try:
            judged = self.state.reader.comparison(scratch, Scope()).diff()
            if not problems:
                await self.state.enrol(scratch)
        finally:
            scratch.close()
        for job in list(self.state.reader.jobs([State.PENDING])):
            if job.fingerprint[:1] in sent:
                job = await self.state.record(job, Intent(1.0, 1))
                await self.state.record(job, Accepted(1.0, f"id-{job.row_id}"))
        return _in_short(judged), _places(problems), *self.tables()

    def tables(self) -> tuple[Any, ...]:
        """The rows of the manifest in its order, and every row by its id, but for the numbers of true duplicates."""
        place = "rows.position, jobs.position, rows.priority, rows.meta, rows.note, rows.source, rows.line"
        request = "jobs.state, jobs.model, jobs.input, jobs.files, jobs.fingerprint, jobs.outputs_asked, jobs.units"
        kept = "rows.local_files, rows.inputs_expire_at, rows.next_request"
        every = self.state.reader._connection.execute(
            f"SELECT {place}, {request}, {kept} FROM rows JOIN jobs ON jobs.key = rows.key AND jobs.latest "
            "WHERE rows.position IS NOT NULL ORDER BY rows.position"
        ).fetchall()
        by_id = self.state.reader._connection.execute(
            "SELECT row_id, explicit_id, rows.position IS NULL, jobs.fingerprint, jobs.n "
            "FROM rows JOIN jobs USING (key) ORDER BY row_id, jobs.n"
        ).fetchall()
        return every, by_id

    def unread(self) -> int:
        """How many rows would not be read again."""
        sql = "SELECT COUNT(*) FROM rows WHERE digest IS NOT NULL AND position IS NOT NULL"
        return int(self.state.reader._connection.execute(sql).fetchone()[0])


def _in_short(judged: ManifestDiff) -> tuple[Any, ...]:
    return judged.models, judged.changed_paid_ids, judged.left_unnamed_paid, judged.renamed, judged.live


def _places(problems: Iterable[Problem]) -> list[tuple[Any, ...]]:
    return [(problem.line, problem.column, problem.row) for problem in problems]


@contextmanager
def folder(path: Path, forgets: bool = False) -> Iterator[Folder]:
    state = open_state(RunFolder.at(path), BASE, False, lambda reason, jobs: None)
    try:
        yield Folder(state, forgets)
    finally:
        state.close()


def write(path: Path, rows: list[Cells], columns: tuple[str, ...] = COLUMNS, quoting: int = csv.QUOTE_MINIMAL) -> Path:
    text = StringIO(newline="")
    writer = csv.writer(text, quoting=quoting, lineterminator="\n")  # type: ignore[arg-type] # an int by definition
    writer.writerow(columns)
    writer.writerows(rows)
    path.write_text(text.getvalue(), "utf-8")
    return path


ROWS = st.tuples(
    st.sampled_from(["", "", "", "a", "B", "b", "c", "d", "e"]),
    st.sampled_from(["a dune", "a dune at dusk", "the sea"]),
    st.sampled_from(["https://e.com/a.png", "https://e.com/a.png?X-Amz-Signature=1", "one.png", "two.png|one.png"]),
    st.sampled_from(["", "7", "7.0", "8", "08", "x"]),
    st.sampled_from(["", "3"]),
    st.sampled_from(["", "a note"]),
    st.sampled_from(["", "desert"]),
)


@st.composite
def edits(draw: st.DrawFn, rows: list[Cells]) -> list[Cells]:
    """*rows* after a person worked on them."""
    rows = list(rows)
    for kind in draw(st.lists(st.sampled_from(["insert", "delete", "move", "repeat", "cell"]), max_size=3)):
        if kind == "insert" or not rows:
            rows.insert(draw(st.integers(0, len(rows))), draw(ROWS))
            continue
        place = draw(st.integers(0, len(rows) - 1))
        match kind:
            case "delete":
                del rows[place]
            case "move":
                rows.insert(draw(st.integers(0, len(rows) - 1)), rows.pop(place))
            case "repeat":
                rows.insert(draw(st.integers(0, len(rows))), rows[place])
            case "cell":
                column = draw(st.integers(0, len(COLUMNS) - 1))
                rows[place] = (*rows[place][:column], draw(ROWS)[column], *rows[place][column + 1 :])
    return rows


@st.composite
def lives(draw: st.DrawFn) -> list[Step]:
    """Manifests one after the other: rows, quoting, the schema they meet, rows sent then, sizes of the local files."""
    rows = draw(st.lists(ROWS, min_size=1, max_size=6))
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, 4))):
        quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        schema = draw(st.sampled_from(["", "", "", "seed as text", "no seed 8"]))
        sent = draw(st.frozensets(st.sampled_from("0123456789abcdef"), max_size=8))
        files = {name: draw(st.sampled_from([1, 1, 1, 2])) for name in ("one.png", "two.png")}
        steps.append((rows, quoting, schema, sent, files))
        rows = draw(edits(rows)) or rows
    return steps


def catalogue(kind: str, path: Path) -> Catalogue:
    """A catalogue whose schema of the model is as shipped, or changed."""
    schema = shipped(MODEL)
    assert schema is not None
    properties = dict(schema.input_schema["properties"])
    if kind == "seed as text":
        properties["seed"] = {"type": "string"}
    if kind == "no seed 8":
        properties["seed"] = {"type": "integer", "maximum": 7}
    made = Catalogue(BASE, None, None, SchemaCache(path))
    made._known[MODEL] = replace(schema, input_schema={**schema.input_schema, "properties": properties})
    return made


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(life=lives())
def test_a_folder_that_remembers_its_rows_comes_to_the_same_as_one_that_reads_all_of_them(
    life: list[Step],
) -> None:
    async def live() -> None:
        with tempfile.TemporaryDirectory() as home:
            path = Path(home)
            with folder(path / "remembers") as one, folder(path / "forgets", forgets=True) as other:
                for rows, quoting, kind, sent, files in life:
                    for name, size in files.items():
                        (path / name).write_bytes(b"\x89PNG" * size)
                        os.utime(path / name, ns=(size, size))
                    manifest = write(path / "ads.csv", rows, quoting=quoting)
                    told = [await each.take(manifest, catalogue(kind, path), sent) for each in (one, other)]
                    assert told[0] == told[1]

    asyncio.run(live())


async def test_what_is_known_is_not_parsed_again_wherever_it_stands(tmp_path: Path) -> None:
    rows: list[Cells] = [(f"row-{n}", f"dune {n}", "https://e.com/a.png", str(n), "", "", "") for n in range(50)]
    manifest = write(tmp_path / "ads.csv", rows)
    with folder(tmp_path / "out") as one:
        await one.take(manifest, catalogue("", tmp_path), frozenset())
        assert one.unread() == 50
        rows = [("new", "a sea", "https://e.com/a.png", "1", "", "", ""), *reversed(rows)]
        rows[7] = (rows[7][0], "another dune", *rows[7][2:])
        write(manifest, rows)
        scratch, problems = await gather(manifest, catalogue("", tmp_path), one.state.reader)
        assert not problems
        assert scratch.row_ids() == ["new", rows[7][0]]
        scratch.close()
        scratch, _ = await gather(manifest, catalogue("no seed 8", tmp_path), one.state.reader)
        assert len(scratch.row_ids()) < 50  # a fault ends no reading: every row met the new schema
        assert not scratch.recalled
        scratch.close()


@pytest.mark.parametrize("text", ["a dune", "a dünë, at dusk"])
async def test_every_kind_of_manifest_is_remembered(tmp_path: Path, text: str) -> None:
    manifests = {
        "a.csv": f'id,text,images\none,"{text}",https://e.com/a.png\n',
        "a.tsv": f"id\ttext\timages\none\t{text}\thttps://e.com/a.png\n",
        "a.jsonl": f'{{"id": "one", "text": "{text}", "images": ["https://e.com/a.png"], "seed": 7}}\n',
        "a.yaml": f"rows:\n  - {{id: one, text: '{text}', images: [https://e.com/a.png], seed: 7}}\n",
        "b.yaml": f"matrix: {{seed: [1, 2]}}\nrows:\n  - {{text: '{text}', images: [https://e.com/a.png]}}\n",
        "c.yaml": "rows_from: a.jsonl\nmatrix: {image_size: ['2048:2048 (1:1)']}\ntemplate: {note: '{{ seed }}'}\n",
    }
    for name, written in manifests.items():
        (tmp_path / name).write_text(written, "utf-8")
    for name in manifests:
        with folder(tmp_path / f"out-{name}") as one:
            for _ in range(2):
                await one.take(tmp_path / name, catalogue("", tmp_path), frozenset())
            scratch, problems = await gather(tmp_path / name, catalogue("", tmp_path), one.state.reader)
            assert (scratch.row_ids(), list(problems)) == ([], []), name
            assert one.state.reader.comparison(scratch, Scope()).diff().all.waiting == 1 + (name == "b.yaml")
            scratch.close()
            if "matrix" not in manifests[name] and name.endswith(".yaml"):
                (tmp_path / name).write_text(manifests[name].replace("seed: 7", "seed: '7'"), "utf-8")
                scratch, _ = await gather(tmp_path / name, catalogue("", tmp_path), one.state.reader)
                assert scratch.row_ids() == ["one"]  # quotes may mean another thing
                scratch.close()


_TAKE_BACK = {
    4: "DROP INDEX jobs_incomplete; DROP INDEX jobs_blank;",
    3: "DROP TRIGGER jobs_tallied; DROP TRIGGER jobs_tallied_first; "
    "DROP TRIGGER jobs_saved; DROP TRIGGER jobs_saved_first; DROP TRIGGER jobs_unit_price; "
    "DROP TRIGGER jobs_unit_price_first; DROP TABLE tally; DROP TABLE saved_files; DROP TABLE unit_prices; "
    "DROP INDEX rows_left;",
    2: "DROP INDEX rows_digest; DROP INDEX rows_next_request; ALTER TABLE rows DROP COLUMN digest; "
    "ALTER TABLE rows DROP COLUMN local_files; ALTER TABLE rows DROP COLUMN inputs_expire_at; "
    "DELETE FROM meta WHERE name IN ('schemas', 'enrolment', 'manifest');",
}
"""SQL that takes back what each version of the state file brought."""


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_a_folder_of_an_older_version_is_judged_as_it_is_and_brought_forward_when_it_is_opened(
    tmp_path: Path, version: int
) -> None:
    rows: list[Cells] = [(f"row-{n}", f"dune {n}", "https://e.com/a.png", "", "", "", "") for n in range(3)]
    manifest = write(tmp_path / "ads.csv", rows)
    with folder(tmp_path / "out") as one:
        await one.take(manifest, catalogue("", tmp_path), frozenset())
    path = tmp_path / "out" / "state.db"
    with closing(sqlite3.connect(path)) as connection:
        newer = [sql for brought_by, sql in _TAKE_BACK.items() if brought_by > version]
        connection.executescript(f"{' '.join(newer)} PRAGMA user_version = {version}")
    with closing(open_reader(RunFolder.at(tmp_path / "out"))) as reader:
        scratch, _ = await gather(manifest, catalogue("", tmp_path), reader)
        assert reader.comparison(scratch, Scope()).diff().all.waiting == 3
        assert reader.comparison(scratch, Scope()).local_files_to_send() == 0
        scratch.close()
    with folder(tmp_path / "out") as one:
        assert (path.parent / f"state.v{version}.backup.db").exists()
        await one.take(manifest, catalogue("", tmp_path), frozenset())
        assert one.unread() == 3


async def test_a_record_that_was_sent_and_then_changed_is_read_until_it_is_what_was_sent(tmp_path: Path) -> None:
    before: Cells = ("row", "a dune", "https://e.com/a.png", "", "", "", "")
    manifest = write(tmp_path / "ads.csv", [before])
    with folder(tmp_path / "out") as one:
        await one.take(manifest, catalogue("", tmp_path), frozenset("0123456789abcdef"))
        write(manifest, [("row", "a sea", *before[2:])])
        for _ in range(2):
            scratch, _ = await gather(manifest, catalogue("", tmp_path), one.state.reader)
            assert one.state.reader.comparison(scratch, Scope()).diff().all.changed_paid == 1
            await one.state.enrol(scratch, keep_changed=True)
            scratch.close()
            assert one.unread() == 0
        write(manifest, [before])
        await one.take(manifest, catalogue("", tmp_path), frozenset())
        assert one.unread() == 1
