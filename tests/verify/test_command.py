"""Files looked at by hand: `python -m batchgen.verify`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image


def test_paths_on_stdin_are_answered_line_by_line(tmp_path: Path) -> None:
    picture, page = tmp_path / "a.png", tmp_path / "b.png"
    Image.new("RGB", (3, 2)).save(picture)
    page.write_text("<!doctype html><title>502 Bad Gateway</title>")
    lines = "".join(f"{json.dumps(str(path))}\n" for path in (picture, page))
    ended = subprocess.run(
        [sys.executable, "-m", "batchgen.verify"], input=lines, capture_output=True, text=True, check=True
    )
    whole, not_whole = map(json.loads, ended.stdout.splitlines())
    assert whole["verified"]["media_type"] == "image/png"
    assert (whole["verified"]["width"], whole["verified"]["height"]) == (3, 2)
    assert "verified" not in not_whole
