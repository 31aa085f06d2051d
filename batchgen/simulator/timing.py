"""Durations, job times and rates as people write them: `50ms`, `lognormal:2s:0.5`, `50/s`."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d)")


class TimingProblem(ValueError):
    """A duration, job time or rate that cannot be read; the text says what to write instead."""


def duration_s(text: str) -> float:
    """Seconds of `50ms`, `2s`, `5min`, `7d`. Raises TimingProblem."""
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise TimingProblem(f"'{text}' is not a duration; write a number and a unit, like 50ms, 2s, 5min, 1h or 7d")
    return float(match[1]) * UNITS_S[match[2]]


def _fixed(at_s: float) -> Callable[[float, float], float]:
    return lambda roll, other: at_s


def _uniform(low_s: float, high_s: float) -> Callable[[float, float], float]:
    return lambda roll, other: low_s + roll * (high_s - low_s)


def _bimodal(short_s: float, long_s: float) -> Callable[[float, float], float]:
    """Half of the jobs near *short_s*, half near *long_s*, each spread by a tenth of it."""
    return lambda roll, other: (short_s if roll < 0.5 else long_s) * math.exp(0.1 * _normal(other, roll * 2 % 1))


def _lognormal(median_s: float, sigma: float) -> Callable[[float, float], float]:
    return lambda roll, other: median_s * math.exp(sigma * _normal(roll, other))


def _normal(roll: float, other: float) -> float:
    """A standard normal from two uniform numbers in [0, 1) (Box and Muller)."""
    return math.sqrt(-2.0 * math.log(1.0 - roll)) * math.cos(2.0 * math.pi * other)


@dataclass(frozen=True)
class Latency:
    """How long jobs run: `seconds(roll, other)` turns two uniform numbers in [0, 1) into one job's time."""

    text: str
    seconds: Callable[[float, float], float]

    @classmethod
    def parse(cls, text: str) -> "Latency":
        """Read `fixed:50ms`, `lognormal:2s` (median; sigma 0.5), `lognormal:2s:0.8`, `uniform:1s:3s`,
        `bimodal:8s:60s`. Raises TimingProblem."""
        kind, *arguments = text.strip().split(":")
        try:
            if kind == "lognormal" and len(arguments) in (1, 2):
                sigma = float(arguments[1]) if len(arguments) == 2 else 0.5
                return cls(text, _lognormal(duration_s(arguments[0]), sigma))
            if kind == "fixed" and len(arguments) == 1:
                return cls(text, _fixed(duration_s(arguments[0])))
            if kind in ("uniform", "bimodal") and len(arguments) == 2:
                make = _uniform if kind == "uniform" else _bimodal
                return cls(text, make(duration_s(arguments[0]), duration_s(arguments[1])))
        except TimingProblem:
            raise
        except ValueError as problem:
            raise TimingProblem(f"'{text}': {problem}") from problem
        forms = "fixed:50ms, lognormal:2s, lognormal:2s:0.5, uniform:1s:3s, bimodal:8s:60s"
        raise TimingProblem(f"'{text}' is not a job time; write one of {forms}")


def rate_per_s(text: str) -> float:
    """Requests per second of `50/s`, `100/min`, `1000/h`. Raises TimingProblem."""
    count, slash, unit = text.strip().partition("/")
    try:
        rate = float(count) / UNITS_S[unit]
    except (ValueError, KeyError):
        rate = 0.0
    if not slash or not rate > 0:
        raise TimingProblem(f"'{text}' is not a rate; write a number above 0 per s, min or h, like 50/s or 100/min")
    return rate


class Bucket:
    """A token bucket that holds one second's worth (at least one) and starts full."""

    def __init__(self, per_s: float, now_s: float) -> None:
        self.per_s = per_s
        self.room = max(1.0, per_s)
        self._level = self.room
        self._at_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Take one and return 0, or take none and return how long until one will be there."""
        self._level = min(self.room, self._level + (now_s - self._at_s) * self.per_s)
        self._at_s = now_s
        if self._level >= 1.0:
            self._level -= 1.0
            return 0.0
        return (1.0 - self._level) / self.per_s
