"""`--where`: a small expression over the columns, read with Python's own grammar and never evaluated by it."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from typing import Any, TypeAlias

from batchgen.core.errors import Refusal
from batchgen.models import did_you_mean
from batchgen.results.export.columns import OPEN, Record

LONGEST = 2_000
"""The most characters of an expression: enough for any choice, and too few to nest deeply."""

Term: TypeAlias = Callable[[Record], Any]

_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.eq,
    ast.IsNot: operator.ne,
}
_EXAMPLE = "as in: review == 'accepted' and width >= 1024 and meta.subject in ['dune', 'lake']"


class NotACondition(Refusal):
    """The words after --where cannot be understood; the message says which and what to write."""


class Condition:
    """One expression over *columns*: comparisons, `and`, `or`, `not`, `in`, column names and constants.

    A text is a number where it is compared with one. A comparison with what is absent does not hold, but for `!=`
    and `== None`. Raises NotACondition.
    """

    def __init__(self, text: str, columns: Collection[str]) -> None:
        self._columns = columns
        if len(text) > LONGEST:
            raise NotACondition(f"--where has {len(text)} characters; at most {LONGEST} are read")
        try:
            tree = ast.parse(text.strip(), mode="eval")
            self._holds = self._term(tree.body)
        except SyntaxError as error:
            raise NotACondition(f"--where {text!r} cannot be read{_hint(text, error)}") from None
        except (ValueError, RecursionError, MemoryError):
            raise NotACondition(f"--where cannot be read; write it shorter, {_EXAMPLE}") from None

    def holds(self, record: Record) -> bool:
        return bool(self._holds(record))

    def _term(self, node: ast.expr) -> Term:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                terms = [self._term(value) for value in values]
                return lambda record: all(term(record) for term in terms)
            case ast.BoolOp(values=values):
                terms = [self._term(value) for value in values]
                return lambda record: any(term(record) for term in terms)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                term = self._term(operand)
                return lambda record: not term(record)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self._comparison(left, ops, comparators)
            case ast.Name() | ast.Attribute() | ast.Subscript():
                name = self._column(node)
                return lambda record: record.get(name, "" if name.startswith(OPEN) else None)
        constant = _constant(node)
        return lambda record: constant

    def _comparison(self, left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr]) -> Term:
        terms = [self._term(node) for node in (left, *comparators)]

        def holds(record: Record) -> bool:
            values = [term(record) for term in terms]
            return all(_compared(op, *pair) for op, pair in zip(ops, pairwise(values), strict=True))

        return holds

    def _column(self, node: ast.expr) -> str:
        name = _dotted(node)
        if name not in self._columns:
            quoted = f" (if it is a text, write it in quotes: {name!r})" if isinstance(node, ast.Name) else ""
            raise NotACondition(f"--where: no column is called {name!r}{did_you_mean(name, self._columns)}{quoted}")
        return name


def _dotted(node: ast.expr) -> str:
    """`meta.subject`, `input["image size"]`: the column that is meant."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{_dotted(value)}.{attr}"
        case ast.Subscript(value=value, slice=ast.Constant(value=str() as key)):
            return f"{_dotted(value)}.{key}"
    raise NotACondition(f"--where: {ast.unparse(node)!r} is not the name of a column")


def _constant(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return [_constant(item) for item in items]
    raise NotACondition(
        f"--where: {ast.unparse(node)[:60]!r} is not allowed; there are comparisons, and, or, not, in, columns, "
        f"texts and numbers, {_EXAMPLE}"
    )


def _compared(op: ast.cmpop, left: Any, right: Any) -> bool:
    match op:
        case ast.In():
            return _is_in(left, right)
        case ast.NotIn():
            return not _is_in(left, right)
    left, right = _alike(left, right)
    try:
        return _COMPARISONS[type(op)](left, right)
    except TypeError:  # a text and a number, or nothing at all, have no order
        return False


def _is_in(left: Any, right: Any) -> bool:
    if isinstance(right, list):
        return any(_compared(ast.Eq(), left, item) for item in right)
    return isinstance(left, str) and isinstance(right, str) and left in right


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """A text that is compared with a number counts as the number it spells, if it does."""
    if isinstance(left, str) and isinstance(right, int | float):
        return _number(left), right
    if isinstance(right, str) and isinstance(left, int | float):
        return left, _number(right)
    return left, right


def _number(text: str) -> str | float:
    if text in ("true", "false"):
        return float(text == "true")
    try:
        return float(text)
    except ValueError:
        return text


def _hint(text: str, error: SyntaxError) -> str:
    if "&" in text or "|" in text:
        return "; write `and` and `or` for && and ||"
    if "=" in text and not any(sign in text for sign in ("==", "<=", ">=", "!=")):
        return "; write == to compare"
    return f" ({error.msg}); write it {_EXAMPLE}"
