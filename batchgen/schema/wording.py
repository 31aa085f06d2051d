"""The faults of an input in a person's words: what is wrong, where, and what would be right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from batchgen.schema.fault import Fault, shown
from batchgen.schema.nearest import did_you_mean

_Error = Any  # jsonschema's ValidationError, whose stub says "or unset" of every attribute an error has


def faults(schema: Mapping[str, Any], required: tuple[str, ...], request_input: Mapping[str, Any]) -> list[Fault]:
    """Every fault jsonschema finds in *request_input*, ordered by field and place."""
    import jsonschema  # 60 ms to import, and needed only when a row is not plainly right

    enforceable = {**standard(schema), "required": list(required)}
    validator = jsonschema.Draft202012Validator(enforceable)
    places = {name: place for place, name in enumerate(enforceable.get("properties", ()))}
    found = [_fault(error) for error in validator.iter_errors(dict(request_input))]
    return sorted(found, key=lambda fault: places.get(fault.path[2:].split("[")[0].split(".")[0], -1))


def standard(schema: Any) -> Any:
    """*schema* in standard JSON Schema: the catalogue's type `float` is number, and a type unknown is any."""
    match schema:
        case Mapping():
            fixed = {key: standard(value) if key not in _DATA else value for key, value in schema.items()}
            if "type" in fixed:
                fixed["type"] = _standard_type(fixed["type"])
                if not fixed["type"]:
                    del fixed["type"]
            return fixed
        case list():
            return [standard(item) for item in schema]
    return schema


_DATA = frozenset({"enum", "const", "default", "examples", "required", "validations"})
_STANDARD = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})


def _standard_type(kind: Any) -> Any:
    if isinstance(kind, Mapping):
        return kind  # a property that is called "type"
    kinds = ["number" if name == "float" else name for name in ([kind] if isinstance(kind, str) else kind)]
    return kinds if all(name in _STANDARD for name in kinds) else None


def _fault(error: _Error) -> Fault:
    if error.validator == "required":
        name = error.message.split("'")[1]  # the missing name stands nowhere but in the message
        path, message = f"{error.json_path}.{name}", f"{name!r} is required and missing; give each row one"
        return Fault(path, message, rule="required")
    word = _WORDS.get(error.validator)
    return Fault(error.json_path, word(error) if word else error.message)


def _not_one_of(error: _Error) -> str:
    options = [str(option) for option in error.validator_value]
    offer = did_you_mean(error.instance, options) if isinstance(error.instance, str) else ""
    return f"{shown(error.instance)} is not one of the choices{offer} (choices: {shown_options(options)})"


def shown_options(options: list[str]) -> str:
    """The choices of an enum, cut when they are many; a run of whole numbers by its ends."""
    if len(options) > 4 and all(option.lstrip("-").isdigit() for option in options):
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
