"""What concerns many rows and is told once: unknown models, unknown columns, columns that are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from batchgen.manifest.head import Head
from batchgen.request import Problem
from batchgen.schema import Fault, ModelSchema, ModelUnknown

_ABOUT_THE_ROW = frozenset({"id", "model", "priority", "note", "meta"})


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
        if model not in self._known:
            try:
                self._known[model] = self._schemas(model)
            except ModelUnknown as unknown:
                self._known[model] = None
                self._unknown_models[model] = file, line, str(unknown)
        schema = self._known[model]
        if schema is None:
            self._rows_of_unknown[model] += 1
        return schema

    def models_unknown(self) -> Iterator[Problem]:
        """One problem a model nobody knows, at the first line that asks for it."""
        for model, (file, line, message) in self._unknown_models.items():
            rows = self._rows_of_unknown[model]
            count = f" ({rows} rows ask for it)" if rows > 1 else ""
            yield Problem(file, line, "model", None, None, message + count)

    def of_schema(
        self,
        schema: ModelSchema,
        file: str,
        line: int,
        head: Head,
        columns: tuple[str, ...] | None,
        variables: frozenset[str],
    ) -> Iterator[Problem]:
        """When *file* meets a model first: its oddities, and what the header has too much or too little of."""
        if (schema.model_id, file) in self._introduced:
            return
        self._introduced.add((schema.model_id, file))
        for oddity in schema.oddities:
            yield Problem(file, line, "model", None, None, oddity, "warning")
        if columns is not None:
            yield from self._of_header(schema, file, head, columns, variables)

    def _of_header(
        self, schema: ModelSchema, file: str, head: Head, columns: tuple[str, ...], variables: frozenset[str]
    ) -> Iterator[Problem]:
        fields = {column: head.columns.get(column, column).partition(".")[0] for column in columns}
        unusable = self._columns_unknown.setdefault(schema.model_id, set())
        for column, field in fields.items():
            if field in _ABOUT_THE_ROW or field in variables or not (fault := schema.unknown(field)):
                continue
            unusable.add(field)
            message = f"{fault.message} To keep the column and not send it, call it 'meta.{column}'."
            yield Problem(file, 1, column, None, None, message)
        given = {*fields.values(), *variables, *head.defaults, *head.templates}
        given |= {default.partition(".")[0] for default in head.defaults}
        missing = self._fields_missing.setdefault(schema.model_id, set())
        for field in schema.required:
            if field not in given:
                missing.add(field)
                message = f"no column {field!r}, which {schema.model_id} requires; add it"
                yield Problem(file, 1, field, None, f"$.{field}", message)

    def columns_unknown(self, model: str) -> set[str] | None:
        """The fields of the header that *model* does not have, already told."""
        return self._columns_unknown.get(model)

    def new(self, model: str, is_table: bool, faults: list[Fault]) -> Iterator[Fault]:
        """The *faults* of one row without what was told for its whole file."""
        missing = self._fields_missing.get(model, ())
        for fault in faults:
            field = fault.path[2:]
            if fault.rule == "required" and field in missing:
                continue
            if is_table and fault.rule == "unknown field":
                if (model, field) in self._keys_unknown:
                    continue
                self._keys_unknown.add((model, field))
            yield fault
