"""The fault plan: what goes wrong, how often, and by whose dice.

Every decision is a hash of (seed, fault, what it concerns, how often that was asked), so a failure seen once can be
seen again whatever order the requests arrive in.
"""

import difflib
import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace

from batchgen.simulator.malformed import KINDS
from batchgen.simulator.timing import Latency, TimingProblem, duration_s

# What each fault does. The part before the dot says what is counted and rolled for:
# submit = POSTs with a good token, status/result = reads of one id, job = jobs made, download = file GETs.
FAULTS = {
    "submit.drop_before": "connection reset, no job made",
    "submit.5xx_before": "500, 502, 503 or 504 without Retry-After, no job made",
    "submit.redirect": "301, 302 or 307 to another host, no job made",
    "submit.html": "200 with an HTML page of some gateway, no job made",
    "submit.408": "408, no job made",
    "submit.409": "409, no job made",
    "submit.429": "429 with Retry-After, no job made",
    "submit.429_bare": "429 without Retry-After, no job made",
    "submit.503_retry_after": "503 with Retry-After in the API's own words, no job made",
    "submit.refuse": "422 with a detail list, no job made",
    "submit.error_in_200": "200 whose body is an error_code (403001, or the number after the colon), no job made",
    "submit.drop_reply": "job made and charged, then the connection is reset",
    "submit.drop_midreply": "job made and charged, the answer's body is cut in the middle",
    "submit.5xx_after": "job made and charged, then 500, 502, 503 or 504",
    "submit.503_after": "job made and charged, then 503 with Retry-After, as a cache before the API answers",
    "submit.id_in_500": "job made and charged, its request_id in the body of a 500",
    "submit.empty": "job made and charged, 200 with an empty body",
    "submit.no_id": "job made and charged, 200 with JSON that lacks request_id",
    "submit.malformed": "job made and charged, no usable id in the answer (a kind by chance, or that after the colon)",
    "submit.slow": "job made and charged, the answer comes late (10s, or the time after the colon)",
    "status.5xx": "500, 502, 503 or 504",
    "status.drop": "connection reset",
    "status.html": "200 with an HTML page",
    "status.unknown_word": "a status nobody documented (warming_up, or the word after the colon)",
    "status.404": "404 with 404001, although the id is known",
    "status.429": "429 with Retry-After",
    "status.malformed": "200 with a malformed value (a kind by chance, or the kind after the colon)",
    "status.slow": "the answer comes late (10s, or the time after the colon)",
    "result.5xx": "500, 502, 503 or 504",
    "result.drop": "connection reset",
    "result.404": "404 with 404001, although the id is known",
    "result.not_ready_400": "400 with 400005, although the job has ended",
    "result.malformed": "200 with a value that makes it unreadable (a kind by chance, or the kind after the colon)",
    "job.malformed": "all results of the job hold the same malformed value (a kind by chance, or that after the colon)",
    "job.fail": "the job fails; its error is a string, an object, a list, null, or a text with 'timeout 429', in turn",
    "job.cancelled": "the provider cancels the job by itself and charges nothing",
    "job.no_outputs": "the job succeeds and shows no output (in its first N results, with N after the colon)",
    "job.fewer": "the job makes fewer outputs than asked for, at least one",
    "job.late_cost": "cost is left out of the first result read (the first N, with N after the colon)",
    "job.cost_above": "the job costs 1.5 times the list price (or the factor after the colon)",
    "download.truncate": "half of the file, then the connection closes; Content-Length promises all",
    "download.drop": "connection reset",
    "download.html": "200 with an HTML page",
    "download.empty": "200 with no bytes",
    "download.wrong_type": "the whole file, as application/octet-stream",
    "download.corrupt": "the right length and beginning, zeros after that",
    "download.endless": "bytes without end",
    "download.slow": "the whole file, spread over 10s, or the time after the colon",
    "download.403": "403, as of an expired link",
    "download.404": "404",
    "download.410": "410",
    "download.redirect": "302 to another address of the file host, where the file is",
    "download.redirect_private": "302 to http://10.0.0.1/",
    "download.malformed": "302 to what is no address (a kind by chance, or the kind after the colon)",
    "download.5xx": "500, 502, 503 or 504",
}

# How the provider behaves where its documents leave it open: setting -> (default, choices or None for a time).
SETTINGS: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "latency": ("", None),  # job time, see timing.Latency; empty keeps the server's own
    "expire": ("", None),  # output links carry a signature and die this long after the result was read
    "forget": ("", None),  # ids answer 404001 this long after they were given out
    "words": (
        "documented",
        ("documented", "mixed"),
    ),  # mixed: status may say `failed`, result may say `completed`
    "not_ready": (
        "state",
        ("state", "400005"),
    ),  # the result of a job that has not ended: its state, or HTTP 400
    "validate": (
        "submit",
        ("submit", "job", "off"),
    ),  # input against the schema: 422, a job that fails, or no check
    "no_balance": ("402", ("402", "400")),  # HTTP status that carries error_code 400002
    "shape": ("keys", ("keys", "url", "list")),  # output as documented keys, a bare URL string, a bare list
    "echo": ("no", ("no", "yes")),  # the result repeats the submitted input, its URLs included
    "accept": ("200", ("200", "202")),  # HTTP status of an accepted POST; 202 also says status in_queue
}
COUNTED_IN_READS = {"job.no_outputs", "job.late_cost"}
MALFORMED = ".malformed"
TIMED = {"submit.slow", "status.slow", "download.slow"}


class FaultProblem(ValueError):
    """A fault plan that cannot be read; the text names the part and what to write instead."""


