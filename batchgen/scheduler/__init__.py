"""Which job goes on next, within which limits: `loop` carries, `submit`, `follow` and `fetch` are its steps."""

from batchgen.scheduler.control import Limits, StopInfo
from batchgen.scheduler.engine import (
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
    "Limits",
    "OnBreaker",
    "Scheduler",
    "StopInfo",
]
