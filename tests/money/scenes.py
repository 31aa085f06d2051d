"""What people do to run folders while and after they run: put backups back, rename, copy, delete locks, set clocks.

`python -m tests.money.scenes` plays every scene with the real command, kills included, and prints the settlement of
each with the server's ledger; `make crash` runs it after the kills. Ends with 1 if anything was paid twice or lost.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from tests.money.harness import Scene, Settlement, until
from tests.processes import Ended, Server, kill_group, serving

_STATE_FILES = ("state.db", "state.db-wal", "state.db-shm", "journal.jsonl", "generation.json")


def restored_state(scene: Scene) -> Settlement:
    """A backup of the state and its journal, made while a run was on, is put back beside the newer rows."""
    _with_backup(scene, ("state.db", "journal.jsonl"))
    return _repaired_and_settled(scene)


def restored_whole(scene: Scene) -> Settlement:
    """The same with every file that a backup of the folder has; what is newer stays, as `cp -a` leaves it."""
    _with_backup(scene, _STATE_FILES)
    return _repaired_and_settled(scene)


def renamed(scene: Scene) -> Settlement:
    """The folder is renamed while the run is on, and the run goes on in the renamed one."""
    process = scene.start()
    until(lambda: scene.paid >= 8)
    moved = scene.out.with_name("renamed")
    scene.out.rename(moved)
    process.communicate(timeout=30)
    assert process.returncode == 9, process.returncode
    assert not scene.out.exists(), "the folder was made anew"
    scene.out = moved
    scene.flags = (*scene.flags, "--out", moved)
    return scene.settle(scene.finish())


def renamed_and_killed(scene: Scene) -> Settlement:
    """The same, and the run is killed before it can notice."""
    process = scene.start()
    until(lambda: scene.paid >= 8)
    moved = scene.out.with_name("renamed")
    scene.out.rename(moved)
    kill_group(process)
    process.communicate()
    scene.out = moved
    scene.note_kill(process)
    scene.flags = (*scene.flags, "--out", moved)
    return scene.settle(scene.finish())


def copied(scene: Scene) -> Settlement:
    """A killed run's folder is copied, and both are run: the copy is refused, its original goes on."""
    scene.kill_when_paid(8)
    copy = scene.out.with_name("copy")
    shutil.copytree(scene.out, copy)
    refused = scene.batchgen(*scene.arguments, "--out", copy)
    _check_refused(refused, copy)
    return scene.settle(scene.finish())


def lock_deleted(scene: Scene) -> Settlement:
    """The lock is deleted while a run is on, and a second one is started at once."""
    first = scene.start()
    until(lambda: scene.paid >= 8)
    (scene.out / "state.lock").unlink()
    second = scene.start()
    for process in (first, second):
        process.communicate(timeout=60)
    assert (first.returncode, second.returncode) in ((9, 8), (9, 0)), (first.returncode, second.returncode)
    return scene.settle(scene.finish())


def lock_and_holder_deleted(scene: Scene) -> Settlement:
    """Everything that names the holder is deleted, so that a second run begins before the first one notices: ids that
    the first is answered for rows that the second holds for lost are said aloud, and found by a repair.
    """
    first = scene.start()
    until(lambda: scene.paid >= 8)
    for name in ("state.lock", "state.holder"):
        (scene.out / name).unlink()
    second = scene.start()
    _, said = first.communicate(timeout=60)
    second.communicate(timeout=60)
    assert first.returncode == 9, said
    told = scene.finish()
    aloud = {line.split()[0] for line in said.splitlines() if line.startswith(f"{scene.name}-")}
    assert set(told["in_doubt"]) <= aloud, f"in doubt, and never said aloud: {told['in_doubt']}\n{said}"
    if told["in_doubt"]:
        assert scene.batchgen("repair", scene.out).exit == 0
        told = scene.finish()
    assert told["in_doubt"] == []
    return scene.settle(told)


def clock_set_back(scene: Scene) -> Settlement:
    """Rows are put off by a busy provider, and the clock stands an hour earlier when the run is started again."""
    scene.kill_when_paid(8)
    with closing(sqlite3.connect(scene.out / "state.db", isolation_level=None)) as connection:
        connection.execute("UPDATE jobs SET again_at = ? WHERE state = 'pending'", (time.time() + 3600,))
        connection.execute("UPDATE jobs SET submitted_at = submitted_at + 3600 WHERE submitted_at IS NOT NULL")
    return scene.settle(scene.finish(patience_s=40))


SCENES: dict[str, Callable[[Scene], Settlement]] = {
    scene.__name__: scene
    for scene in (
        restored_state,
        restored_whole,
        renamed,
        renamed_and_killed,
        copied,
        lock_deleted,
        lock_and_holder_deleted,
        clock_set_back,
    )
}


def play(name: str, folder: Path, server: Server) -> Settlement:
    """One scene to its end, with nothing paid twice or lost and every doubt named. Raises AssertionError."""
    scene = Scene(folder / name, server, "dune", rows=24, flags=("--in-flight", 4))
    settlement = SCENES[name](scene)
    settlement.check()
    return settlement


def _with_backup(scene: Scene, names: tuple[str, ...]) -> None:
    """Run, back up in mid-run, run on, be killed, and have the backup put back."""
    scene.kill_when_paid(6)
    backup = scene.folder / "backup"
    backup.mkdir()
    for name in names:
        with suppress(FileNotFoundError):
            shutil.copy2(scene.out / name, backup / name)
    scene.on_the_wire_at_kills.append(scene.rows_in("submitting"))
    process = scene.start()
    until(lambda: len(list((scene.out / "rows").iterdir())) >= 14)
    kill_group(process)
    process.communicate()
    scene.note_kill(process)
    for name in _STATE_FILES:
        if name.startswith("state.db"):
            (scene.out / name).unlink(missing_ok=True)
    for path in backup.iterdir():
        shutil.copy2(path, scene.out / path.name)


def _repaired_and_settled(scene: Scene) -> Settlement:
    refused = scene.batchgen(*scene.arguments)
    _check_refused(refused, scene.out)
    paid = scene.paid
    assert scene.batchgen("repair", scene.out).exit == 0
    assert scene.paid == paid, "a refusal or a repair sent something"
    told = scene.finish()
    # Jobs that were in flight when the backup was put back are known nowhere: each of their rows is named as doubtful.
    scene.on_the_wire_at_kills.append(set(told["in_doubt"]))
    return scene.settle(told)


def _check_refused(refused: Ended, out: Path) -> None:
    assert refused.exit == 9, refused.stderr
    assert f"batchgen repair {out}" in refused.stderr, refused.stderr


def main() -> int:
    broken = 0
    print("scene                      kills  charged  on disk  in doubt: charged  not charged  twice  lost", flush=True)
    with tempfile.TemporaryDirectory(prefix="scenes-") as folder:
        for name in sys.argv[1:] or SCENES:
            with serving(latency="fixed:400ms") as server:
                try:
                    one = play(name, Path(folder), server)
                except AssertionError as error:
                    broken += 1
                    print(f"{name}: {error}", flush=True)
                    continue
            print(
                f"{name:<25}  {one.kills:>5}  {one.charged:>7}  {one.kept:>7}  {len(one.doubt_charged):>17}  "
                f"{len(one.doubt_free):>11}  {len(one.twice):>5}  {len(one.lost):>4}",
                flush=True,
            )
    print(f"{broken} scenes broken", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
