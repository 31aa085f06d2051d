"""Decoding in processes of its own: a big picture takes longer than all else of its row, and would hold up the loop."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from pathlib import Path

from batchgen.collector.verify import Undecodable, Verified, identify
from batchgen.collector.verify.exchange import question, verified
from batchgen.collector.workers.decoder import DEATHS_BELIEVED
from batchgen.core.children import environ_of_our_own

_KILL_S = 10.0


def default_workers() -> int:
    """One for each processor but the one that the run itself keeps busy."""
    return min(max((os.cpu_count() or 2) - 1, 1), 8)


class Verifiers:
    """Up to *processes* processes that decode and hash, each begun when it is first needed. They only read.

    One that dies is replaced and its file is looked at again; one whose parent died ends by itself. *begun* are all
    that were ever begun.
    """

    def __init__(self, processes: int) -> None:
        self._places = asyncio.Semaphore(processes)
        self._idle: list[_Verifier] = []
        self.begun: list[_Verifier] = []

    async def verify(self, path: Path) -> Verified:
        """What `verify.verify` answers. Of a file that kills three processes in a row, what it is without decoding."""
        async with self._places:
            for _ in range(DEATHS_BELIEVED):
                answer = await (verifier := await self._next()).ask(path)
                if answer is not None:
                    self._idle.append(verifier)
                    return verified(answer)
        try:
            return await asyncio.to_thread(identify, path)
        except Undecodable as error:
            raise Undecodable(f"{error}, and each of {DEATHS_BELIEVED} processes that decoded it was killed") from None

    async def _next(self) -> _Verifier:
        if self._idle:
            return self._idle.pop()
        verifier = await _Verifier.start()
        self.begun.append(verifier)
        return verifier

    async def close(self) -> None:
        """End the processes. Nothing may be waiting for them."""
        for verifier in self.begun:
            await verifier.kill()


class _Verifier:
    """One process. Paths go in and answers come out, a line of JSON each."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._paths = process.stdin
        self._answers = process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls) -> _Verifier:
        """Pictures are foreign bytes: what decodes them gets no key. Ctrl-C is for the run, not for this."""
        command = (sys.executable, "-P", "-m", "batchgen.collector.verify")
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, env=environ_of_our_own(), start_new_session=True
        )
        return cls(process)

    async def ask(self, path: Path) -> bytes | None:
        """The answer about *path*; None if the process died over it."""
        try:
            self._paths.write(question(path))
            await self._paths.drain()
            line = await self._answers.readline()
        except ConnectionError:
            line = b""
        except BaseException:  # told to leave: its answer is still to come, so nobody else may ask it
            with suppress(ProcessLookupError):
                self._process.kill()
            raise
        if not line.endswith(b"\n"):
            await self.kill()
            return None
        return line

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        with suppress(TimeoutError):  # one that a broken disk holds ends when the disk lets go of it
            async with asyncio.timeout(_KILL_S):
                await self._process.wait()
