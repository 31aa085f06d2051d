"""A bill needs no more memory for more rows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.bench.plan_size import planned


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is asked of the resource module")
def test_the_memory_of_a_plan_is_flat_for_a_matrix_twenty_times_larger(tmp_path: Path) -> None:
    small, large = planned(tmp_path, 1_000), planned(tmp_path, 20_000)
    assert (small.to_send, large.to_send) == (1_000, 20_000)
    assert large.peak_mb < 250
    assert large.peak_mb < 1.15 * small.peak_mb
