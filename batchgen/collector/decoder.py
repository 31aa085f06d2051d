"""A process that decodes for one that waits for it: what foreign bytes kill is this one, and it is begun again."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from batchgen.children import environ_of_our_own
from batchgen.verify import Verified, identify
from batchgen.verify.exchange import question, verified

DEATHS_BELIEVED = 3


class Decoder:
    """One such process, begun when it is first needed. It ends with whoever holds this."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def verify(self, path: Path) -> Verified:
        """What `verify.verify` answers. Of a file that kills three processes in a row, what it is without decoding."""
        for _ in range(DEATHS_BELIEVED):
            answer = self._ask(path)
            if answer is not None:
                return verified(answer)
        return identify(path)

    def _ask(self, path: Path) -> bytes | None:
        """The answer about *path*; None if the process died over it."""
        process = self._process = self._process or _begun()
        assert process.stdin is not None
        assert process.stdout is not None
        line = b""
        with suppress(OSError):
            process.stdin.write(question(path))
            process.stdin.flush()
            line = process.stdout.readline()
        if line.endswith(b"\n"):
            return line
        self._process = None
        process.kill()
        with suppress(OSError), process:  # closes the pipes, waits for it
            pass
        return None


def _begun() -> subprocess.Popen[bytes]:
    """Pictures are foreign bytes: what decodes them gets no key. Ctrl-C is for the run, not for this."""
    return subprocess.Popen(
        (sys.executable, "-P", "-m", "batchgen.verify"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environ_of_our_own(),
        start_new_session=True,
    )
