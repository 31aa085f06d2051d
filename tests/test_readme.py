"""The README stays short, and what it tells people to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent


def test_the_readme_stays_short() -> None:
    assert (PROJECT / "README.md").stat().st_size <= 10_000


@pytest.mark.parametrize("page", ["README.md", ".github/CONTRIBUTING.md", "docs/performance.md"])
def test_every_make_target_that_is_named_is_in_the_makefile(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = (PROJECT / page).read_text("utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert named
    assert named <= targets
