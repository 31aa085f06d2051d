"""Which job goes on next, within which limits: `loop` carries, `submit`, `follow` and `fetch` are its steps."""

from batchgen.scheduler.course import Ending, Limits
from batchgen.scheduler.loop import (
    ANSWERS_AWAITED_S,
    IN_FLIGHT_LEARNED,
    POLLING_LEARNED,
    SLEPT_S,
    OnBreaker,
    Scheduler,
)

__all__ = [
    "ANSWERS_AWAITED_S",
    "IN_FLIGHT_LEARNED",
    "POLLING_LEARNED",
    "SLEPT_S",
    "Ending",
    "Limits",
    "OnBreaker",
    "Scheduler",
]
