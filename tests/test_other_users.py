"""A run folder of another user, or on a disk that cannot be written: whoever may read it can look at all of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchgen.core.errors import Exit
from batchgen.storage.paths import RunFolder
from tests.money.here import opened, ran, serving_here
from tests.processes import Ended

SOMEBODY = 54321
"""A uid without an entry in passwd, to whom the run folder belongs where root runs the tests."""

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
PLAIN = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] if IS_ROOT else []
"""Root without the right to read and write what is others': a user like any other."""

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or (IS_ROOT and not shutil.which("setpriv")),
    reason="permissions are those of POSIX, and root needs setpriv to do without its own",
)

READING = [
    ("status", "{out}", "--json"),
    ("show", "{out}", "row-0000"),
    ("audit", "{out}"),
    ("plan", "{manifest}", "--out", "{out}", "--offline"),
    ("export", "{out}", "{mine}/data", "--to", "jsonl"),
    ("report", "{out}", "--out", "{mine}/page"),
    ("report", "{out}", "--out", "{mine}/one.html", "--single-file"),
]
WRITING = [
    ("run", "{manifest}", "--out", "{out}", "--yes"),
    ("collect", "{out}"),
    ("retry", "{out}", "--yes"),
    ("repair", "{out}"),
    ("report", "{out}"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    async def whole_run(place: Path) -> None:
        async with serving_here() as server:
            assert (await ran(place, server.url, rows=2)).exit is Exit.DONE

    place = tmp_path_factory.mktemp("finished")
    asyncio.run(whole_run(place))
    return place


@pytest.fixture
def shared(finished: Path) -> Iterator[Path]:
    """A copy of it that everybody may read, beside a folder that everybody may write."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        shared = Path(place)
        shutil.copytree(finished, shared, dirs_exist_ok=True)
        (shared / "mine").mkdir()
        yield shared
        _for_all(shared, write=True)


def _for_all(place: Path, write: bool = False) -> None:
    """Let all others read; nobody but root can write any more, unless *write*."""
    for path in (place, *place.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode) | 0o444 | (0o111 if path.is_dir() else 0)
        path.chmod(mode | 0o200 if write else mode & ~0o222)
        if IS_ROOT and path.name != "mine":
            os.chown(path, SOMEBODY, SOMEBODY)
    (place / "mine").chmod(0o777)


def as_another(shared: Path, *arguments: str) -> Ended:
    """The command as a user to whom the folder does not belong, or one who took the right to write from everybody."""
    _for_all(shared)
    return _as_another_now(shared, *arguments)


def _as_another_now(shared: Path, *arguments: str) -> Ended:
    names = {"out": shared / "out", "manifest": shared / "dunes.csv", "mine": shared / "mine"}
    environ = {"PATH": os.environ["PATH"], "RUNCOMFY_MODEL_API_BASE": "http://127.0.0.1:9", "RUNCOMFY_TOKEN": "unused"}
    environ |= {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ended = subprocess.run(
        [*PLAIN, sys.executable, "-m", "batchgen", *(argument.format(**names) for argument in arguments)],
        env=environ,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def _left_as_it_was(shared: Path) -> None:
    """Its last writer closed it."""


def _killed(shared: Path) -> None:
    """Its last writer was killed: the newest of the state is in its log."""
    state = shared / "out" / "state.db"
    with closing(sqlite3.connect(state)) as connection:
        connection.execute("UPDATE meta SET value = value WHERE name = 'base'")
        connection.commit()
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{state}{suffix}", f"{state}{suffix}.kept")
    for suffix in ("", "-wal", "-shm"):
        os.replace(f"{state}{suffix}.kept", f"{state}{suffix}")


def _backed_up(shared: Path) -> None:
    """A copy of the state and its log alone."""
    _killed(shared)
    (shared / "out" / "state.db-shm").unlink()


@pytest.mark.parametrize("state", [_left_as_it_was, _killed, _backed_up])
def test_who_may_read_can_look_at_everything_and_changes_nothing(shared: Path, state: Callable[[Path], None]) -> None:
    state(shared)
    before = {path: path.read_bytes() for path in (shared / "out").rglob("*") if path.is_file()}
    for command in READING:
        ended = as_another(shared, *command)
        assert ended.exit == 0, (command, ended.stderr)
        assert "repair" not in ended.stderr
        if command[0] == "status":
            assert ended.json["rows"]["collected"] == 2
    assert {path: path.read_bytes() for path in (shared / "out").rglob("*") if path.is_file()} == before
    page = (shared / "mine" / "page" / "report.html").read_text()
    assert '"originals":"../../out/rows"' in page
    assert len(list((shared / "mine" / "page" / "thumbs").rglob("*.webp"))) == 2


def test_who_may_not_write_is_told_so_and_never_to_repair(shared: Path) -> None:
    for command in WRITING:
        ended = as_another(shared, *command)
        assert ended.exit == 9, (command, ended.stderr)
        assert "written" in ended.stderr
        assert "report" in ended.stderr
        assert "repair" not in ended.stderr


@pytest.mark.skipif(not IS_ROOT, reason="needs root to be two users")
async def test_a_run_that_is_on_can_be_watched_by_others(shared: Path) -> None:
    async with serving_here() as server:
        assert (await ran(shared, server.url, out=shared / "live")).exit is Exit.DONE
        state = opened(RunFolder.at(shared / "live"), server.url)
        try:
            await state.set_meta(noted="by the run that is on")
            ended = await asyncio.to_thread(as_another, shared, "status", "{mine}/../live", "--json")
        finally:
            state.close()
    assert ended.exit == 0, ended.stderr
    assert (ended.json["rows"]["collected"], ended.json["running"]) == (2, True)


@pytest.mark.skipif(not IS_ROOT, reason="the owner can always give the permission")
def test_who_may_not_even_read_is_told_what_the_owner_can_do(shared: Path) -> None:
    for command in READING[:3]:
        _for_all(shared)
        (shared / "out" / "state.db").chmod(0o600)
        ended = _as_another_now(shared, *command)
        assert ended.exit == 9
        assert "chmod -R a+rX" in ended.stderr
        assert "repair" not in ended.stderr


@pytest.mark.parametrize("limit", ["256:256", "256:4096"])
def test_a_low_limit_of_open_files_is_raised_or_told(shared: Path, limit: str) -> None:
    soft, hard = limit.split(":")
    code = (
        "import resource; from batchgen.runner.descriptors import raise_limit; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); "
        "print(raise_limit()); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    said, now = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if hard == "256":
        assert "only 256 files" in said
        assert "ulimit" in said
        assert now == "256"
    else:
        assert (said, now) == ("None", "1024")


def test_who_has_neither_home_nor_name_keeps_no_cache_and_needs_none(tmp_path: Path) -> None:
    code = (
        "import os; from batchgen.models.cache import SchemaCache; from batchgen.providers.credentials import "
        "TokenMissing, find_token; from batchgen.runner.measurements import History\n"
        f"if {IS_ROOT}: os.setuid({SOMEBODY})\n"
        "cache = SchemaCache(); cache.put('http://127.0.0.1:9', {'model_id': 'a/b'})\n"
        "History('http://127.0.0.1:9').add({}); print(cache.get('http://127.0.0.1:9', 'a/b'))\n"
        "try: find_token()\n"
        "except TokenMissing as missing: print('missing')"
    )
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ended = subprocess.run([sys.executable, "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout.split() == ["None", "missing"], ended.stderr
    assert list(tmp_path.iterdir()) == []
