"""How soon the page is there: `python -m tests.bench.page [ROWS]`, 50,000 rows unless told otherwise.

Prints the CPU time of writing the report and of what the live page sends, and when a browser first paints each of
them. Needs Debian's chromium. Not a test: figures depend on the machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from batchgen.results.report.changes import Look
from batchgen.results.report.write import write_report
from batchgen.storage.paths import RunFolder
from tests.bench.figures import Figure, once, parsed, show
from tests.processes import Batchgen, kill_group
from tests.report.conftest import CHROMIUM, FLAGS
from tests.report.folders import large_folder, mixed_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_PAINTED = "() => performance.getEntriesByName('first-contentful-paint').length"
_PAINT_MS = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_OPENED = 5
_AT_ONCE = 500


def figures(rows: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as place:
        few, many = mixed_folder(Path(place) / "few", 300), large_folder(Path(place) / "many", rows)
        yield once("report of 300 rows, written", _cpu_s(lambda: _report(few)), "CPU s")
        yield once(f"report of {rows:,} rows, written", _cpu_s(lambda: _report(many)), "CPU s")
        with closing(Look(RunFolder.at(many), str(many), {})) as look:
            yield once(f"live page of {rows:,} rows: the page", _cpu_s(look.page), "CPU s")
            yield once("  what failed, and the figures", _cpu_s(look.findings), "CPU s")
            keys = look.news()
            starts = range(0, len(keys), _AT_ONCE)
            sent_s = _cpu_s(lambda: [look.rows(keys[start : start + _AT_ONCE]) for start in starts])
            yield once("  all of its rows", sent_s, "CPU s")
            yield once("  the account", _cpu_s(look.books), "CPU s")
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            for name, folder in (("300", few), (f"{rows:,}", many)):
                page = (folder / "report.html").as_uri()
                yield Figure(f"report of {name} rows, first paint", _paints_s(browser, page), "s", "1 s")
            watch = Batchgen(many.parent).start("watch", many)
            try:
                assert watch.stdout is not None
                url = watch.stdout.readline().strip()
                yield Figure(f"live page of {rows:,} rows, first paint", _paints_s(browser, url), "s", "1 s")
            finally:
                kill_group(watch)
            browser.close()


def _report(folder: Path) -> None:
    write_report(folder, False, lambda count, total: None)


def _cpu_s(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def _paints_s(browser: Browser, address: str) -> tuple[float, ...]:
    """When each of several windows showed something for the first time."""
    found = []
    for _ in range(_OPENED):
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(address, wait_until="commit")
            page.wait_for_function(_PAINTED)
            found.append(page.evaluate(_PAINT_MS) / 1000)
    return tuple(found)


if __name__ == "__main__":
    told, _ = parsed(__doc__, lambda parser: parser.add_argument("rows", nargs="?", type=int, default=50_000))
    show(figures(told.rows), told.json)
