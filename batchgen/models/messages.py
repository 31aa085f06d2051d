"""The faults of an input in a person's words: what is wrong, where, and what would be right."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from batchgen.core.suggest import did_you_mean
from batchgen.models.fault import Fault, shown

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_LONGEST = 300
_MOST_COMPARED = 1000
"""Finding the nearest word takes a millisecond for each twenty."""

_Error = Any  # jsonschema's ValidationError, whose stub says "or unset" of every attribute an error has


def faults(schema: Mapping[str, Any], required: tuple[str, ...], request_input: Mapping[str, Any]) -> list[Fault]:
    """Every fault that a standard *schema* has against *request_input*, ordered by field and place."""
    import jsonschema  # 60 ms to import, and needed only when a row is not plainly right

    validator = jsonschema.Draft202012Validator({**schema, "required": list(required)})
    places = {name: place for place, name in enumerate(schema.get("properties", ()))}
    found = [_fault(error) for error in validator.iter_errors(dict(request_input))]
    return sorted(found, key=lambda fault: places.get(fault.path[2:].split("[")[0].split(".")[0], -1))


def _fault(error: _Error) -> Fault:
    if error.validator == "required":
        name = next(name for name in error.validator_value if error.message.startswith(repr(name)))
        path, message = f"{error.json_path}.{name}", f"{name!r} is required and missing; give each row one"
        return Fault(path, message, rule="required")
    word = _WORDS.get(error.validator)
    return Fault(error.json_path, word(error) if word else textwrap.shorten(error.message, _LONGEST, placeholder=" …"))


def _not_one_of(error: _Error) -> str:
    options = [str(option) for option in error.validator_value]
    offer = did_you_mean(error.instance, options[:_MOST_COMPARED]) if isinstance(error.instance, str) else ""
    return f"{shown(error.instance)} is not one of the choices{offer} (choices: {shown_options(options)})"


def shown_options(options: list[str]) -> str:
    """The choices of an enum, cut when they are many; a run of whole numbers by its ends."""
    if len(options) > 4 and all(map(_WHOLE.fullmatch, options)):
        numbers = sorted(int(option) for option in options)
        if numbers[-1] - numbers[0] + 1 == len(numbers):
            return f"{numbers[0]} to {numbers[-1]}"
    more = f" and {len(options) - 12} more" if len(options) > 12 else ""
    return ", ".join(options[:12]) + more


def _too_long(error: _Error) -> str:
    length, most = len(error.instance), error.validator_value
    return f"the text is {length} characters long and {most} are allowed; cut {length - most}"


def _too_short(error: _Error) -> str:
    return f"the text is {len(error.instance)} characters long; write at least {error.validator_value}"


def _too_small(error: _Error) -> str:
    return f"{error.instance} is too small; write {error.validator_value} or more"


def _too_large(error: _Error) -> str:
    return f"{error.instance} is too large; write {error.validator_value} or less"


def _too_few(error: _Error) -> str:
    have = len(error.instance)
    least = error.validator_value
    return f"the list is empty; give at least {least}" if have == 0 else f"{have} given; give at least {least}"


def _too_many(error: _Error) -> str:
    return f"{len(error.instance)} given and {error.validator_value} are allowed; leave some out"


def _wrong_type(error: _Error) -> str:
    kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    return f"{shown(error.instance)} is not of type {' or '.join(map(str, kinds))}"


_WORDS: Mapping[str, Callable[[_Error], str]] = {
    "enum": _not_one_of,
    "maxLength": _too_long,
    "minLength": _too_short,
    "minimum": _too_small,
    "maximum": _too_large,
    "minItems": _too_few,
    "maxItems": _too_many,
    "type": _wrong_type,
}
