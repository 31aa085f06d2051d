"""A manifest that another system or program saved again is the same manifest, in new folders and in old ones."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from batchgen.core.job import Accepted, Intent, State
from batchgen.runner.load import gather
from batchgen.state import Scope
from batchgen.state.repair import repair
from tests.bill.test_known_rows import BASE, Folder, catalogue, folder

MATRIX = "matrix: {style: [white marble]}\ntemplate: {text: 'in {{ style }}'}\nrows: [{id: sku_001, images: [IMAGE]}]\n"
IMAGE = "https://e.com/a.png"


async def sent(one: Folder, manifest: Path) -> None:
    """Take in *manifest* and send every row of it."""
    scratch, problems = await gather(manifest, catalogue("", manifest.parent), one.state.reader)
    assert not problems
    await one.state.enrol(scratch)
    scratch.close()
    for job in list(one.state.reader.jobs([State.PENDING])):
        job = await one.state.record(job, Intent(1.0, 1))
        await one.state.record(job, Accepted(1.0, f"id-{job.row_id}"))


async def differs(one: Folder, manifest: Path) -> tuple[int, int, int]:
    """How many rows of *manifest* are new, changed, and gone."""
    scratch, problems = await gather(manifest, catalogue("", manifest.parent), one.state.reader)
    assert not problems
    with closing(scratch):
        rows = one.state.reader.comparison(scratch, Scope()).diff().all
    return rows.new, rows.changed, rows.left


SAVED: dict[str, Callable[[str], str]] = {
    "line ends": lambda text: text.replace("\n", "\r\n"),
    "letters apart": lambda text: unicodedata.normalize("NFD", text),
    "both": lambda text: unicodedata.normalize("NFD", text).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("how", SAVED)
async def test_a_paid_manifest_that_is_saved_otherwise_has_not_changed(tmp_path: Path, how: str) -> None:
    manifest = tmp_path / "ads.csv"
    text = f'id,text,images\nNüsse,"ein Café\nam Meer",{IMAGE}\n,"ohne Namen, ä\nb",{IMAGE}\n'
    manifest.write_bytes(text.encode())
    with folder(tmp_path / "out") as one:
        await sent(one, manifest)
        manifest.write_bytes(SAVED[how](text).encode())
        assert await differs(one, manifest) == (0, 0, 0)


async def test_a_folder_of_the_first_version_is_read_by_the_rules_it_was_made_with(tmp_path: Path) -> None:
    manifest = tmp_path / "ads.yaml"
    manifest.write_text(MATRIX.replace("IMAGE", IMAGE))
    with folder(tmp_path / "out") as one:
        await one.state.set_meta(fingerprint_version="1")
        await sent(one, manifest)
        assert one.state.reader.row_ids() == ["sku_001-5598c7fe"]
        manifest.write_text(MATRIX.replace("IMAGE", IMAGE) + "# saved again\n")
        assert await differs(one, manifest) == (0, 0, 0)


@pytest.mark.parametrize("told", [{"fingerprint_version": "2"}, {"fingerprint_version": "1"}, {}])
async def test_a_rebuilt_state_names_rows_by_the_rules_of_the_folder(tmp_path: Path, told: dict[str, str]) -> None:
    manifest = tmp_path / "ads.yaml"
    manifest.write_text(MATRIX.replace("IMAGE", IMAGE))
    journal = tmp_path / "out" / "journal.jsonl"
    with folder(tmp_path / "out") as one:
        await one.state.set_meta(fingerprint_version=told.get("fingerprint_version", "1"))
        await sent(one, manifest)
        path = one.state.folder
    head, *moves = journal.read_text().splitlines()
    first = {name: value for name, value in json.loads(head).items() if name != "fingerprint_version"}
    journal.write_text("\n".join([json.dumps(first | told), *moves]) + "\n")
    path.state.unlink()
    repair(path, BASE)
    with folder(tmp_path / "out") as one:
        assert await differs(one, manifest) == (0, 0, 0)