@dataclass(frozen=True)
class Strike:
    """One fault that happens now. *argument* is the text after the colon, empty if there was none."""

    name: str
    argument: str

    def wait_s(self) -> float:
        return duration_s(self.argument) if self.argument else 10.0


@dataclass(frozen=True)
class Rule:
    """One fault and when it strikes: by chance, or on the occasions *first* to *last* (from 1) of its kind."""

    name: str
    chance: float = 0.0
    first: int = 0
    last: int = 0
    argument: str = ""

    def strikes(self, occasion: int, roll: float) -> bool:
        return roll < self.chance if self.first == 0 else self.first <= occasion <= self.last


@dataclass
class FaultPlan:
    """Rules by kind (`submit`, `status`, `result`, `job`, `download`), settings, and how often each kind was asked."""

    seed: int = 0
    rules: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    occasions: Counter[str] = field(default_factory=Counter)

    @classmethod
    def parse(cls, text: str, seed: int) -> "FaultPlan":
        """Read `submit.drop_reply=0.5%,status.5xx=#3,expire=60s`. Raises FaultProblem naming every bad part."""
        plan = cls(seed)
        problems: list[str] = []
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = part.partition("=")
            try:
                if not equals:
                    raise FaultProblem(f"'{part}' has no value; write {part}=1% or {part}=#1")
                plan._add(name.strip(), value.strip())
            except ValueError as problem:
                problems.append(str(problem))
        if problems:
            raise FaultProblem("; ".join(problems))
        return plan

    def _add(self, name: str, value: str) -> None:
        if name in SETTINGS:
            self.settings[name] = _checked_setting(name, value)
        elif name in FAULTS:
            kind = name.partition(".")[0]
            self.rules[kind] = (*self.rules.get(kind, ()), _rule(name, value))
        else:
            raise FaultProblem(f"no fault or setting is called '{name}'; {_hint(name)}")

    def setting(self, name: str) -> str:
        return self.settings.get(name) or SETTINGS[name][0]

    def setting_s(self, name: str) -> float | None:
        """A setting that is a time, in seconds; None if it was not given."""
        text = self.settings.get(name)
        return duration_s(text) if text else None

    def strike(self, kind: str, concerns: str, nth: int) -> Strike | None:
        """The first fault of *kind* that strikes on this occasion, if any; every call is one occasion.

        *concerns* and *nth* (how often this very thing was asked before) are what the dice depend on.
        """
        rules = self.rules.get(kind)
        if rules is None:
            return None
        self.occasions[kind] += 1
        for rule in rules:
            if rule.strikes(self.occasions[kind], roll(self.seed, rule.name, concerns, nth)):
                return Strike(rule.name, rule.argument)
        return None

    def strikes_on_job(self, concerns: str) -> dict[str, Strike]:
        """Every fault of the job kind that strikes this job, by name: they may come together."""
        rules = self.rules.get("job")
        if rules is None:
            return {}
        self.occasions["job"] += 1
        occasion = self.occasions["job"]
        struck = [rule for rule in rules if rule.strikes(occasion, roll(self.seed, rule.name, concerns, 0))]
        return {rule.name: Strike(rule.name, rule.argument) for rule in struck}


def roll(seed: int, *about: object) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.blake2b("\x1f".join(map(str, (seed, *about))).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def _hint(name: str) -> str:
    """The known name that was probably meant: the same fault of another kind, else one spelled alike."""
    of_other_kind = [fault for fault in FAULTS if fault.partition(".")[2] == name.rpartition(".")[2]]
    near = of_other_kind or difflib.get_close_matches(name, [*FAULTS, *SETTINGS], n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known are: {', '.join([*FAULTS, *SETTINGS])}"


def _rule(name: str, value: str) -> Rule:
    when, _, argument = value.partition(":")
    rule = replace(_when(name, when), argument=argument)
    if argument and name in TIMED:
        duration_s(argument)
    if argument and name.endswith(MALFORMED):
        _check_kind(name, argument)
    if argument and name in COUNTED_IN_READS and not argument.isdigit():
        raise FaultProblem(f"{name}={value}: write a whole number of reads after the colon, like {name}={when}:2")
    return rule


def _check_kind(name: str, kind: str) -> None:
    kinds = KINDS[name.removesuffix(MALFORMED)]
    if kind not in kinds:
        near = difflib.get_close_matches(kind, kinds, n=1)
        raise FaultProblem(
            f"{name} has no kind '{kind}'; "
            + (f"did you mean {near[0]}?" if near else f"known are: {', '.join(kinds)}")
        )


def _when(name: str, when: str) -> Rule:
    try:
        if when.endswith("%") and 0 <= float(when[:-1]) <= 100:
            return Rule(name, chance=float(when[:-1]) / 100)
        if when.startswith("#"):
            first, _, last = when[1:].partition("-")
            return Rule(name, first=int(first), last=int(last or first))
        if when.startswith("x"):
            return Rule(name, first=1, last=int(when[1:]))
    except ValueError:
        pass
    raise FaultProblem(f"{name}={when}: write a share like 2%, one occasion like #3 or #3-5, or the first few like x3")


def _checked_setting(name: str, value: str) -> str:
    choices = SETTINGS[name][1]
    if choices is not None and value not in choices:
        raise FaultProblem(f"{name}={value}: write one of {', '.join(choices)}")
    try:
        if name == "latency":
            Latency.parse(value)
        elif choices is None:
            duration_s(value)
    except TimingProblem as problem:
        raise FaultProblem(f"{name}={value}: {problem}") from problem
    return value
