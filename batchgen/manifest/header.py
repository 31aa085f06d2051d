"""What a YAML manifest says about all its rows: model, defaults, table, matrix and templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchgen.core.row import Problem
from batchgen.core.templates import Matrix, TemplateFault, TextTemplate, empty_cell
from batchgen.manifest.columns import Columns
from batchgen.manifest.formats.yaml import Node, entries
from batchgen.models import ABOUT_THE_ROW, Fault, UnitPrice, did_you_mean
from batchgen.models.price import unit_price


@dataclass(slots=True)
class Header:
    """Everything a manifest says outside its rows. *lines* gives the line of each key, `a.b` for nested ones.

    *written* is what all rows hang on, as it stands there: not the values of the matrix, of which each row names its
    own, and not the prices.
    """

    file: str
    model: str | None = None
    defaults: dict[str, Any] = field(default_factory=dict)
    rows_from: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)
    matrix: Matrix | None = None
    templates: dict[str, TextTemplate | list[TextTemplate]] = field(default_factory=dict)
    prices: dict[str, UnitPrice] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    has_rows: bool = False
    written: list[str] = field(default_factory=list)
    _variables: frozenset[str] = frozenset()

    @property
    def variables(self) -> frozenset[str]:
        """The names a row may carry for the sake of matrix and templates, whatever its model."""
        return self._variables

    @property
    def given(self) -> set[str]:
        """The fields that every row has from here."""
        from_defaults = {name.partition(".")[0] for name in self.defaults}
        return {*from_defaults, *self.templates, *(self.matrix.keys if self.matrix else ())}

    @property
    def written_in_templates(self) -> frozenset[str]:
        """The names that a template uses."""
        used = (template.names for name in self.templates for template in self.templates_in(name))
        return frozenset[str]().union(*used)

    def field_of(self, column: str) -> str:
        """The field, or word about the row, that a table's *column* fills."""
        return self.columns.get(column, column).partition(".")[0]

    def line_of(self, field: str) -> int | None:
        """The line where a value of *field*, which no row gives, is given for all rows."""
        if field in self.templates:  # which writes of each row something else
            return None
        places = (f"{where}.{field}" for where in ("matrix", "defaults"))
        return next((self.lines[place] for place in places if place in self.lines), None)

    def write_templates(self, own_cells: Mapping[str, Any], parts: Columns, columns: Set[str]) -> list[Fault]:
        """Write the templates of a row into its *parts*; *own_cells* are those the row itself gives.

        What is a name of *columns* and not among them is an empty cell.
        """
        known = {**parts.own, **parts.fields}
        empty_meta = (name.removeprefix("meta.") for name in columns if name.startswith("meta."))
        meta = {**{name: empty_cell(name) for name in empty_meta}, **parts.meta}
        names = {name: cell for name, cell in known.items() if cell is not None} | {"meta": meta}
        empty = {*known, *(name.partition(".")[0] for name in columns)} - names.keys()
        written: dict[str, Any] = {}
        faults = []
        for name in self.templates:
            absent = self._required_by(name) - names.keys() - empty
            faults += [Fault(f"$.{each}", _no_such_name(name, each, names)) for each in sorted(absent)]
            try:
                written[name] = None if absent else self._write(name, own_cells, names, empty)
            except TemplateFault as fault:
                faults.append(Fault(f"$.{name}", str(fault)))
        for name, text in written.items():
            (parts.own if name in ABOUT_THE_ROW else parts.fields)[name] = text
        return faults

    def _write(self, name: str, own_cells: Mapping[str, Any], names: Mapping[str, Any], empty: Set[str]) -> Any:
        templates = self.templates_in(name)
        if name in own_cells and not any(name in template.names for template in templates):
            hint = f"delete one, or use {{{{ {name} }}}} in it"
            raise TemplateFault(f"this row's own {name!r} would be lost to the template; {hint}")
        rendered = [(template.render(names, empty), template.required & empty) for template in templates]
        texts = [text for text, blank in rendered if text.strip() or not blank]  # of empty cells alone comes no text
        if not texts:
            return None
        return texts if isinstance(self.templates[name], list) else texts[0]

    def _required_by(self, name: str) -> frozenset[str]:
        return frozenset[str]().union(*(template.required for template in self.templates_in(name)))

    def templates_in(self, name: str) -> list[TextTemplate]:
        """The templates of field *name*: one, or one for each entry of a list."""
        found = self.templates[name]
        return found if isinstance(found, list) else [found]

    def take_price(self, model: str, cell: Any) -> None:
        """Keep what one output, or second, of *model* costs."""
        if (price := unit_price(cell)) is not None:
            self.prices[model] = price
        else:
            message = f"{str(cell)!r} is not an amount of USD for one output or second; write 0.03 or 0.03/second"
            self.problem(f"prices.{model}", message)

    def problem(self, key: str, message: str, column: str | None = None) -> None:
        """Note what is wrong at *key*."""
        line = self.lines.get(key) or self.lines.get(key.partition(".")[0])
        self.problems.append(Problem(self.file, line, column or key, None, None, message))


