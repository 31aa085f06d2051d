"""What is typed becomes what a command's function takes.

typer would have pydantic do it, and to load that takes longer than `status` and `--help` take in all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperArgument, TyperCommand, TyperOption

Make: TypeAlias = Callable[[Any], Any]
Number = TypeVar("Number", int, float)


class Command(TyperCommand):
    """A command whose values are made by the types and the limits that its function gives them."""

    def get_params(self, ctx: Any) -> list[Any]:
        assert self.callback is not None, "a command does something"
        hints = get_type_hints(inspect.unwrap(self.callback), include_extras=True)
        return [
            made_by(maker(hints[parameter.name]) if parameter.name in hints else None, parameter)
            for parameter in super().get_params(ctx)
        ]


def made_by(make: Make | None, parameter: Any) -> Any:
    """*parameter*, its values made by *make*; without one typer makes them, where any is given."""
    assert isinstance(parameter, (TyperArgument, TyperOption)), "typer has no others"
    if not isinstance(parameter.process_value, partial):  # typer asks for them more than once
        process = partial(_processed, parameter, make, parameter.process_value)
        parameter.process_value = process  # type: ignore[method-assign]  # typer constructs them itself
    return parameter


def _processed(
    parameter: TyperArgument | TyperOption, make: Make | None, by_typer: Callable[[Any, Any], Any], ctx: Any, value: Any
) -> Any:
    if parameter.value_is_missing(value):
        if parameter.required:
            return by_typer(ctx, value)  # says what is missing
        value = () if parameter.multiple or parameter.nargs == -1 else None
    elif make is None:
        return by_typer(ctx, value)
    else:
        value = tuple(map(make, value)) if parameter.multiple or parameter.nargs == -1 else make(value)
    return value if parameter.callback is None else parameter.callback(ctx, parameter, value)


def maker(annotated: Any) -> Make:
    """What makes one value of an annotated type: the parser that it names, or its type within its limits."""
    annotation, told = get_args(annotated)
    if told.parser is not None:
        return told.parser  # type: ignore[no-any-return]  # typer says no more of it
    (plain,) = {*(get_args(annotation) or (annotation,))} - {NoneType}
    if get_origin(plain) is list:
        (plain,) = get_args(plain)
    made: dict[Any, Make] = {
        str: str,
        Path: Path,
        bool: yes_or_no,
        int: partial(_number, int, "a whole number", told.min, told.max),
        float: partial(_number, float, "a number", told.min, told.max),
    }
    return made[plain]


_YES, _NO = frozenset({"1", "on", "t", "true", "y", "yes"}), frozenset({"", "0", "off", "f", "false", "n", "no"})


def yes_or_no(value: str | bool) -> bool:
    """A flag, or what its variable holds."""
    word = str(value).strip().lower()
    if word not in _YES | _NO:
        raise typer.BadParameter(f"{value!r} is neither yes nor no; write 1 or 0")
    return word in _YES


def _number(
    kind: type[Number], words: str, least: float | None, most: float | None, value: str | int | float
) -> Number:
    try:
        number = kind(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not {words}") from None
    if (least is not None and not number >= least) or (most is not None and not number <= most):  # nan is neither
        limits = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise typer.BadParameter(f"{value!r} is not {words} {limits}")
    return number
