"""Whatever process is begun here, no key of any service is in its environment."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from batchgen.core.children import environ_of_children, environ_of_our_own
from tests.processes import Batchgen, write_csv

SECRETS = {
    "RUNCOMFY_TOKEN": "s3cret-1",
    "AWS_SECRET_ACCESS_KEY": "s3cret-2",
    "AWS_SESSION_TOKEN": "s3cret-3",
    "FAL_KEY": "s3cret-4",
    "HF_TOKEN": "s3cret-5",
    "REPLICATE_API_TOKEN": "s3cret-6",
    "PGPASSWORD": "s3cret-7",
    "HTTPS_PROXY": "http://me:s3cret-8@proxy.example:3128",
    "all_proxy": "me:s3cret-9@proxy.example:1080",
    "SOME_COMPANY_THING": "s3cret-10",
    "BATCHGEN_NOTIFY_URL": "https://chat.example/s3cret-11",
    "SSH_AUTH_SOCK": "/run/s3cret-12",
}
NEEDED = {
    "PATH": "/usr/bin",
    "HOME": "/home/me",
    "LC_ALL": "C.UTF-8",
    "SystemRoot": "C:\\Windows",
    "XDG_RUNTIME_DIR": "/run/user/1000",
    "http_proxy": "http://proxy.example:3128",
    "NO_PROXY": "localhost,.example",
}


@pytest.mark.parametrize("environ_of", [environ_of_children, environ_of_our_own])
def test_what_is_needed_is_handed_on_and_nothing_else(environ_of: type) -> None:
    handed = environ_of(SECRETS | NEEDED)
    assert handed.items() >= NEEDED.items()
    assert "s3cret" not in json.dumps(handed)


def _environs_of(pid: int) -> list[bytes]:
    """The environments of the processes below *pid*."""
    below = [
        int(status.parent.name)
        for status in Path("/proc").glob("[0-9]*/status")
        if f"PPid:\t{pid}\n" in _read(status).decode()
    ]
    return [environ for one in below for environ in (_environ_of(one), *_environs_of(one))]


def _environ_of(pid: int) -> bytes:
    """The environment of a process. One that was forked and has not begun its program yet has ours, for a moment."""
    environ = _read(Path(f"/proc/{pid}/environ"))
    if b"s3cret" in environ:
        time.sleep(0.3)
        environ = _read(Path(f"/proc/{pid}/environ"))
    return environ


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc to see an environment")
def test_no_process_of_a_run_sees_a_key(tmp_path: Path) -> None:
    hook = tmp_path / "hook.py"
    hook.write_text("import os, json; open('seen.json', 'w').write(json.dumps(dict(os.environ)))")
    command = Batchgen(tmp_path, environ=SECRETS | {"HTTPS_PROXY": "", "all_proxy": "", "BATCHGEN_NOTIFY_URL": ""})
    process = command.start(
        *("rehearse", write_csv(tmp_path / "dunes.csv", 3), "--latency", "fixed:300ms"),
        *("--on-finish", f"{sys.executable} {hook}"),
    )
    seen: list[bytes] = []
    while process.poll() is None:
        seen += _environs_of(process.pid)
        time.sleep(0.1)
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr + stdout
    assert len(set(seen)) > 1, "no process was seen"
    assert not [environ for environ in seen if b"s3cret" in environ]
    assert "s3cret" not in (tmp_path / "seen.json").read_text()
