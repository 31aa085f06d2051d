"""What concerns many rows and is told once: unknown columns, columns that are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set

from batchgen.core.row import Problem
from batchgen.manifest.header import Header
from batchgen.manifest.record import Table
from batchgen.models import ABOUT_THE_ROW, Fault, ModelSchema, ModelUnknown, nearest_name

_MODELS_KEPT = 1_000
"""How many models are remembered during one read: memory stays flat whatever stands in that column."""


def mixes_models(table: Table, head: Header) -> bool:
    """Whether each row names its model: then a column may be there for the rows of another one."""
    return table.columns is not None and "model" in map(head.field_of, table.columns)


class Diagnostics:
    """The schemas of one read, and what was already said about them."""

    def __init__(self, schemas: Callable[[str], ModelSchema]) -> None:
        self._schemas = schemas
        self._known: dict[str, ModelSchema | str] = {}
        self._introduced: set[tuple[str, str]] = set()
        self._columns_unknown: dict[str, set[str]] = {}
        self._fields_missing: dict[str, set[str]] = {}

    def schema(self, model: str) -> ModelSchema | str:
        """The schema of *model*, or why there is none."""
        found = self._known.get(model)
        return self._look_up(str(model)) if found is None else found

    def _look_up(self, model: str) -> ModelSchema | str:
        if len(self._known) >= _MODELS_KEPT:
            self._known.clear()
        try:
            found: ModelSchema | str = self._schemas(model)
        except ModelUnknown as unknown:
            found = str(unknown)
        self._known[model] = found
        return found

    def news(self, schema: ModelSchema, table: Table, line: int, head: Header) -> list[Problem]:
        """When a file meets a model first: its oddities, and what the header has too much or too little of."""
        if (schema.model_id, table.file) in self._introduced:
            return []
        self._introduced.add((schema.model_id, table.file))
        odd = [Problem(table.file, line, "model", None, None, text, "warning") for text in schema.oddities]
        columns = {} if table.columns is None else {name: head.field_of(name) for name in table.columns}
        unknown = list(self._columns_too_many(schema, table, columns, head))
        meant = {nearest_name(problem.column or "", schema.fields) or "" for problem in unknown}
        given = {*columns.values(), *head.given}
        idle = self._idle_matrix(schema, head)
        return [*odd, *idle, *unknown, *(self._columns_too_few(schema, table, given, meant) if columns else ())]

    @staticmethod
    def _idle_matrix(schema: ModelSchema, head: Header) -> Iterator[Problem]:
        """A warning for each list of the matrix that changes nothing in a request, which is then paid for anew."""
        for name, values in head.matrix.axes.items() if head.matrix else ():
            if len(values) < 2 or schema.takes(name) or name in ABOUT_THE_ROW or name in head.written_in_templates:
                continue
            hint = f"; did you mean {meant!r}?" if (meant := nearest_name(name, schema.fields)) else ""
            text = (
                f"neither a field of {schema.model_id} nor a template uses {name!r}: its {len(values)} values make "
                f"{len(values)} equal requests, and each is paid for{hint}"
            )
            yield Problem(head.file, head.line_of(name), name, None, None, text, "warning")

    def _columns_too_many(
        self, schema: ModelSchema, table: Table, columns: dict[str, str], head: Header
    ) -> Iterator[Problem]:
        unusable = self._columns_unknown.setdefault(schema.model_id, set())
        if mixes_models(table, head):
            return
        for column, field in columns.items():
            if field in ABOUT_THE_ROW or field in head.variables or not (fault := schema.unknown(field)):
                continue
            unusable.add(field)
            message = fault.message
            if not column.startswith("meta."):
                stop = "" if message.endswith("?") else "."
                message += f"{stop} To keep it and not send it, call it 'meta.{column}'."
            yield Problem(table.file, table.header_line, column, None, None, message)

    def _columns_too_few(
        self, schema: ModelSchema, table: Table, given: Set[str], meant: Set[str]
    ) -> Iterator[Problem]:
        """The required fields that are not *given*; those that an unknown column *meant* were told with it."""
        missing = self._fields_missing.setdefault(schema.model_id, set())
        for field in schema.required:
            if field not in given:
                missing.add(field)
                if field in meant:
                    continue
                message = f"no column {field!r}, which {schema.model_id} requires; add it"
                yield Problem(table.file, table.header_line, field, None, f"$.{field}", message)

    def columns_unknown(self, model: str) -> Set[str]:
        """The fields of a header that *model* does not have, already told."""
        return self._columns_unknown.setdefault(model, set())

    def new(self, model: str, faults: list[Fault]) -> Iterator[Fault]:
        """The *faults* of one row without those of the whole table."""
        missing = self._fields_missing.get(model, ())
        return (fault for fault in faults if fault.rule != "required" or fault.path[2:] not in missing)
