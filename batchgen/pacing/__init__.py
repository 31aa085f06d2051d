"""How fast, how often and when to stop trying. Pure: time and chance come in as arguments, in seconds."""

from batchgen.pacing.backoff import Backoff
from batchgen.pacing.board import Breakers, BreakerState, Position, Which
from batchgen.pacing.breakers import (
    ContactBreaker,
    DoubtBreaker,
    SameCauseBreaker,
    StormBreaker,
    TrialBreaker,
)
from batchgen.pacing.contact import EXPIRED_AFTER_S, Contact
from batchgen.pacing.forecast import Measure, Range, cost_left_micro, time_left_s, with_fetching_s
from batchgen.pacing.inflight import CEILING, START, AutoInFlight, FixedInFlight, InFlight
from batchgen.pacing.polling import Crowd, Lag, LearnedPolling, PollPolicy, ProportionalPolling
from batchgen.pacing.submitrate import MOST_PAUSE_S, SubmitRate

__all__ = [
    "CEILING",
    "EXPIRED_AFTER_S",
    "MOST_PAUSE_S",
    "START",
    "AutoInFlight",
    "Backoff",
    "BreakerState",
    "Breakers",
    "Contact",
    "ContactBreaker",
    "Crowd",
    "DoubtBreaker",
    "FixedInFlight",
    "InFlight",
    "Lag",
    "LearnedPolling",
    "Measure",
    "PollPolicy",
    "Position",
    "ProportionalPolling",
    "Range",
    "SameCauseBreaker",
    "StormBreaker",
    "SubmitRate",
    "TrialBreaker",
    "Which",
    "cost_left_micro",
    "time_left_s",
    "with_fetching_s",
]
