"""What going on costs: `python -m tests.bench.resume [ROWS]` times `run` on a folder with 1,000 rows left.

It prints the time from the start of the command to its first POST, once with the manifest as it was and once with a
row added on top of it, another changed and the rest moved down.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from batchgen.models.catalog import Catalogue
from batchgen.providers.runcomfy.model_api import RunComfy, api_base
from batchgen.runner.load import gather
from batchgen.state import open_state
from batchgen.storage.paths import RunFolder
from tests.bench.figures import Figure, once, parsed, show
from tests.processes import TOKEN, Batchgen, Server, kill_group, serving, write_csv

LEFT = 1_000

_COLLECTED = """
UPDATE jobs SET state = 'collected', estimate_micro = 30000, cost_micro = 30000, request_id = printf('id-%012x', key),
  intent_at = 1.7e9, submitted_at = 1.7e9, ended_at = 1.7e9, collected_at = 1.7e9,
  outputs = json_array(json_array('images', 'https://files.example.com/' || fingerprint || '/' || key || '.png')),
  saved = json_array(json_object('name', 'images-00.png', 'bytes', 1234567, 'sha256', fingerprint,
    'media_type', 'image/png', 'width', 2048, 'height', 2048))
WHERE key <= ?
"""


async def nearly_done(folder: Path, server: Server, rows: int) -> Path:
    """A manifest of *rows* rows whose folder has all but the last collected."""
    manifest = write_csv(folder / "dunes.csv", rows)
    base = api_base(server.url)
    provider = RunComfy(base, TOKEN)
    out = RunFolder.beside(manifest)
    state = open_state(out, base, False, lambda reason, jobs: None)
    try:
        scratch, problems = await gather(manifest, Catalogue(base, provider), state.reader)
        assert not problems
        await state.enrol(scratch)
        scratch.close()
    finally:
        state.close()
        await provider.close()
    with closing(sqlite3.connect(out.state)) as connection:
        connection.execute(_COLLECTED, (rows - LEFT,))
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return manifest


def edit(manifest: Path) -> None:
    """A new row on top, and another text for one that was never sent."""
    head, *rest = manifest.read_text("utf-8").splitlines(keepends=True)
    rest[-1] = rest[-1].replace("dune", "edited dune")
    manifest.write_text("".join([head, "new,Generate 1 images of a sea,https://example.com/a.png,1,1\n", *rest]))


def first_post_s(folder: Path, server: Server, manifest: Path) -> tuple[float, float]:
    """Seconds, and seconds of CPU, from the start of the command to its first POST; it is killed then."""
    cpu_before_s = _cpu_s()
    before = _posts(server)
    started = time.monotonic()
    process = Batchgen(folder, server.url).start("run", manifest, "--yes", "-q", "-j", LEFT)
    while _posts(server) == before:
        if process.poll() is not None:
            raise SystemExit(process.communicate()[1])
        time.sleep(0.01)
    took_s = time.monotonic() - started
    kill_group(process)
    process.communicate()
    return took_s, _cpu_s() - cpu_before_s


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _posts(server: Server) -> int:
    return int(server.ledger(summary=True)["totals"]["posts"])


def figures(rows: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder, serving(latency="fixed:600s") as server:
        manifest = asyncio.run(nearly_done(Path(folder), server, rows))
        for which in ("first run of the command", "unchanged", "changed", "unchanged again"):
            if which == "changed":
                edit(manifest)
            took_s, cpu_s = first_post_s(Path(folder), server, manifest)
            name = f"resume of {rows:,} rows, {LEFT:,} left, {which}"
            yield once(f"{name}: to the first POST", took_s, "s", "" if which == "changed" else "< 1")
            yield once(f"{name}: CPU", cpu_s / rows * 1e6, "µs/row", "<= 25" if which == "changed" else "")


def main() -> None:
    arguments, _ = parsed(__doc__, lambda parser: parser.add_argument("rows", nargs="?", type=int, default=1_000_000))
    show(figures(arguments.rows), arguments.json)


if __name__ == "__main__":
    main()
