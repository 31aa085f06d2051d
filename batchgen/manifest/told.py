"""What concerns many rows and is told once: unknown models, unknown columns, columns that are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Set

from batchgen.manifest.head import Head
from batchgen.manifest.parts import ABOUT_THE_ROW
from batchgen.manifest.record import Table
from batchgen.request import Problem
from batchgen.schema import Fault, ModelSchema, ModelUnknown


class Told:
    """The schemas of one read, and what was already said about them."""

    def __init__(self, schemas: Callable[[str], ModelSchema]) -> None:
        self._schemas = schemas
        self._known: dict[str, ModelSchema | None] = {}
        self._unknown_models: dict[str, tuple[str, int, str]] = {}
        self._rows_of_unknown: Counter[str] = Counter()
        self._introduced: set[tuple[str, str]] = set()
        self._columns_unknown: dict[str, set[str]] = {}
        self._fields_missing: dict[str, set[str]] = {}
        self._keys_unknown: set[tuple[str, str]] = set()

    def schema(self, model: str, file: str, line: int) -> ModelSchema | None:
        """The schema of *model*; None, and counted, if nobody knows it."""
        schema = self._known.get(model)
        if schema is None:
            if model not in self._known:
                schema = self._look_up(str(model), file, line)
            if schema is None:
                self._rows_of_unknown[model] += 1
        return schema

    def _look_up(self, model: str, file: str, line: int) -> ModelSchema | None:
        try:
            self._known[model] = self._schemas(model)
        except ModelUnknown as unknown:
            self._known[model] = None
            self._unknown_models[model] = file, line, str(unknown)
        return self._known[model]

    def models_unknown(self) -> Iterator[Problem]:
        """One problem a model nobody knows, at the first line that asks for it."""
        for model, (file, line, message) in self._unknown_models.items():
            rows = self._rows_of_unknown[model]
            count = f" ({rows} rows ask for it)" if rows > 1 else ""
            yield Problem(file, line, "model", None, None, message + count)

    def news(self, schema: ModelSchema, table: Table, line: int, head: Head) -> list[Problem]:
        """When a file meets a model first: its oddities, and what the header has too much or too little of."""
        if (schema.model_id, table.file) in self._introduced:
            return []
        self._introduced.add((schema.model_id, table.file))
        odd = [Problem(table.file, line, "model", None, None, text, "warning") for text in schema.oddities]
        columns = {} if table.columns is None else {name: head.field_of(name) for name in table.columns}
        return [
            *odd,
            *self._columns_too_many(schema, table, columns, head.variables),
            *(self._columns_too_few(schema, table, {*columns.values(), *head.given}) if columns else ()),
        ]

    def _columns_too_many(
        self, schema: ModelSchema, table: Table, columns: dict[str, str], variables: Set[str]
    ) -> Iterator[Problem]:
        unusable = self._columns_unknown.setdefault(schema.model_id, set())
        for column, field in columns.items():
            if field in ABOUT_THE_ROW or field in variables or not (fault := schema.unknown(field)):
                continue
            unusable.add(field)
            keep = "" if column.startswith("meta.") else f" To keep it and not send it, call it 'meta.{column}'."
            yield Problem(table.file, table.header_line, column, None, None, fault.message + keep)

    def _columns_too_few(self, schema: ModelSchema, table: Table, given: Set[str]) -> Iterator[Problem]:
        missing = self._fields_missing.setdefault(schema.model_id, set())
        for field in schema.required:
            if field not in given:
                missing.add(field)
                message = f"no column {field!r}, which {schema.model_id} requires; add it"
                yield Problem(table.file, table.header_line, field, None, f"$.{field}", message)

    def columns_unknown(self, model: str) -> Set[str]:
        """The fields of a header that *model* does not have, already told."""
        return self._columns_unknown.setdefault(model, set())

    def new(self, model: str, is_alike: bool, faults: list[Fault]) -> Iterator[Fault]:
        """The *faults* of one row without those told for all rows that are *alike* in their keys."""
        missing = self._fields_missing.get(model, ())
        for fault in faults:
            if fault.rule == "required" and fault.path[2:] in missing:
                continue
            if is_alike and fault.rule == "unknown field":
                if (model, fault.path) in self._keys_unknown:
                    continue
                self._keys_unknown.add((model, fault.path))
            yield fault
