"""Reading streams: memory does not grow with the rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_READ = """
import resource, sys
from pathlib import Path
from batchgen.manifest import read
from batchgen.models import shipped
count = sum(1 for row in read(Path(sys.argv[1]), shipped))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(count, peak)
"""
SEED = "bytedance/seedream-4-0/edit-sequential"


def peak_of(path: Path) -> tuple[int, int]:
    """Rows of the manifest at *path*, and the most memory a process of its own took to read them."""
    run = subprocess.run([sys.executable, "-c", _READ, str(path)], capture_output=True, text=True, check=True)
    count, peak = map(int, run.stdout.split())
    return count, peak


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is asked of the resource module")
def test_memory_is_flat_for_a_table_five_times_longer(tmp_path: Path) -> None:
    def table(rows: int) -> Path:
        path = tmp_path / f"{rows}.csv"
        lines = (f'row-{row},"a dune, number {row}",https://e.com/{row}.png,{SEED}\n' for row in range(rows))
        with open(path, "w") as file:
            file.write("id,text,images,model\n")
            file.writelines(lines)
        return path

    # Both fill a block of the reader, some 22,000 of these rows: a table that does not tells how large a block is.
    count, small = peak_of(table(30_000))
    assert count == 30_000
    count, large = peak_of(table(150_000))
    assert count == 150_000
    assert large < 1.15 * small


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is asked of the resource module")
def test_memory_is_flat_for_a_matrix_a_hundred_times_larger(tmp_path: Path) -> None:
    def crossed(rows: int) -> Path:
        path = tmp_path / f"{rows}.yaml"
        words = ", ".join(f"w{number}" for number in range(rows // 100))
        seeds = ", ".join(map(str, range(100)))
        path.write_text(
            f"model: {SEED}\nmatrix: {{word: [{words}], seed: [{seeds}]}}\n"
            "template: {text: '{{ word }}'}\nrows: [{images: ['https://e.com/a.png']}]\n"
        )
        return path

    count, small = peak_of(crossed(200))
    assert count == 200
    count, large = peak_of(crossed(20_000))
    assert count == 20_000
    assert large < 1.15 * small
