"""How fast, how often and when to stop trying. Pure: time and chance come in as arguments, in seconds."""

from batchgen.pacing.backoff import Backoff
from batchgen.pacing.breakers import BusyPause, ContactBreaker, DoubtBreaker, SameCauseBreaker
from batchgen.pacing.contact import EXPIRED_AFTER_S, Contact
from batchgen.pacing.inflight import AutoInFlight, FixedInFlight, InFlight
from batchgen.pacing.polling import Crowd, Lag, LearnedPolling, PollPolicy, ProportionalPolling

__all__ = [
    "EXPIRED_AFTER_S",
    "AutoInFlight",
    "Backoff",
    "BusyPause",
    "Contact",
    "ContactBreaker",
    "Crowd",
    "DoubtBreaker",
    "FixedInFlight",
    "InFlight",
    "Lag",
    "LearnedPolling",
    "PollPolicy",
    "ProportionalPolling",
    "SameCauseBreaker",
]
