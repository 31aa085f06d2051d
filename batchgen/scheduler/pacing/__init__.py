"""How fast, how often and when to stop trying. Pure: time and chance come in as arguments, in seconds."""

from batchgen.core.backoff import Backoff
from batchgen.core.forecast import Measure, Range, cost_left_micro, time_left_s, with_fetching_s
from batchgen.scheduler.pacing.breakers import (
    ContactBreaker,
    DoubtBreaker,
    SameCauseBreaker,
    ServerErrorBreaker,
    TrialBreaker,
)
from batchgen.scheduler.pacing.circuit import BreakerState, CircuitBoard, Position, Which
from batchgen.scheduler.pacing.concurrency import CEILING, START, AutoInFlight, FixedInFlight, InFlight
from batchgen.scheduler.pacing.contact import EXPIRED_AFTER_S, IdEvidence
from batchgen.scheduler.pacing.polling import Crowd, Lag, LearnedPolling, PollPolicy, ProportionalPolling
from batchgen.scheduler.pacing.submit_rate import MOST_PAUSE_S, SubmitRate

__all__ = [
    "CEILING",
    "EXPIRED_AFTER_S",
    "MOST_PAUSE_S",
    "START",
    "AutoInFlight",
    "Backoff",
    "BreakerState",
    "CircuitBoard",
    "ContactBreaker",
    "Crowd",
    "DoubtBreaker",
    "FixedInFlight",
    "IdEvidence",
    "InFlight",
    "Lag",
    "LearnedPolling",
    "Measure",
    "PollPolicy",
    "Position",
    "ProportionalPolling",
    "Range",
    "SameCauseBreaker",
    "ServerErrorBreaker",
    "SubmitRate",
    "TrialBreaker",
    "Which",
    "cost_left_micro",
    "time_left_s",
    "with_fetching_s",
]
