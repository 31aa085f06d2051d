"""Kill the real command at any moment, let it finish, and settle with the server's ledger.

A `Scene` is one manifest, one run folder and one server. Its requests are its own, so that several scenes can
share a server and still be told apart in the ledger.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchgen.simulator.faults import FAULTS
from tests.processes import Batchgen, Server, kill_group

MOST_ON_THE_WIRE = 32
"""POSTs that may be on the wire at once, and so the most rows that one kill may leave in doubt."""

DOUBTFUL_FAULTS = (
    "drop_before", "5xx_before", "redirect", "html", "408", "409", "drop_reply", "drop_midreply", "5xx_after",
    "503_after", "empty", "no_id", "malformed",
)  # fmt: skip
"""Faults of the server's submit route after which nobody can know whether the request was accepted."""

_ONCE = {"download.endless": "#7", "download.redirect_private": "#11"}
"""Faults that take gigabytes or half a minute: one of each is enough."""

_SHORT = {"submit.slow": ":300ms", "status.slow": ":300ms", "download.slow": ":300ms", "job.no_outputs": ":1"}


def every_fault(share: str, but: Collection[str] = ()) -> str:
    """A fault plan with every fault that the server knows; slow answers take 300 ms, and half of the POSTs are slow,
    so that a kill finds some on the wire."""
    known = [name for name in FAULTS if name not in but]
    plan = [f"{name}={_ONCE.get(name, share)}{_SHORT.get(name, '')}" for name in known]
    return ",".join([*plan, "submit.slow=50%:200ms"])


def watched(folder: Path, hook_url: str) -> dict[str, str]:
    """Variables that turn on all that a run tells while it goes on and at its end; *hook_url* need not answer well."""
    note = "import os, pathlib; pathlib.Path('ends').open('a').write(os.environ['BATCHGEN_EXIT'] + '\\n')"
    return {
        "BATCHGEN_LOG": str(folder / "run.log"),
        "BATCHGEN_VERBOSE": "1",
        "BATCHGEN_NOTIFY_URL": hook_url,
        "BATCHGEN_ON_FINISH": shlex.join([sys.executable, "-c", note]),
    }


_GO_ON = {3, 4, 5, 6, 75}
"""Exit codes that say "run the same command again"; a fault may cause each of them."""

_DELAY_US = 10_000
"""How long strace holds each fsync, so that the kill arrives before the process goes on."""


