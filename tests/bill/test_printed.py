"""The bill and the error report in docs/manifests.md are what the command prints."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.bill.conftest import Shell

PROJECT = Path(__file__).parents[2]

BROKEN = """id,text,images,image_sise,sequential_image_generation_options,seed
dune,a dune at dusk,https://example.com/dune.png,,2,12a
sea,the sea at noon,manifests/inputs/harbor.jpg,,2,1
dune,a dune at dawn,https://example.com/dune.png,,40,2
hill,a hill,https://example.com/hill.png,,2,3
tree,a tree, alone,https://example.com/tree.png,,2,4
"""


def printed(command: str) -> str:
    """What the docs show under *command*."""
    page = (PROJECT / "docs/manifests.md").read_text("utf-8")
    found = re.search(rf"```text\n\$ {re.escape(command)}\n(.*?)```", page, re.DOTALL)
    assert found is not None, f"docs/manifests.md shows no `{command}`"
    return found[1]


def test_the_plan_in_the_docs_is_what_is_printed(tmp_path: Path, shell: Shell) -> None:
    shutil.copytree(PROJECT / "manifests", tmp_path / "manifests", ignore=shutil.ignore_patterns("out"))
    ended = shell("plan", "manifests/postcards.csv")
    assert (ended.stdout, ended.stderr, ended.exit) == (printed("batchgen plan manifests/postcards.csv"), "", 0)


def test_the_error_report_in_the_docs_is_what_is_printed(tmp_path: Path, shell: Shell) -> None:
    shutil.copytree(PROJECT / "manifests", tmp_path / "manifests", ignore=shutil.ignore_patterns("out"))
    (tmp_path / "broken.csv").write_text(BROKEN)
    ended = shell("run", "broken.csv", "--yes")
    assert (ended.stderr, ended.stdout, ended.exit) == (printed("batchgen run broken.csv --yes"), "", 2)
