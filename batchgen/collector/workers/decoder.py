"""A process that decodes for one that waits for it: what foreign bytes kill is this one, and it is begun again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from batchgen.collector.verify import Undecodable, Verified, identify
from batchgen.collector.verify.exchange import question, verified
from batchgen.core.children import environ_of_our_own

DEATHS_BELIEVED = 3
_ASKED_AT_ONCE = 32
"""As many answers as fit into a pipe: nobody waits for the other to read."""


class Decoder:
    """One such process, begun when it is first needed. It ends with whoever holds this."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def look(self, paths: Sequence[Path]) -> list[Verified | Undecodable | OSError]:
        """What `verify.verify` answers of each of *paths*. Of a file that kills three processes in a row, what it is
        without decoding.
        """
        found: list[Verified | Undecodable | OSError] = []
        deaths = 0
        while len(found) < len(paths):
            asked = paths[len(found) : len(found) + _ASKED_AT_ONCE]
            answers = self._answers(asked)
            found += map(_outcome, answers)
            if len(answers) == len(asked):
                deaths = 0
                continue
            deaths = 1 if answers else deaths + 1
            if deaths == DEATHS_BELIEVED:
                found.append(_undecoded(paths[len(found)]))
                deaths = 0
        return found

    def _answers(self, paths: Sequence[Path]) -> list[bytes]:
        """The answers about *paths*, up to the one that the process died over."""
        process = self._process = self._process or _begun()
        assert process.stdin is not None
        assert process.stdout is not None
        answers: list[bytes] = []
        with suppress(OSError):
            process.stdin.write(b"".join(map(question, paths)))
            process.stdin.flush()
            while len(answers) < len(paths) and (line := process.stdout.readline()).endswith(b"\n"):
                answers.append(line)
        if len(answers) < len(paths):
            self._process = None
            process.kill()
            with suppress(OSError), process:  # closes the pipes, waits for it
                pass
        return answers


def _outcome(answer: bytes) -> Verified | Undecodable | OSError:
    try:
        return verified(answer)
    except (Undecodable, OSError) as error:
        return error


def _undecoded(path: Path) -> Verified | Undecodable | OSError:
    try:
        return identify(path)
    except (Undecodable, OSError) as error:
        return error


def _begun() -> subprocess.Popen[bytes]:
    """Pictures are foreign bytes: what decodes them gets no key. Ctrl-C is for the run, not for this."""
    return subprocess.Popen(
        (sys.executable, "-P", "-m", "batchgen.collector.verify"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environ_of_our_own(),
        start_new_session=True,
    )
