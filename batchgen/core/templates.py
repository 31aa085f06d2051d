"""From one row to many: the matrix that is crossed with every row, and the templates that write its texts.

Pure. A template comes from a file that somebody may have sent, so it is confined twice: by Jinja's immutable
sandbox, and by allowing only what a prompt needs (no calls, no assignments, no nested loops, bounded growth).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment, Template, Undefined

LONGEST_TEXT = 100_000
"""The most characters a template may write."""

_ALLOWED_NODES = frozenset({
    "Template", "Output", "TemplateData", "Name", "Const", "List", "Tuple", "If", "For", "CondExpr", "Compare",
    "Operand", "And", "Or", "Not", "Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow", "Neg", "Pos", "Concat",
    "Filter", "Test", "Getattr", "Getitem", "Keyword",
})  # fmt: skip
_ALLOWED_FILTERS = frozenset({
    "abs", "capitalize", "default", "d", "first", "float", "int", "join", "last", "length", "count", "lower",
    "replace", "round", "string", "title", "trim", "truncate", "upper", "wordcount",
})  # fmt: skip
_ALLOWED_TESTS = frozenset({
    "defined", "undefined", "none", "in", "odd", "even", "divisibleby", "eq", "ne", "lt", "le", "gt", "ge",
    "equalto", "string", "number",
})  # fmt: skip
_LARGEST_BITS = 256


class TemplateFault(Exception):
    """A template that cannot be read, is not allowed, or failed on a row; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Lists to cross, with `exclude` and `include` as GitHub Actions defines them."""

    axes: Mapping[str, Sequence[Any]]
    include: Sequence[Mapping[str, Any]] = ()
    exclude: Sequence[Mapping[str, Any]] = ()

    @property
    def keys(self) -> frozenset[str]:
        """Every name a combination may carry."""
        return frozenset(self.axes).union(*self.include)

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Every combination, one at a time, the last axis changing fastest.

        Those an `exclude` matches in all its keys are left out. An `include` adds its keys to every
        combination whose own values it does not contradict; one that fits none is a combination by itself,
        after the others.
        """
        fitted = [False] * len(self.include)
        for values in itertools.product(*self.axes.values()) if self.axes else ():
            original = dict(zip(self.axes, values, strict=True))
            if any(_agrees(original, entry) for entry in self.exclude):
                continue
            combination = dict(original)
            for place, entry in enumerate(self.include):
                if _agrees(original, {key: entry[key] for key in entry if key in original}):
                    combination.update(entry)
                    fitted[place] = True
            yield combination
        yield from (dict(entry) for place, entry in enumerate(self.include) if not fitted[place])


def _agrees(combination: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    return all(key in combination and combination[key] == value for key, value in entry.items())


class TextTemplate:
    """One template, checked when made. Raises TemplateFault if it is not Jinja or does what is not allowed."""

    def __init__(self, source: str) -> None:
        from jinja2 import TemplateSyntaxError, meta

        _bound(len(source))
        environment = _environment()
        try:
            tree = environment.parse(source)
            _check_nodes(tree, inside_loop=False)
            self.names = frozenset(meta.find_undeclared_variables(tree))
            self.required = self.names - _guarded(tree)
            self._template: Template = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise TemplateFault(f"the template cannot be read: {error.message}") from None
        except RecursionError:
            raise TemplateFault("the template is nested too deeply") from None

    def render(self, names: Mapping[str, Any], empty: Set[str] = frozenset()) -> str:
        """The text for a row's *names*; those of *empty* cells write nothing, and `default` fills them.

        Raises TemplateFault, also for a text over LONGEST_TEXT.
        """
        written, length = [], 0
        blank = {name: "" if name in self.required else empty_cell(name) for name in empty & self.names}
        try:
            for piece in self._template.generate({**blank, **names} if blank else names):
                length += len(piece)
                _bound(length)
                written.append(piece)
        except TemplateFault:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an expression of the user's raises is his fault to read
            raise TemplateFault(f"the template fails on this row: {error}") from None
        return "".join(written)


def empty_cell(name: str) -> Undefined:
    """What a template finds in an empty cell that it asks about: not defined, and no fault where it is written."""
    from jinja2 import Undefined

    return Undefined(name=name)


def _check_nodes(node: Any, inside_loop: bool) -> None:
    kind = type(node).__name__
    if kind == "Call":
        raise TemplateFault("calls are not allowed in a template; use a filter, as in {{ subject|upper }}")
    if kind not in _ALLOWED_NODES:
        raise TemplateFault(f"{kind.lower()} is not allowed in a template")
    if kind == "Filter" and node.name not in _ALLOWED_FILTERS:
        raise TemplateFault(f"no filter is called {node.name!r}; there are {', '.join(sorted(_ALLOWED_FILTERS))}")
    if kind == "Test" and node.name not in _ALLOWED_TESTS:
        raise TemplateFault(f"no test is called {node.name!r}; there are {', '.join(sorted(_ALLOWED_TESTS))}")
    if kind == "For" and (inside_loop or node.recursive):
        raise TemplateFault("a loop inside a loop is not allowed in a template")
    for child in node.iter_child_nodes():
        _check_nodes(child, inside_loop or kind == "For")


def _guarded(tree: Any) -> frozenset[str]:
    """The names a template asks about before it uses them, by `default` or `is defined`."""
    from jinja2 import nodes

    asked = [found.node for found in tree.find_all(nodes.Filter) if found.name in ("default", "d")]
    asked += [found.node for found in tree.find_all(nodes.Test) if found.name in ("defined", "undefined")]
    return frozenset(node.name for node in asked if isinstance(node, nodes.Name))


def _bound(length: int) -> None:
    if length > LONGEST_TEXT:
        raise TemplateFault(f"the template writes more than {LONGEST_TEXT} characters")


@cache
def _environment() -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.runtime import Context
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Confined(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"*", "**", "%"})

        def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
            _check_operands(operator, left, right)
            return super().call_binop(context, operator, left, right)

    environment = Confined(undefined=StrictUndefined, autoescape=False, finalize=_written)
    environment.globals.clear()
    environment.filters["replace"] = _replace
    environment.filters["join"] = _join
    return environment


def _check_operands(operator: str, left: Any, right: Any) -> None:
    for operand in (left, right):
        if not isinstance(operand, int | float):
            message = f"{operand!r} is not a number for {operator}; a cell is text, write {{{{ n|int {operator} 2 }}}}"
            raise TemplateFault(message)
    if operator == "**":
        bits = max(1, int(abs(left)).bit_length()) * abs(right)
    else:
        bits = int(abs(left)).bit_length() + int(abs(right)).bit_length()
    if bits > _LARGEST_BITS:
        raise TemplateFault(f"{left} {operator} {right} is too large a number")


def _written(value: Any) -> str:
    """How a value stands in the text: lists as the manifest writes them, a|b."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list() | tuple():
            return "|".join(_written(item) for item in value)
        case None:
            return ""
    # An undefined name is not for us to print: its own text says what is missing.
    from jinja2 import Undefined

    if isinstance(value, Undefined):
        return str(value)
    raise TemplateFault(f"a {type(value).__name__} cannot stand in a text")


def _replace(text: Any, old: Any, new: Any) -> str:
    text, old, new = str(text), str(old), str(new)
    _bound(len(text) + (text.count(old) * len(new)))
    return str(text.replace(old, new))


def _join(values: Any, separator: Any = "") -> str:
    texts = [_written(value) for value in values]
    _bound(sum(map(len, texts)) + len(texts) * len(str(separator)))
    return str(separator).join(texts)