@dataclass
class Scene:
    """A manifest of *rows* requests that no other *name* makes, and the command that runs it."""

    folder: Path
    server: Server
    name: str
    rows: int
    outputs: int = 1
    flags: tuple[object, ...] = ("--in-flight", 60)
    environ: dict[str, str] = field(default_factory=dict)
    on_the_wire_at_kills: list[set[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.manifest = self.folder / f"{self.name}.csv"
        self.out = self.folder / "out" / self.name
        self.batchgen = Batchgen(self.folder, self.server.url, environ=self.environ)
        head = "id,text,images,seed,sequential_image_generation_options\n"
        lines = [f"{row_id},{','.join(map(str, self._cells(row_id)))}\n" for row_id in self.row_ids]
        self.manifest.write_text(head + "".join(lines), "utf-8")

    @property
    def row_ids(self) -> list[str]:
        return [f"{self.name}-{number:03d}" for number in range(self.rows)]

    def _cells(self, row_id: str) -> tuple[str, str, int, int]:
        return f"{row_id} in {self.folder.name}", "https://example.com/a.png", int(row_id[-3:]), self.outputs

    def bodies(self) -> dict[str, str]:
        """The row of every request body, by the hash that the ledger names it by."""
        return {body_sha256(*self._cells(row_id)): row_id for row_id in self.row_ids}

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def arguments(self) -> tuple[object, ...]:
        return ("run", self.manifest, "--yes", "--json", "--quiet", "--min-free", 0, *self.flags)

    def start(self) -> subprocess.Popen[str]:
        return self.batchgen.start(*self.arguments)

    def finish(self, tries: int = 30, patience_s: float = 60.0) -> dict[str, Any]:
        """Run the same command until it has nothing left to do, and answer with what it said last.

        One that waits for longer than *patience_s*, as for links that lead nowhere, is killed once more.
        """
        for _ in range(tries):
            process = self.start()
            try:
                stdout, stderr = process.communicate(timeout=patience_s)
            except subprocess.TimeoutExpired:
                kill_group(process)
                stdout, stderr = process.communicate()
                self.note_kill(process)
                continue
            if process.returncode not in _GO_ON:
                assert process.returncode in (0, 1, 7), f"{self.out} ended with {process.returncode}:\n{stderr}"
                assert stdout, f"{self.out} ended with {process.returncode} and no report:\n{stderr}"
                told: dict[str, Any] = json.loads(stdout)
                return told
        raise AssertionError(f"{self.out} came to no end in {tries} tries: {process.returncode}\n{stderr}")

    def kill_at_sync(self, number: int) -> bool:
        """Run until the *number*th fsync of the whole command and kill it there; False if it ended before."""
        reading, writing = os.pipe()
        synced = "fsync,fdatasync"
        process = self.batchgen.start(
            *self.arguments,
            before=[
                *("strace", "-f", "-e", f"trace={synced}", "-e", f"inject={synced}:delay_enter={_DELAY_US}"),
                *("-o", f"/dev/fd/{writing}"),
            ],
            pass_fds=[writing],
        )
        os.close(writing)
        seen = 0
        with open(reading, "rb", buffering=0) as trace:
            while seen < number and (lines := trace.read(65_536)):
                seen += lines.count(b"sync(")
            if seen >= number:
                kill_group(process)
        process.communicate()
        self.note_kill(process)
        return process.returncode == -signal.SIGKILL

    def kill_at_random(self, chance: random.Random) -> bool:
        """Run to a random moment after the first request and kill there; False if it ended before."""
        before = self._requests()
        process = self.start()
        give_up = time.monotonic() + 30.0
        while process.poll() is None and self._requests() == before and time.monotonic() < give_up:
            time.sleep(0.005)
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.0, 0.6))
        kill_group(process)
        process.communicate()
        self.note_kill(process)
        return process.returncode == -signal.SIGKILL

    def kill_when_paid(self, jobs: int) -> None:
        """Run until the server has charged for *jobs* of this scene, and kill it there."""
        process = self.start()
        until(lambda: self.paid >= jobs or process.poll() is not None)
        kill_group(process)
        process.communicate()
        self.note_kill(process)

    @property
    def paid(self) -> int:
        """How many jobs the server has charged for, of this scene."""
        bodies = self.bodies()
        return sum(job["body_sha256"] in bodies for job in self.server.charged)

    def _requests(self) -> int:
        counters = self.server.ledger(summary=True)["counters"]
        return int(counters.get("submit", 0) + counters.get("status", 0) + counters.get("result", 0))

    def note_kill(self, process: subprocess.Popen[str]) -> None:
        if process.returncode == -signal.SIGKILL:
            self.on_the_wire_at_kills.append(self.rows_in("submitting"))

    def rows_in(self, state: str) -> set[str]:
        """Rows of the state file in *state*, read beside whatever else has it open."""
        if not (self.out / "state.db").exists():
            return set()
        with closing(sqlite3.connect(f"file:{self.out}/state.db?mode=ro", uri=True)) as connection:
            found = connection.execute(
                "SELECT row_id FROM rows JOIN jobs USING (key) WHERE latest AND state = ?", (state,)
            )
            return {row_id for (row_id,) in found}

    # ── settling ────────────────────────────────────────────────────────────────────────────────────────

    def settle(self, told: dict[str, Any]) -> Settlement:
        """Compare what the server charged for with what is on disk and with what the command said at its end."""
        bodies = self.bodies()
        jobs = [job for job in self.server.charged if job["body_sha256"] in bodies]
        settlement = Settlement(kills=len(self.on_the_wire_at_kills), told=told)
        paid = Counter(job["body_sha256"] for job in jobs)
        settlement.charged = len(jobs)
        settlement.twice = [bodies[body] for body, times in paid.items() if times > 1]
        settlement.doubt_by_kill = [len(rows) for rows in self.on_the_wire_at_kills]
        doubtful = set(told["in_doubt"])
        killed_on_the_wire: set[str] = set().union(*self.on_the_wire_at_kills)
        for job in jobs:
            row_id = bodies[job["body_sha256"]]
            if row_id in doubtful:
                settlement.doubt_charged.append(row_id)
                if job["answered"] and row_id not in killed_on_the_wire:
                    settlement.lost.append(f"{row_id}: its id was answered, and nothing had died")
            elif (fault := self._fault_of(row_id, job)) is not None:
                settlement.lost.append(f"{row_id}: {fault}")
            else:
                settlement.kept += 1
        settlement.doubt_free = sorted(doubtful - set(settlement.doubt_charged))
        settlement.doubt_by_faults = len(doubtful - killed_on_the_wire)
        return settlement

    def _fault_of(self, row_id: str, job: dict[str, Any]) -> str | None:
        """What is wrong with how a job that was paid for stands on disk; None if all of it is there."""
        known = self._attempts(row_id).get(job["request_id"])
        if known is None:
            return f"request {job['request_id']} was charged and is not in the state file"
        if job["state"] in ("failed", "cancelled"):
            return None if known == job["state"] else f"the job {job['state']}, the row is {known}"
        if job["must_fail"]:
            return None if known == "failed" else f"nothing of the job can be downloaded, the row is {known}"
        set_aside = any((self.out / "set-aside").glob(f"{row_id}.*"))  # bytes that came twice, and are no output
        if known == "failed" and set_aside:
            return None
        place = self.out / "rows" / row_id
        saved = sorted(sha256_of(path) for path in place.iterdir() if path.suffix != ".json") if place.is_dir() else []
        made = sorted(str(output["sha256"]) for output in job["outputs"])
        if saved != made and not (set_aside and saved and set(saved) < set(made)):
            return f"{len(made)} files were made, and {len(saved)} on disk ({known}) are not the same"
        sidecar = json.loads((place / "row.json").read_text("utf-8"))
        return None if sidecar["request_id"] == job["request_id"] else "row.json names another request"

    def _attempts(self, row_id: str) -> dict[str, str]:
        with closing(sqlite3.connect(f"file:{self.out}/state.db?mode=ro", uri=True)) as connection:
            found = connection.execute(
                "SELECT request_id, state FROM jobs JOIN rows USING (key) WHERE row_id = ?", (row_id,)
            )
            return dict(found.fetchall())


