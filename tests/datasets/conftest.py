"""One finished run with pictures, edits of local files, videos and hostile texts, made by the real command."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from batchgen.datasets import Settings, Told, export
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
)


@dataclass
class Run:
    """A run folder, the command and the server it was made with."""

    out: Path
    command: Batchgen
    server: Server

    def export(self, dest: Path, to: str, **settings: Any) -> Told:
        return export(self.out, dest, Settings(to, **settings))

    def sidecars(self) -> dict[str, dict[str, Any]]:
        """Every row.json, by row id."""
        found = (json.loads(path.read_text("utf-8")) for path in sorted(self.out.glob("rows/*/row.json")))
        return {told["row_id"]: told for told in found}

    @cached_property
    def outputs(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """Every output by its hash: its row.json, and its entry there."""
        return {file["sha256"]: (told, file) for told in self.sidecars().values() for file in told["files"]}

    def bytes_of(self, sha256: str) -> bytes:
        told, file = self.outputs[sha256]
        return Path(self.out, "rows", told["row_id"], file["name"]).read_bytes()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """54 rows: 30 edits with two outputs each, and 24 pictures. Nobody may change it."""
    folder = tmp_path_factory.mktemp("run")
    with serving(latency="fixed:20ms") as server:
        yield made(folder, server, [*edits(folder, 30), *pictures(24)])


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Real videos among pictures: the small drawings of load tests are all pictures. Nobody may change it."""
    folder = tmp_path_factory.mktemp("mixed")
    with serving(latency="fixed:20ms", draw="full") as server:
        yield made(folder, server, [*pictures(3), *videos(folder, 2)])


@pytest.fixture(scope="session")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The `datasets` package, with a cache of its own, told to ask nobody; if it did ask, nobody would answer."""
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HOME": str(tmp_path_factory.mktemp("hf")),
    }
    import datasets

    datasets.disable_progress_bars()
    return datasets


def made(folder: Path, server: Server, rows: list[dict[str, Any]]) -> Run:
    """The run folder of *rows*, all collected."""
    command = Batchgen(folder, server.url)
    manifest = folder / "rows.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    ended = command("run", manifest, "--yes", "--quiet", "--in-flight", "40")
    assert ended.exit == 0, ended.stderr
    return Run(folder / "out" / "rows", command, server)


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
