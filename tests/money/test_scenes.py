"""What people do to run folders, with the real command: see `scenes`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.money.scenes import SCENES, play
from tests.processes import serving


@pytest.mark.parametrize("name", SCENES)
def test_nothing_is_paid_twice_or_lost_whatever_people_do_to_a_run_folder(tmp_path: Path, name: str) -> None:
    with serving(latency="fixed:400ms") as server:
        play(name, tmp_path, server)
