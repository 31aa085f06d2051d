"""The time of a run, which goes on evenly, whatever is done to the machine's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class SteadyClock:
    """*wall*, but never back: measured by the event loop's clock from the latest that *wall* ever was.

    A clock that is set back would have everything that was put off wait for as long. One that is set forward is
    followed, as a machine that slept looks the same.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ahead_s = 0.0

    def __call__(self) -> float:
        """Now, in Unix seconds."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._ahead_s = self._wall() - self._loop.time()
        passed_s = self._loop.time()
        self._ahead_s = max(self._ahead_s, self._wall() - passed_s)
        return passed_s + self._ahead_s
