"""Exports that are killed -9 at a system call of our choosing, and what they leave.

    python -m tests.export.kills

kills an export to every format at each call in turn that makes something durable, starts it again, and compares.
"""

from __future__ import annotations

import hashlib
import re
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from batchgen.results.export import Settings, export
from tests.export.conftest import Run, edits, made, pictures
from tests.processes import Batchgen, kill_group, serving

CHOSEN: dict[str, Any] = {
    "where": "row_id < 'edit-004' or row_id < 'picture-003' and row_id > 'picture'",
    "split": "train=0.6,val=0.4",
    "shard_size": 9_000,
}
"""Eleven outputs, eight of them edits with their sources, in several shards of two splits."""

FORMATS = ("webdataset", "imagefolder", "parquet", "jsonl", "csv")
_CALLS = "mkdir,fsync,rename,?renameat,?renameat2,unlink,?unlinkat,?mkdirat"


def whole(run: Run, dest: Path, to: str) -> dict[str, str]:
    """What is at *dest* after an export that nobody kills."""
    export(run.out, dest, Settings(to, **CHOSEN))
    return contents(dest)


def killed(command: Batchgen, out: Path, dest: Path, to: str, call: int) -> bool:
    """Run the command, killed as its thread enters its durable call number *call*; False if it made fewer."""
    flags = [text for name, value in CHOSEN.items() for text in (f"--{name.replace('_', '-')}", value)]
    trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={_CALLS}"]
    kill = ["-e", f"inject={_CALLS}:signal=KILL:when={call}"]
    process = command.start("export", out, dest, "--to", to, *flags, before=[*trace, *kill])
    try:
        _, stderr = process.communicate(timeout=300)
    finally:
        kill_group(process)
    assert process.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL), stderr
    return process.returncode != 0


def contents(dest: Path) -> dict[str, str]:
    """Every file below *dest* by its path, as a hash; the lock left out, and the date taken off the card."""
    return {
        path.relative_to(dest).as_posix(): hashlib.sha256(_DATE.sub(b"", path.read_bytes())).hexdigest()
        for path in sorted(dest.rglob("*"))
        if path.is_file() and not path.name.startswith("state.")
    }


_DATE = re.compile(rb"(?<=Written by batchgen ).* on \d{4}-\d\d-\d\d")


def only_whole_files(left: dict[str, str], expected: dict[str, str]) -> bool:
    """Whether every data file that has its final name is the one of an export that nobody killed."""
    data = {name: content for name, content in left.items() if not name.startswith(".batchgen/")}
    return {name: content for name, content in data.items() if not name.endswith(".part")}.items() <= expected.items()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="kills-") as name, serving(latency="fixed:20ms") as server:
        folder = Path(name)
        (folder / "run").mkdir()
        run = made(folder / "run", server, [*edits(folder / "run", 6), *pictures(6)])
        for to in FORMATS:
            expected = whole(run, folder / f"{to}-whole" / "data", to)
            call = 1
            while killed(run.command, run.out, dest := folder / f"{to}-{call}" / "data", to, call):
                if not only_whole_files(contents(dest), expected):
                    sys.exit(f"{to}: the kill at call {call} left half a file")
                if whole(run, dest, to) != expected:
                    sys.exit(f"{to}: the kill at call {call} left another data set")
                call += 1
            print(f"{to}: killed at each of {call - 1} calls, and finished to the very same {len(expected)} files")


if __name__ == "__main__":
    main()
