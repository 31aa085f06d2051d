"""The exit codes, and the refusals that end a command before or instead of a run."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar


class Exit(IntEnum):
    """What a command ends with; where several apply, the first in the order of `outcome.exit_code`."""

    DONE = 0
    SOME_FAILED = 1
    USAGE = 2
    TOKEN = 3
    BALANCE = 4
    PROVIDER = 5
    BUDGET = 6
    IN_DOUBT = 7
    FOLDER_IN_USE = 8
    STATE = 9
    STILL_LIVE = 75
    STOPPED = 130


MEANING: Mapping[Exit, str] = {
    Exit.DONE: "everything in scope is collected and verified",
    Exit.SOME_FAILED: "finished, some rows failed or were cancelled",
    Exit.USAGE: "usage, invalid manifest, or refused to spend; nothing was sent",
    Exit.TOKEN: "the token is missing or rejected",
    Exit.BALANCE: "no balance",
    Exit.PROVIDER: "provider, network or model out of reach",
    Exit.BUDGET: "the budget is reached, or the canary cost more than estimated",
    Exit.IN_DOUBT: "rows in doubt remain, and nothing else is live",
    Exit.FOLDER_IN_USE: "another run holds the folder",
    Exit.STATE: "the state or the disk is not usable, or batchgen is at fault itself; the same command goes on",
    Exit.STILL_LIVE: "stopped while paid jobs are live: `collect` or `run` again is safe",
    Exit.STOPPED: "stopped by you, nothing live",
}
"""The meaning of each code, in the words of docs/commands.md; the end hooks get them too."""


class Refusal(Exception):
    """A command cannot do what it was asked. The message says what is wrong, where, and what to do next."""

    exit: ClassVar[Exit] = Exit.USAGE
