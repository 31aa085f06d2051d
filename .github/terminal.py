"""Draws terminal.svg, the README's picture of a run, from a rehearsal that is on: `make picture`."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from batchgen.cli.live.view import view
from batchgen.core.job import State
from batchgen.results.status import RunStatus, status
from batchgen.state import StateUnusable

PICTURE = Path(__file__).with_suffix(".svg")
ROWS, COLUMNS, LINES = 240, 88, 22
SCENES = ["dunes", "harbour", "glacier", "orchard", "lighthouse", "canyon", "lagoon", "terraces"]
STYLES = "a 1930s travel poster", "a watercolour", "a woodcut in two colours"

# No fonts from elsewhere, which `export_svg` would name by itself: the picture asks nobody for anything.
FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace }}
.{unique_id}-title {{ font: 18px system-ui, sans-serif }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""
INK, PAPER = (222, 224, 228), (24, 26, 31)
RED, GREEN, YELLOW, BLUE = (240, 96, 96), (110, 200, 120), (235, 190, 80), (110, 160, 240)
DARK = TerminalTheme(PAPER, INK, [PAPER, RED, GREEN, YELLOW, BLUE, (200, 130, 220), (90, 200, 210), INK])


def write_manifest(folder: Path) -> Path:
    lines = ["id,text,images,seed,sequential_image_generation_options"]
    for number in range(ROWS):
        scene, style = SCENES[number % len(SCENES)], STYLES[number % len(STYLES)]
        text = f"Generate 2 images: {style} of these {scene}"
        lines.append(f"{scene}-{number:03d},{text},https://example.com/{scene}.jpg,{number},2")
    manifest = folder / "ads.csv"
    manifest.write_text("\n".join(lines) + "\n", "utf-8")
    return manifest


def half_way(manifest: Path) -> RunStatus:
    """How a rehearsal of *manifest* stands when more than half of it is done."""
    command = [sys.executable, "-m", "batchgen", "rehearse", str(manifest), "-q"]
    command += ["--latency", "lognormal:8s", "--faults", "job.fail=x2", "--draw", "bytes:1MB"]
    run = subprocess.Popen(command)  # noqa: S603 - our own command
    try:
        while run.poll() is None:
            time.sleep(0.5)
            try:
                standing = status(manifest.parent / "out" / "ads.rehearsal", last=9)
            except StateUnusable:  # not there yet
                continue
            if standing.rows[State.COLLECTED] > 0.55 * ROWS and standing.activity is not None:
                return standing
    finally:
        run.terminate()
        run.wait()
    raise SystemExit("the rehearsal ended before its picture was taken")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        standing = half_way(write_manifest(Path(folder)))
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="standard",
        legacy_windows=False,
    )
    for line in view(replace(standing, out=Path("out/ads.rehearsal")), COLUMNS, LINES):
        console.print(line)
    svg = console.export_svg(title="batchgen rehearse ads.csv", theme=DARK, code_format=FORMAT, unique_id="terminal")
    PICTURE.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", "utf-8")
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
