"""Generated edits of a manifest between interrupted runs: only changed rows are ever sent again, and only if told."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchgen.core.job import State
from batchgen.runner.bill import Refused
from batchgen.scheduler import Scheduler
from batchgen.state import open_reader
from batchgen.storage.paths import RunFolder
from tests.money.here import ran, serving_here

ROWS = 300
_SIGNED = "https://files.example/in/{}.png?X-Amz-Date={}&X-Amz-Expires=900&X-Amz-Signature={}"


@dataclass
class Manifest:
    """Rows as a person means them, written down in one of many ways. `salt` signs the URLs anew."""

    rows: list[dict[str, Any]]
    form: str = "csv"
    floats: bool = False
    defaults: bool = False
    salt: int = 0
    changed: set[str] = field(default_factory=set)

    def written(self, folder: Path) -> Path:
        """The manifest in its present form; forms that it had before are gone."""
        path = folder / f"dunes.{self.form}"
        for other in folder.glob("dunes.*"):
            other.unlink()
        path.write_text(_FORMS[self.form](self), "utf-8")
        return path

    def cells(self) -> list[dict[str, Any]]:
        return [self._cells(row) for row in self.rows]

    def _cells(self, row: dict[str, Any]) -> dict[str, Any]:
        signature = hashlib.sha256(f"{row['id']} {self.salt}".encode()).hexdigest()
        seed = float(row["seed"]) if self.floats else row["seed"]
        image = _SIGNED.format(row["id"], 20260101 + self.salt, signature)
        return {"id": row["id"], "text": row["text"], "seed": seed, "images": [image]}


def _as_csv(manifest: Manifest) -> str:
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["id", "text", "seed", "images", "sequential_image_generation_options"])
    writer.writeheader()
    for cells in manifest.cells():
        writer.writerow(cells | {"images": cells["images"][0], "sequential_image_generation_options": 1})
    return table.getvalue()


def _as_yaml(manifest: Manifest) -> str:
    count = {"sequential_image_generation_options": 1}
    if manifest.defaults:
        return yaml.safe_dump({"defaults": count, "rows": manifest.cells()})
    return yaml.safe_dump({"rows": [cells | count for cells in manifest.cells()]})


def _as_jsonl(manifest: Manifest) -> str:
    count = {"sequential_image_generation_options": 1}
    return "".join(json.dumps(count | cells) + "\n" for cells in manifest.cells())


_FORMS: dict[str, Callable[[Manifest], str]] = {"csv": _as_csv, "yaml": _as_yaml, "jsonl": _as_jsonl}

# ── edits ───────────────────────────────────────────────────────────────────────────────────────────────


def _reorder(manifest: Manifest, chance: random.Random) -> Manifest:
    return replace(manifest, rows=chance.sample(manifest.rows, len(manifest.rows)))


def _insert(manifest: Manifest, chance: random.Random) -> Manifest:
    name = f"new-{chance.randrange(10**9)}"
    row = {"id": name, "text": f"a dune called {name}", "seed": chance.randrange(1000)}
    at = chance.randrange(len(manifest.rows))
    return replace(manifest, rows=[*manifest.rows[:at], row, *manifest.rows[at:]])


def _delete(manifest: Manifest, chance: random.Random) -> Manifest:
    gone = chance.choice(manifest.rows)
    return replace(manifest, rows=[row for row in manifest.rows if row is not gone])


def _rewrite(manifest: Manifest, chance: random.Random) -> Manifest:
    return replace(manifest, form=chance.choice([*_FORMS]), defaults=chance.random() < 0.5)


def _make_floats(manifest: Manifest, chance: random.Random) -> Manifest:
    return replace(manifest, floats=not manifest.floats)


def _sign_anew(manifest: Manifest, chance: random.Random) -> Manifest:
    return replace(manifest, salt=chance.randrange(1000))


def _change(manifest: Manifest, chance: random.Random) -> Manifest:
    """The one edit that means another request."""
    changed = chance.choice(manifest.rows)
    rows = [row | {"text": f"{row['text']} at dusk"} if row is changed else row for row in manifest.rows]
    return replace(manifest, rows=rows, changed=manifest.changed | {changed["id"]})


_HARMLESS = [_reorder, _insert, _delete, _rewrite, _make_floats, _sign_anew]


@pytest.mark.parametrize("seed", range(2))
async def test_only_changed_rows_are_sent_again_and_only_when_told(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    manifest = Manifest([{"id": f"row-{n:04d}", "text": f"a dune, {n}", "seed": n} for n in range(ROWS)])
    async with serving_here(latency="fixed:100ms", concurrency=200) as server:
        for _ in range(4):
            limit = chance.randint(20, 60)
            await ran(
                tmp_path, server.url, manifest=manifest.written(tmp_path), limit=limit, watch=_leave_soon, **_MANY
            )
            for edit in chance.sample(_HARMLESS, 4):
                manifest = edit(manifest, chance)
        assert server.posts < ROWS, "nothing was left to interrupt"
        report = await ran(tmp_path, server.url, manifest=manifest.written(tmp_path), **_MANY)
        assert report.exit == 0
        assert report.rows[State.COLLECTED] == server.posts
        assert set(_times_sent(tmp_path).values()) == {1}

        paid = server.posts
        for _ in range(3):
            manifest = _change(_sign_anew(_reorder(manifest, chance), chance), chance)
        written = manifest.written(tmp_path)
        with pytest.raises(Refused, match=f"^changed after being paid for: {len(manifest.changed)} rows? "):
            await ran(tmp_path, server.url, manifest=written, **_MANY)
        assert (await ran(tmp_path, server.url, manifest=written, keep_changed=True, **_MANY)).exit == 0
        assert server.posts == paid
        assert (await ran(tmp_path, server.url, manifest=written, rerun_changed=True, **_MANY)).exit == 0
        assert {row_id for row_id, times in _times_sent(tmp_path).items() if times == 2} == manifest.changed
        assert server.posts == paid + len(manifest.changed) == sum(_times_sent(tmp_path).values())


_MANY: dict[str, Any] = {"in_flight": 100, "downloads": 50}


async def _leave_soon(scheduler: Scheduler) -> None:
    """Ends a run in the middle, as Ctrl-C twice does."""
    await asyncio.sleep(0.2)
    scheduler.leave()


def _times_sent(folder: Path) -> Counter[str]:
    """How many attempts at each row were accepted."""
    with closing(open_reader(RunFolder.at(folder / "out"))) as reader:
        found = reader._connection.execute("SELECT row_id FROM jobs JOIN rows USING (key) WHERE request_id NOT NULL")
        return Counter(row_id for (row_id,) in found)