@dataclass
class Settlement:
    """What was paid for, and where it is."""

    kills: int
    told: dict[str, Any]
    charged: int = 0
    kept: int = 0
    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubt_charged: list[str] = field(default_factory=list)
    doubt_free: list[str] = field(default_factory=list)
    doubt_by_kill: list[int] = field(default_factory=list)
    doubt_by_faults: int = 0

    def check(self, lost_answers: int = 0) -> None:
        """Nothing paid twice, nothing lost, and no more doubt than there were POSTs on the wire.

        *lost_answers*: how often the server let a POST go without a clear answer.
        """
        assert self.twice == [], f"paid twice: {self.twice}"
        assert self.lost == [], f"paid and lost: {self.lost}"
        assert self.kept + len(self.doubt_charged) == self.charged
        assert max(self.doubt_by_kill, default=0) <= MOST_ON_THE_WIRE
        assert self.doubt_by_faults <= lost_answers
        live = {state: self.told["rows"][state] for state in ("submitting", "submitted", "ready", "pending")}
        assert not any(live.values()), f"left undone: {live}"


def lost_answers(server: Server) -> int:
    """How many POSTs the server let go without saying whether they were accepted."""
    counters = server.ledger(summary=True)["counters"]
    return sum(counters.get(f"fault.submit.{name}", 0) for name in DOUBTFUL_FAULTS)


def body_sha256(text: str, image: str, seed: int, outputs: int) -> str:
    """The ledger's name for the request that a manifest row with these cells is sent as."""
    body = {"images": [image], "seed": seed, "sequential_image_generation_options": outputs, "text": text}
    return hashlib.sha256(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def no_tracing() -> str | None:
    """Why no process can be traced here; None if it can."""
    try:
        tried = subprocess.run(
            ["strace", "-f", "-e", "trace=fsync", "-o", os.devnull, sys.executable, "-c", ""],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"strace cannot be started: {error}"
    return None if tried.returncode == 0 else f"strace may not trace: {tried.stderr.strip()}"


def until(true: Callable[[], object], patience_s: float = 20.0) -> None:
    """Wait until *true* says so. Raises AssertionError when it does not in *patience_s*."""
    give_up = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < give_up, f"waited for {patience_s} s in vain"
        time.sleep(0.02)


def counted(server: Server, name: str) -> int:
    """How often *server* met something: `submit` for POSTs that arrived, `submit.accepted` for jobs it made."""
    return int(server.ledger(summary=True)["counters"].get(name, 0))
