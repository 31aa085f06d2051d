"""A browser that lets nothing out, and the run folders that it looks at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batchgen.results.report.write import write_report
from tests.report.folders import large_folder, mixed_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, where it is installed; where it is required, its absence is a failure.

    While it is open the driver's event loop holds this thread, so it ends with the module.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _do_without("the Python package playwright")
    if not CHROMIUM.exists():
        _do_without("the Debian package chromium")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


def _do_without(package: str) -> None:
    if "chromium" in os.environ.get("BATCHGEN_TEST_REQUIRE", ""):
        pytest.fail(f"{package} is required here and is not installed")
    pytest.skip(f"needs {package}")


@dataclass
class Seen:
    """What a page asked for and complained of while it was open."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def external(self) -> list[str]:
        local = ("file:", "data:", "http://127.0.0.1:")
        return [url for url in self.requests if not url.startswith(local)]


OpenPage = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens an address in a window of its own. In the end no page has asked for anything from outside, nor
    complained in its console.
    """
    seen = Seen()
    contexts = []

    def opened(address: str, width: int = 1440, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda said: seen.complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.set_default_timeout(60_000)
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert seen.external == []
    assert seen.complaints == []


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 300 rows."""
    return reported(mixed_folder, tmp_path_factory.mktemp("mixed") / "out", 300)


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 50,000 rows."""
    return reported(large_folder, tmp_path_factory.mktemp("large") / "out", 50_000)


def reported(make: Callable[[Path, int], Path], folder: Path, rows: int, single_file: bool = False) -> Path:
    """The page of a folder that *make* makes; in a thread, since the browser's event loop may hold this one."""

    def work() -> Path:
        return write_report(make(folder, rows), single_file, lambda count, total: None).path

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()
