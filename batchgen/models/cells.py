"""From what a manifest says to the value a field wants: typing of cells, one converter a field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from batchgen.core.row import canonical, half_a_character
from batchgen.models.fault import shown

Convert = Callable[[Any], Any]

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})

_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+")
_THOUSANDS = re.compile(r"[-+]?[1-9][0-9]{0,2},[0-9]{3}")


class Plain(str):
    """Text that was written without quotes: a number, word or date whose type the field decides."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Plain({str.__repr__(self)})"  # it means another thing than the same text in quotes


class Misfit(Exception):
    """A cell that cannot become what its field wants; *path* is the place inside the field (`[0].url`)."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path


def converter(field: Mapping[str, Any]) -> Convert:
    """The function that types a cell of *field* (a JSON schema), raising Misfit where it cannot."""
    kinds = _kinds(field)
    if len(kinds) == 1:
        return _converter_of(kinds[0], field)
    if kinds:
        return _first_fitting([_converter_of(kind, field) for kind in kinds])
    choices = [option for key in ("anyOf", "oneOf") for option in field.get(key, ())]
    choices = [option for option in choices if isinstance(option, Mapping) and option.get("type") != "null"]
    if choices:
        return _first_fitting([converter(option) for option in choices])
    return _enumerated(field["enum"]) if field.get("enum") else natural


def _kinds(field: Mapping[str, Any]) -> list[str]:
    kind = field.get("type")
    if kind is None and ("items" in field or str(field.get("format", "")).endswith("_uris")):
        return ["array"]
    if isinstance(kind, str):
        return [kind]
    order = ("boolean", "integer", "number", "float", "array", "object", "string")
    return [name for name in order if name in kind] if isinstance(kind, list) else []


def _converter_of(kind: str, field: Mapping[str, Any]) -> Convert:
    match kind:
        case "string":
            return to_address if str(field.get("format", "")).endswith("_uri") else to_string
        case "integer":
            return to_integer
        case "number" | "float":
            return to_number
        case "boolean":
            return to_boolean
        case "array":
            return _list_of(field)
        case "object":
            return _object_of(field)
    return natural


def _first_fitting(converters: list[Convert]) -> Convert:
    def convert(cell: Any) -> Any:
        misfits = []
        for attempt in converters:
            try:
                return attempt(cell)
            except Misfit as misfit:
                misfits.append(misfit)
        raise misfits[-1]

    return convert


def _enumerated(options: list[Any]) -> Convert:
    by_text = {str(canonical(option)): option for option in options if not isinstance(option, list | dict)}

    def convert(cell: Any) -> Any:
        value = natural(cell)
        return value if isinstance(value, list | dict) else by_text.get(str(canonical(cell)), value)

    return convert


def to_string(cell: Any) -> str:
    """Text stays exactly as written, `007` too; numbers of a JSON manifest become their plain text."""
    if type(cell) is str:
        return cell
    if isinstance(cell, str):
        return str(cell)
    if isinstance(cell, bool | int | float):
        return str(canonical(cell))
    raise Misfit(f"{_kind_of(cell)} stands where text belongs; write one text")


def to_address(cell: Any) -> str:
    """A path or URL, without the blanks around it."""
    return to_string(cell).strip()


def to_integer(cell: Any) -> int:
    """7, 7.0, "7", "007" and "7e0" are 7."""
    if isinstance(cell, str):
        return _integer_of(cell)
    if isinstance(cell, int) and not isinstance(cell, bool):
        return cell
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    raise Misfit(f"{shown(cell)} is not a whole number; write one such as 12, or leave it empty")


def _integer_of(text: str) -> int:
    if text.isdecimal() and text.isascii() and len(text) < 30:
        return int(text)
    number = _decimal(text)
    if number is None:
        _refuse_decimal_comma(text)
        digits = "".join(character for character in text if character.isdecimal())[:9]
        right = f"write {digits} or" if digits else "write one such as 12, or"
        raise Misfit(f"{shown(text)} is not a whole number; {right} leave it empty")
    if number.adjusted() > 30:
        raise Misfit(f"{shown(text)} is far too large; write a smaller whole number or leave it empty")
    if number != number.to_integral_value():
        raise Misfit(f"{shown(text)} is not a whole number; write {round(number)} or leave it empty")
    return int(number)


def _decimal(text: str) -> Decimal | None:
    """The number *text* spells in ASCII digits, or None."""
    if not text.isascii() or "_" in text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _refuse_decimal_comma(text: str) -> None:
    if _DECIMAL_COMMA.fullmatch(text.strip()) and not _THOUSANDS.fullmatch(text.strip()):
        raise Misfit(f"{shown(text)} has a decimal comma; write {text.strip().replace(',', '.')}")


def to_number(cell: Any) -> int | float:
    """Whole numbers stay whole; what is not finite is refused."""
    if isinstance(cell, int | float) and not isinstance(cell, bool) and math.isfinite(cell):
        return cell
    number = _decimal(cell) if isinstance(cell, str) else None
    if number is None and isinstance(cell, str):
        _refuse_decimal_comma(cell)
    if number is None or abs(number.adjusted()) > 300:
        raise Misfit(f"{shown(cell)} is not a number; write one such as 2.5, or leave it empty")
    return int(number) if number == number.to_integral_value() and number.adjusted() < 30 else float(number)


def to_boolean(cell: Any) -> bool:
    """true/false, yes/no, on/off and 1/0, in any case."""
    if isinstance(cell, bool):
        return cell
    word = str(cell).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise Misfit(f"{shown(cell)} is neither true nor false; write one of them, or leave it empty")


def _list_of(field: Mapping[str, Any]) -> Convert:
    items = field.get("items")
    item_converter = converter(items) if isinstance(items, Mapping) else to_string

    keeps_text = item_converter in (to_string, to_address)

    def convert(cell: Any) -> list[Any]:
        if keeps_text and type(cell) is str and cell[:1] not in "[ ":  # a|b, the way of nearly every cell
            texts = [text.strip() for text in cell.split("|")]
            if all(texts):
                return texts
        values = []
        for index, item in enumerate(_parts(cell)):
            try:
                values.append(item_converter(item))
            except Misfit as misfit:
                raise Misfit(misfit.message, f"[{index}]{misfit.path}") from None
        return values

    return convert


def _parts(cell: Any) -> list[Any]:
    if isinstance(cell, str):
        cell = _parts_of_text(cell.strip())
    if not isinstance(cell, list):
        raise Misfit(f'{_kind_of(cell)} stands where a list belongs; write ["a", "b"] or a|b')
    for index, item in enumerate(cell):
        if item is None or (not item and isinstance(item, str)):
            raise Misfit(f"entry {index + 1} of the list is empty; write it or leave it out", f"[{index}]")
    return cell


def _parts_of_text(text: str) -> list[Any]:
    if not text.startswith("["):
        return [part.strip() for part in text.split("|")] if text else []
    parsed = _parsed(text)
    if not isinstance(parsed, list):
        raise Misfit(f'{shown(text)} is not a JSON list; write ["a", "b"] or a|b')
    return parsed


def _parsed(text: str) -> Any:
    """*text* as JSON with its numbers left as text, or None if it is none."""
    try:
        parsed = json.loads(text, parse_int=Plain, parse_float=Plain, parse_constant=Plain)
    except (ValueError, RecursionError):
        return None
    if (fault := half_a_character(text, parsed)) is not None:
        raise Misfit(fault)
    return parsed


def _object_of(field: Mapping[str, Any]) -> Convert:
    inner = field.get("properties")
    known = {key: converter(of) for key, of in inner.items()} if isinstance(inner, Mapping) else {}

    def convert(cell: Any) -> dict[str, Any]:
        value = _parsed(cell) if isinstance(cell, str) else cell
        if not isinstance(value, dict):
            raise Misfit(f'{shown(cell)} stands where an object belongs; write {{"key": "value"}}')
        converted = {}
        for key, item in value.items():
            try:
                converted[str(key)] = known.get(key, natural)(item)
            except Misfit as misfit:
                raise Misfit(misfit.message, f".{key}{misfit.path}") from None
        return converted

    return convert


def natural(cell: Any) -> Any:
    """*cell* where no schema says a type: unquoted numbers and words as JSON reads them, else as it is."""
    match cell:
        case Plain():
            return _natural_text(str(cell))
        case list():
            return [natural(item) for item in cell]
        case dict():
            return {str(key): natural(item) for key, item in cell.items()}
    return cell


def _natural_text(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    is_finite = not isinstance(value, float) or math.isfinite(value)
    return value if isinstance(value, int | float) and is_finite else text


def _kind_of(cell: Any) -> str:
    match cell:
        case list():
            return "a list"
        case dict():
            return "an object"
        case bool():
            return "true or false"
        case int() | float():
            return f"the number {shown(cell)}"
    return shown(cell)
