"""A process that makes row folders: its many calls to the system would each hold up the event loop in ours.

`python -m batchgen.collector.workers.writer` takes groups on stdin and answers on stdout. Both are pickled: nobody
else speaks
there. It ends with whoever began it, at once and whatever it is doing, as one of its threads would. What decodes the
files is yet another process, since this one may not die of what they hold.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, TypeAlias

from batchgen.collector.workers.decoder import Decoder
from batchgen.collector.write_rows import RowFiles, Shelved, shelve
from batchgen.core.children import environ_of_our_own
from batchgen.storage.paths import RunFolder

_Group: TypeAlias = tuple[RunFolder, Sequence[RowFiles]]


class ShelverDied(Exception):
    """The process was killed. What it had done by then is found by the next try, as after a kill of the run."""


class ShelvingFault(Exception):
    """What nobody foresaw went wrong with one row: no fault of the disk, and none of the other rows."""


class WriterProcess:
    """One such process, begun at construction. Raises OSError if the system gives none."""

    def __init__(self) -> None:
        # Ctrl-C is for the run, not for this.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            (sys.executable, "-P", "-m", __name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environ_of_our_own(),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def shelve(self, folder: RunFolder, arrivals: Sequence[RowFiles]) -> list[Shelved | Exception]:
        """What `shelve.shelve` answers. Blocks until it has. Raises ShelverDied."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        group: _Group = (folder, arrivals)
        try:
            self._process.stdin.write(pickle.dumps(group))
            self._process.stdin.flush()
            outcomes: list[Shelved | Exception] = pickle.load(self._process.stdout)  # noqa: S301 - our own process
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.end()
            raise ShelverDied(f"the process that makes row folders was killed ({self._process.returncode})") from error
        return outcomes

    def end(self) -> None:
        """End the process; it must not be at work, unless it died."""
        with suppress(OSError), self._process:  # closes its stdin, waits for it
            pass


def main() -> None:
    groups: queue.SimpleQueue[_Group] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, groups), daemon=True).start()
    decoder = Decoder()
    while True:
        outcomes = [_told(outcome) for outcome in shelve(*groups.get(), decoder.look)]
        sys.stdout.buffer.write(pickle.dumps(outcomes))
        sys.stdout.buffer.flush()


def _read(stdin: BinaryIO, groups: queue.SimpleQueue[_Group]) -> None:
    """Once whoever asks is gone, the next run may have the folder: nothing may be moved any more."""
    with suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            groups.put(pickle.load(stdin))  # noqa: S301 - from whoever began this process
    os._exit(0)


def _told(outcome: Shelved | Exception) -> Shelved | Exception:
    """Errors of the system keep their number; of others there is only the kind, since not all can be pickled."""
    if isinstance(outcome, dict | OSError):
        return outcome
    return ShelvingFault(f"{type(outcome).__name__} where row folders are made")


if __name__ == "__main__":
    main()
