"""The exit codes, and the refusals that end a command before or instead of a run."""

from __future__ import annotations

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


class Refusal(Exception):
    """A command cannot do what it was asked. The message says what is wrong, where, and what to do next."""

    exit: ClassVar[Exit] = Exit.USAGE