def read_head(path: Path) -> Header:
    """The head of a YAML manifest, its problems in it. Raises ManifestError if the document cannot be read."""
    head = Header(str(path))
    for entry in entries(path):
        if entry.key == "rows" and head.has_rows:
            continue
        head.lines[entry.key] = entry.node.line
        if entry.key == "rows":
            head.has_rows = True  # read again, item by item, when all else is known
            continue
        head.problems.extend(entry.problems)
        if entry.key not in ("matrix", "prices"):
            head.written.append(f"{entry.key}: {entry.node.bare()!r}")
        _take(head, path, entry.key, entry.node)
    used = head.written_in_templates
    head.written.append(f"matrix: {sorted(head.matrix.keys) if head.matrix else None!r}")
    head._variables = frozenset(head.matrix.keys if head.matrix else ()).union(used)
    return head


def _no_such_name(field: str, name: str, names: Mapping[str, Any]) -> str:
    hint = did_you_mean(name, names) or f"; give each row a {name!r}, or all of them one in `defaults`"
    return f"the template of {field!r} uses {name!r}, which this row does not have{hint}"


def _take(head: Header, path: Path, key: str, node: Node) -> None:
    take = _KEYS.get(key)
    if take is None:
        hint = did_you_mean(key, [*_KEYS, "rows"])
        head.problem(key, f"a manifest has no {key!r}{hint or '; it has ' + ', '.join([*_KEYS, 'rows'])}")
        return
    if node.value is None:
        return
    if isinstance(node.value, dict):
        head.lines.update({f"{key}.{name}": inner.line for name, inner in node.value.items()})
    take(head, path, node)


def _take_model(head: Header, _path: Path, node: Node) -> None:
    if isinstance(node.value, str):
        head.model = str(node.value)
    else:
        head.problem("model", "write one model id, such as bytedance/seedream-4-0/edit-sequential")


def _take_defaults(head: Header, _path: Path, node: Node) -> None:
    if not isinstance(node.value, dict):
        head.problem("defaults", "write field: value pairs, such as {seed: 7}")
    elif "id" in node.value:
        head.problem("defaults.id", "an id is one row's own; delete it here")
    else:
        head.defaults = node.bare()


def _take_rows_from(head: Header, path: Path, node: Node) -> None:
    if isinstance(node.value, str):
        head.rows_from = path.parent / str(node.value)
    else:
        head.problem("rows_from", "write the name of one file, relative to this manifest")


def _take_columns(head: Header, _path: Path, node: Node) -> None:
    names = node.bare()
    if isinstance(names, dict) and all(isinstance(name, str) for name in names.values()):
        head.columns = {column: str(name) for column, name in names.items()}
    else:
        head.problem("columns", "write `name in the table: field` pairs")


def _take_matrix(head: Header, _path: Path, node: Node) -> None:
    if not isinstance(node.value, dict):
        head.problem("matrix", "write name: [values] pairs")
        return
    bare = node.bare()
    include = _combinations(head, "include", bare.pop("include", None))
    exclude = _combinations(head, "exclude", bare.pop("exclude", None))
    axes = {name: values if isinstance(values, list) else [values] for name, values in bare.items()}
    for name in [name for name, values in axes.items() if not values]:
        head.problem(f"matrix.{name}", "the list is empty, so no row would be made; write a value or delete it")
    for name in {name for entry in exclude for name in entry if name not in axes}:
        head.problem("matrix.exclude", f"{name!r} is no list of the matrix{did_you_mean(name, axes)}")
    head.matrix = Matrix(axes, include, exclude)


def _combinations(head: Header, key: str, entries_: Any) -> list[dict[str, Any]]:
    if entries_ is None:
        return []
    if isinstance(entries_, list) and all(isinstance(entry, dict) for entry in entries_):
        return entries_
    head.problem(f"matrix.{key}", "write a list of name: value pairs, such as [{style: oil, seed: 7}]")
    return []


def _take_template(head: Header, _path: Path, node: Node) -> None:
    if not isinstance(node.value, dict):
        head.problem("template", "write field: text pairs, such as {text: 'a picture of {{ subject }}'}")
        return
    for name, value in node.bare().items():
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, str) for source in sources):
            head.problem(f"template.{name}", "a template is a text, or a list of texts")
            continue
        try:
            templates = [TextTemplate(str(source)) for source in sources]
        except TemplateFault as fault:
            head.problem(f"template.{name}", str(fault))
            continue
        head.templates[name] = templates if isinstance(value, list) else templates[0]


def _take_prices(head: Header, _path: Path, node: Node) -> None:
    if not isinstance(node.value, dict):
        head.problem("prices", "write model: USD pairs, such as {bytedance/seedream-4-0/edit-sequential: 0.03}")
        return
    for model, cell in node.bare().items():
        head.take_price(model, cell)


_KEYS: Mapping[str, Callable[[Header, Path, Node], None]] = {
    "model": _take_model,
    "defaults": _take_defaults,
    "rows_from": _take_rows_from,
    "columns": _take_columns,
    "matrix": _take_matrix,
    "template": _take_template,
    "prices": _take_prices,
}
