"""The commands that show pictures: report and watch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from batchgen.cli import flags
from batchgen.cli.output import carried, emit, listening, refusals, say, tell
from batchgen.core.children import environ_of_our_own

open_page = flags.switch("--open", "open_page", envvar="BATCHGEN_OPEN", help="Open the page in the browser.")


@click.command(cls=flags.Command)
@flags.out_folder
@flags.switch("--single-file", envvar="BATCHGEN_SINGLE_FILE", help="One file to send on, its small pictures inside.")
@flags.option(
    *("--out", "-o", "destination"),
    metavar="PLACE",
    type=flags.PATH,
    envvar="BATCHGEN_REPORT_OUT",
    show_default="OUT/report.html",
    help="Write the page to another folder, or to a file.html.",
)
@open_page
@flags.as_json
def report(out: Path, single_file: bool, destination: Path | None, open_page: bool, as_json: bool) -> None:
    """Write OUT/report.html: what a run did, what it cost, what failed and why, and its pictures. Needs no network."""
    with refusals():
        from batchgen.results.report.write import write_report

        written = write_report(out, single_file, _patience(), destination)
    if as_json:
        emit({"path": str(written.path), "rows": written.rows, "pictures": written.pictures, "thumbs": written.thumbs})
    else:
        tell(str(written.path))
    if written.thumbs < written.pictures:
        say(f"note: {written.pictures - written.thumbs:,} of {written.pictures:,} files gave no small picture")
    if open_page:
        _open(written.path.as_uri())


@click.command(cls=flags.Command)
@flags.out_folder
@flags.option(
    "--port",
    type=flags.whole_number,
    metavar="INTEGER",
    envvar="BATCHGEN_PORT",
    default=0,
    help="Port on 127.0.0.1; 0 takes a free one.",
)
@open_page
@flags.as_json
def watch(out: Path, port: int, open_page: bool, as_json: bool) -> None:
    """The page while a run is on: pictures as they land, and marks for those you accept or reject. Ctrl-C ends it."""

    def ready(url: str) -> None:
        if as_json:
            emit({"url": url})
        else:
            tell(url)
        say("only this machine can open it; Ctrl-C ends it, the run goes on")
        if open_page:
            _open(url)

    with refusals():
        from batchgen.results.report.live import serve

        try:
            with listening(port):
                carried(lambda: serve(out, port, ready))
        except KeyboardInterrupt:
            return


def _patience() -> Callable[[int, int], None]:
    """A line every ten seconds, so that thousands of pictures can be waited for."""
    due = time.monotonic() + 10

    def told(count: int, total: int) -> None:
        nonlocal due
        if time.monotonic() > due:
            due = time.monotonic() + 10
            say(f"{count:,} of {total:,} small pictures")

    return told


_OPENING = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"


def _open(address: str) -> None:
    import subprocess

    # A process of its own: a browser gets the environment of whoever starts it, and ours may hold keys.
    opening = (sys.executable, "-P", "-c", _OPENING, address)
    if subprocess.run(opening, env=environ_of_our_own(), stdout=sys.stderr, check=False).returncode:  # noqa: S603
        say("no browser could be opened; open the address above yourself")
