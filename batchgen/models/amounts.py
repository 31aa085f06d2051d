"""How much a request asks for: outputs, and seconds of film or sound, as far as its model's fields bound them.

What nobody bounds is None, never 1: a film whose length the model chooses may be billed at any length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

Number: TypeAlias = int | Fraction
Field: TypeAlias = Mapping[str, Any]

_COUNTS = frozenset({"sequential_image_generation_options", "n", "batch_size", "quantity", "samples"})
_COUNTING = frozenset({"num", "number", "count", "max", "maximum", "total"})
_COUNTED = frozenset({
    "image", "images", "picture", "pictures", "video", "videos", "clip", "clips", "song", "songs", "track", "tracks",
    "output", "outputs", "result", "results", "sample", "samples", "variation", "variations", "variant", "variants",
    "generation", "generations",
})  # fmt: skip

_LENGTHS = frozenset({"duration", "length"})
_ABOUT_A_LENGTH = _COUNTING | frozenset({
    "in", "of", "target", "output", "total", "generation", "video", "film", "clip", "audio", "music", "song", "sound",
    "speech", "track",
})  # fmt: skip
_PER_SECOND: Mapping[str, Fraction | None] = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), Fraction(1)),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), Fraction(1000)),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), Fraction(1, 60)),
    **dict.fromkeys(("frame", "frames"), None),  # as many as another field says
}
"""How many of a unit make a second."""
_NAMED_UNITS = frozenset(_PER_SECOND) - {"min", "mins"}  # in names and prose that is the least

_FRAME_RATES = frozenset({"fps", "frame_rate", "framerate", "frames_per_second", "video_fps", "output_fps"})
_OTHER_UNITS = re.compile(r"\b(?:in|of) (?:words|tokens|characters|syllables|beats|bars|lines|pages)\b")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z]*)\s*")
_MOST = 10**9
"""More is no count and no length that anybody could price."""


@dataclass(frozen=True, slots=True)
class Amount:
    """One field that says how many or how long.

    *left_out* is what a request without it may come to: the field's default, else the largest number it offers.
    *largest* is what a value may come to that is no number of its own: `auto`, -1. Both are None where unbounded.
    *per_second* is None for a count of frames.
    """

    name: str
    per_second: Fraction | None
    has_default: bool
    left_out: Number | None
    largest: Number | None

    def asked(self, request_input: Field) -> Number | None:
        """How much *request_input* asks for at most, in the field's own unit."""
        value = request_input.get(self.name)
        if value is None:
            return self.left_out
        return _positive(value, self.per_second) or self.largest


@dataclass(frozen=True, slots=True)
class Lengths:
    """The fields that say how long one output is. *parts* are lists of shots with a length each, by their field."""

    amounts: Sequence[Amount]
    frame_rates: Mapping[str, Any]
    parts: Mapping[str, Lengths]

    def seconds(self, request_input: Field) -> Number | None:
        """The longest that *request_input* may ask for. A field that is left out and has no default says nothing as
        long as another one speaks."""
        spoken = [amount for amount in self.amounts if amount.has_default or request_input.get(amount.name) is not None]
        lengths = [self._seconds_of(amount, request_input) for amount in spoken or self.amounts]
        for name, shot in self.parts.items():
            if isinstance(shots := request_input.get(name), list) and shots:
                each = [shot.seconds(one) if isinstance(one, Mapping) else None for one in shots]
                lengths.append(sum((one for one in each if one is not None), 0) if None not in each else None)
        known = [length for length in lengths if length is not None]
        return max(known) if known and len(known) == len(lengths) else None

    def _seconds_of(self, amount: Amount, request_input: Field) -> Number | None:
        asked = amount.asked(request_input)
        if asked is None or amount.per_second == 1:
            return asked
        per_second = amount.per_second or self._frames_per_second(request_input)
        return None if per_second is None else Fraction(asked) / per_second

    def _frames_per_second(self, request_input: Field) -> Number | None:
        rates = [
            _positive(default if request_input.get(name) is None else request_input[name], Fraction(1))
            for name, default in self.frame_rates.items()
        ]
        return None if None in rates else min((rate for rate in rates if rate is not None), default=None)


@dataclass(frozen=True, slots=True)
class Amounts:
    """What of a model's fields decides what a request costs."""

    counts: Sequence[Amount]
    lengths: Lengths

    def outputs(self, request_input: Field) -> int | None:
        """How many outputs *request_input* may be charged for. Several counts are each other's multiples: so many
        generations of so many pictures."""
        outputs = 1
        for count in self.counts:
            asked = count.asked(request_input)
            if asked is None:
                return None
            outputs *= math.ceil(asked)
        return outputs if outputs <= _MOST else None

    def seconds(self, request_input: Field) -> int | None:
        """How many seconds of all its outputs *request_input* may be charged for, rounded up."""
        outputs, seconds = self.outputs(request_input), self.lengths.seconds(request_input)
        if outputs is None or seconds is None:
            return None
        whole = math.ceil(outputs * seconds)
        return whole if whole <= _MOST else None


