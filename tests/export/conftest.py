"""One finished run with pictures, edits of local files, videos and hostile texts, made by the real command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from batchgen.results.export import Settings, Told, export
from tests.export.readers import Truth
from tests.processes import Batchgen, Server, serving

EDIT = "bytedance/seedream-4-0/edit-sequential"
PICTURE = "wan-ai/wan-2.7/text-to-image"
VIDEO = "kling/kling-3.0/pro/image-to-video"

HOSTILE = (
    "quotes \" and ' and, commas",
    "two\nlines\r\nand a tab\t",
    "Ünïcødé 🐪 עברית 漢字 \u2028 separator",
    "<script>alert(1)</script> | pipe ``` ![x](y) {{ 7*7 }}",
    "=1+1",
    "x" * 10_000,
    "NA",
    "null",
    " 007 ",
)


HOSTILE_IDS = (
    "a b", "ünïcode-🐪", "x.png", "..x", "-dash", "a'b", "a,b", "percent%20", "hash#1", "{{x}}", "=1+1", "007", "NA",
    "None", "1e5", "a" * 100, "tar.gz", "[brackets]", "a;b", "a&b", "$(id)", "`id`", "source.png",
)  # fmt: skip


@dataclass
class Run:
    """A run folder, and the command it was made with."""

    out: Path
    command: Batchgen

    def export(self, dest: Path, to: str, **settings: Any) -> Told:
        return export(self.out, dest, Settings(to, **settings))

    @cached_property
    def truth(self) -> Truth:
        return Truth(self.out)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """54 rows: 30 edits with two outputs each, and 24 pictures. Nobody may change it."""
    folder = tmp_path_factory.mktemp("run")
    with serving(latency="fixed:20ms") as server:
        yield made(folder, server, [*edits(folder, 30), *pictures(24)])


@pytest.fixture(scope="session")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A rehearsal of 300 rows: 92 edits with two outputs each, 200 pictures, 8 videos. Nobody may change it."""
    folder = tmp_path_factory.mktemp("rehearsed")
    manifest = written(folder, [*edits(folder, 92, 500), *hostile(), *pictures(177), *videos(folder, 8)])
    command = Batchgen(folder, token=None)
    flags = ("--latency", "fixed:20ms", "--draw", "tiny", "--quiet", "--in-flight", "40")
    ended = command("rehearse", manifest, *flags, timeout_s=300)
    assert ended.exit == 0, ended.stderr
    return Run(folder / "out" / "rows.rehearsal", command)


def made(folder: Path, server: Server, rows: list[dict[str, Any]]) -> Run:
    """The run folder of *rows*, all collected."""
    command = Batchgen(folder, server.url)
    manifest = written(folder, rows)
    ended = command("run", manifest, "--yes", "--quiet", "--in-flight", "40")
    assert ended.exit == 0, ended.stderr
    return Run(folder / "out" / "rows", command)


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """*rows* as a manifest."""
    manifest = folder / "rows.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return manifest


def edits(folder: Path, count: int, first: int = 0) -> list[dict[str, Any]]:
    """Edits of local pictures, three rows to a subject."""
    return [
        {
            "id": f"edit-{number:03d}",
            "model": EDIT,
            "text": f"Generate 2 images of dune {number}",
            "images": [picture(folder, number % 7)],
            "seed": number,
            "sequential_image_generation_options": 2,
            "meta.subject": f"subject {number // 3}",
        }
        for number in range(first, first + count)
    ]


def pictures(count: int) -> list[dict[str, Any]]:
    """Pictures from text alone, the first of them with each hostile text as its prompt and in its `meta.told`."""
    prompts = [*HOSTILE, *(f"a lake, {number}" for number in range(count))][:count]
    return [
        {"id": f"picture-{number:03d}", "model": PICTURE, "prompt": prompt, "image_size": "square", "meta.told": prompt}
        for number, prompt in enumerate(prompts)
    ]


def hostile() -> list[dict[str, Any]]:
    """Pictures whose ids mean something to shells, spreadsheets, templates, tars and readers of tables."""
    return [
        {
            "id": row_id,
            "model": PICTURE,
            "prompt": f"{row_id} as a picture",
            "image_size": "square",
            "meta.told": row_id,
        }
        for row_id in HOSTILE_IDS
    ]


def videos(folder: Path, count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"video-{number:03d}",
            "model": VIDEO,
            "prompt": f"waves, {number}",
            "start_image_url": picture(folder, number),
            "duration": 3,
            "meta.take": f"take {number}",
        }
        for number in range(count)
    ]


def picture(folder: Path, number: int) -> str:
    """A local PNG, named as the manifest names it."""
    from PIL import Image

    path = folder / "inputs" / f"{number}.png"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (640, 640), (number * 30, 90, 120)).save(path)
    return f"inputs/{path.name}"