def amounts_of(fields: Mapping[str, Field]) -> Amounts:
    """The counts and lengths among *fields*, by their names and what is said of them."""
    counts = [_amount(name, of, Fraction(1)) for name, of in fields.items() if _is_count(name, of)]
    return Amounts(counts, _lengths_of(fields))


def _lengths_of(fields: Mapping[str, Field], depth: int = 0) -> Lengths:
    amounts = []
    for name, of in fields.items():
        if (unit := _unit_of_length(name, of)) is not None:
            amounts.append(_amount(name, of, _PER_SECOND[unit]))
    frame_rates = {name: of.get("default") for name, of in fields.items() if name in _FRAME_RATES}
    parts = {} if depth else {name: inner for name, of in fields.items() if (inner := _shots(of)).amounts}
    return Lengths(amounts, frame_rates, parts)


def _shots(of: Field) -> Lengths:
    """The lengths in each entry of a list of objects."""
    items = of.get("items")
    properties = items.get("properties") if isinstance(items, Mapping) else None
    fields = properties.items() if isinstance(properties, Mapping) else ()
    return _lengths_of({str(name): inner for name, inner in fields if isinstance(inner, Mapping)}, depth=1)


def _is_count(name: str, of: Field) -> bool:
    if not _is_scalar(of):
        return False
    words = _words(name) - {"of"}
    return name in _COUNTS or (words <= _COUNTING | _COUNTED and bool(words & _COUNTING) and bool(words & _COUNTED))


def _unit_of_length(name: str, of: Field) -> str | None:
    """The unit in which a field says how long an output is to be; None for a field that does not say it."""
    words = _words(name)
    units = words & _NAMED_UNITS
    if not (words & _LENGTHS or units - {"s"}) or not words <= _LENGTHS | _NAMED_UNITS | _ABOUT_A_LENGTH:
        return None
    if not _is_scalar(of):
        return None
    if units:
        return min(units)
    said = f"{of.get('title') or ''} {of.get('description') or ''}".lower()
    described = [unit for unit in sorted(_NAMED_UNITS) if len(unit) > 1 and re.search(rf"\b{unit}\b", said)]
    if not described or any(_PER_SECOND[unit] == 1 for unit in described):
        return None if not described and _OTHER_UNITS.search(said) else "s"
    return described[0]


def _is_scalar(of: Field) -> bool:
    """Whether a field holds one number or word, and not a list, a switch or an address."""
    return of.get("type") not in ("array", "object", "boolean") and "_uri" not in str(of.get("format"))


def _words(name: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(name))


def _amount(name: str, of: Field, per_second: Fraction | None) -> Amount:
    largest = _largest(of, per_second)
    default = of.get("default")
    return Amount(
        name=name,
        per_second=per_second,
        has_default=default not in (None, ""),
        left_out=_positive(default, per_second) or largest,
        largest=largest,
    )


def _largest(of: Field, per_second: Fraction | None) -> Number | None:
    """The largest number that a field offers; None if it offers none, or one that cannot be read."""
    largest: Number = 0
    for offer in _offers(of):
        number = _positive(offer, per_second)
        if number is None and isinstance(offer, str) and any(character.isdigit() for character in offer):
            return None  # `0:30` may be the longest of all
        largest = max(largest, number or 0)
    return largest or None


def _offers(of: Field) -> Iterator[Any]:
    options = of.get("enum")
    yield from options if isinstance(options, list) else ()
    yield from (of[key] for key in ("const", "maximum", "exclusiveMaximum") if key in of)
    for key in ("anyOf", "oneOf", "allOf"):
        choices = of.get(key)
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping):
                yield from _offers(choice)


def _positive(value: Any, per_second: Fraction | None) -> Number | None:
    """*value* as a number above 0, in a unit of which *per_second* make a second; None for what is none.

    Text may bring a unit of its own: `10s`, `1500 ms`.
    """
    if type(value) is int:
        return value if value > 0 else None
    if isinstance(value, float):
        return Fraction(str(value)) if math.isfinite(value) and value > 0 else None
    match = _TEXT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    number, unit = Fraction(match[1]), match[2].lower()
    if unit:
        own = _PER_SECOND.get(unit)
        if own is None or per_second is None:
            return None
        number *= per_second / own
    return number or None
