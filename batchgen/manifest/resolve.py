"""From a record to the requests it stands for: model, defaults, matrix, templates, types, files, identity."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from batchgen.core.row import LocalFile, Problem, Row, fingerprint, one_form, row_id_fault
from batchgen.manifest.columns import Columns, split
from batchgen.manifest.diagnostics import Diagnostics, mixes_models
from batchgen.manifest.formulas import uncomputed
from batchgen.manifest.header import Header
from batchgen.manifest.localfiles import LocalFiles
from batchgen.manifest.names import names_of
from batchgen.manifest.record import Record, Table
from batchgen.manifest.unchanged import RecordDigests, UnchangedRow
from batchgen.models import Fault, ModelSchema
from batchgen.models.cells import Misfit, to_integer, to_string

_NO_MODEL = "no model is given; add a `model` column, or in a YAML manifest `model:` at its top"


class Resolver:
    """Turns the records of one file into rows. *head* says what the manifest gives to all of them."""

    def __init__(
        self,
        head: Header,
        table: Table,
        told: Diagnostics,
        files: LocalFiles,
        memory: RecordDigests,
        fingerprint_version: int,
    ) -> None:
        self._head = head
        self._memory = memory
        self._table = table
        self._told = told
        self._files = files
        self._version = fingerprint_version
        self._name_of = names_of(head.matrix, fingerprint_version)
        self._models_met: dict[str, Set[str]] = {}
        self._head_faults: set[tuple[str, str]] = set()
        self._variables = head.variables
        self._mixes_models = mixes_models(table, head)
        self._is_plain = not (head.matrix or head.templates or head.defaults)
        self._folder = os.path.dirname(table.file)
        self._head_folder = os.path.dirname(head.file)
        self._columns = frozenset(head.columns.get(name, name) for name in table.columns or ())
        self._written_as = {field: column for column, field in head.columns.items()}

    def recalled(self, record: Record) -> Iterable[Row | UnchangedRow | Problem]:
        """As `rows`, for a record that memory was not asked for yet."""
        if self._head.matrix is None and (key := self._memory.key(record.digest)) is not None:
            return [UnchangedRow(key, self._table.file, record.line)]
        return self.rows(record)

    def rows(self, record: Record) -> Iterable[Row | UnchangedRow | Problem]:
        """The rows of one record, or the problems that stand against it."""
        head = self._head
        if head.columns:
            renamed = {head.columns.get(key, key): cell for key, cell in record.cells.items()}
            record = record._replace(cells=renamed)
        return self._crossed(record) if head.matrix else self._row(record, {}, record.digest)

    def _crossed(self, record: Record) -> Iterator[Row | UnchangedRow | Problem]:
        assert self._head.matrix is not None
        both = self._head.matrix.keys & record.cells.keys()
        for key in sorted(both):
            message = f"{key!r} is given by this row and by the matrix; delete one"
            yield self._problem(record, key, message)
        seen: set[tuple[int | None, str]] = set()
        for combination in self._head.matrix.combinations() if not both else ():
            digest = self._memory.digest(record.digest + repr(combination).encode("utf-8", "surrogatepass"))
            if (row := self._memory.key(digest)) is not None:
                yield UnchangedRow(row, self._table.file, record.line)
                continue
            for found in self._row(record, combination, digest):
                if isinstance(found, Problem):  # one fault of the row, not one a combination
                    if (found.line, found.message) in seen:
                        continue
                    seen.add((found.line, found.message))
                yield found

    def _row(self, record: Record, combination: Mapping[str, Any], digest: bytes) -> Sequence[Row | Problem]:
        cells = record.cells if self._is_plain else {**self._head.defaults, **record.cells, **combination}
        parts = split(cells)
        if self._head.templates:
            parts.faults += self._head.write_templates(record.cells, parts, self._columns)
        model = parts.own.get("model") or self._head.model
        if not model:
            return [self._problem(record, "model", _NO_MODEL)]
        schema = self._told.schema(model)
        if isinstance(schema, str):
            return [self._problem(record, "model", schema)]
        news: list[Problem] = []
        if model not in self._models_met:
            self._models_met[model] = self._told.columns_unknown(schema.model_id)
            news = self._told.news(schema, self._table, record.line, self._head)
        if unusable := self._models_met[model]:
            parts.without(unusable)
        if self._mixes_models:
            parts.without_empty(schema)
        if self._variables:
            parts.set_aside(self._variables, schema)
        found = self._checked(record, combination, digest, schema, parts)
        return [*news, *found] if news else found

    def _checked(
        self, record: Record, combination: Mapping[str, Any], digest: bytes, schema: ModelSchema, parts: Columns
    ) -> Sequence[Row | Problem]:
        request_input, faults = schema.checked(parts.fields)
        if odd := uncomputed(parts.fields):
            of_odd = tuple(fault.path for fault in odd)
            faults = odd + [fault for fault in faults if not fault.path.startswith(of_odd)]
            request_input = {name: cell for name, cell in request_input.items() if f"$.{name}" not in of_odd}
        if parts.faults:
            written = {f"$.{name}" for name in self._head.templates}  # where one failed, not also missing
            faults = parts.faults + [fault for fault in faults if fault.path not in written]
        files: tuple[LocalFile, ...] = ()
        if schema.media_fields:
            files, missing = self._files.of(schema.media_fields, request_input, record.cells, self._beside)
            faults += missing
        row_id = self._row_id(parts, combination, faults)
        priority = _priority(parts, faults) if "priority" in parts.own else 0
        if faults:
            return self._problems(record, schema.model_id, row_id, faults)
        request_print = fingerprint(schema.model_id, request_input, files, self._version)
        return [
            Row(
                row_id=row_id or "r-" + request_print[:16],
                explicit_id=row_id is not None,
                model=schema.model_id,
                input=request_input,
                fingerprint=request_print,
                files=files,
                meta=parts.meta,
                priority=priority,
                note=to_string(parts.own.get("note") or ""),
                source=self._table.file,
                line=record.line,
                digest=digest,
            )
        ]

    def _row_id(self, parts: Columns, combination: Mapping[str, Any], faults: list[Fault]) -> str | None:
        """The row's explicit id, or None; what is wrong with it goes to *faults*."""
        cell = parts.own.get("id")
        if cell is None:
            return None
        try:
            row_id = to_string(cell)
        except Misfit as misfit:
            faults.append(Fault("$id", misfit.message))
            return None
        if combination and "id" not in self._head.templates:
            row_id = f"{row_id}-{self._name_of(combination)}"
        if self._version > 1 and not row_id.isascii():
            row_id = one_form(row_id)
        if fault := row_id_fault(row_id):
            faults.append(Fault("$id", fault))
        return row_id

    def _beside(self, cells: Mapping[str, Any], name: str) -> str:
        """The folder a path of field *name* is relative to: that of the file it is written in."""
        of_record = name in cells or any(key.startswith(name + ".") for key in cells)
        return self._folder if of_record and name not in self._head.templates else self._head_folder

    def _problems(self, record: Record, model: str, row_id: str | None, faults: list[Fault]) -> list[Problem]:
        problems = []
        for fault in self._told.new(model, faults):
            path = fault.path if fault.path.startswith("$.") else None
            column = self._column(record, fault.path.removeprefix("$").removeprefix("."))
            if column not in record.cells and self._head.line_of(column):  # one fault of the head, not one a row
                if (column, fault.message) in self._head_faults:
                    continue
                self._head_faults.add((column, fault.message))
            problems.append(self._problem(record, column, fault.message, row_id, path))
        return sorted(problems, key=lambda problem: problem.line or 0)

    def _column(self, record: Record, name: str) -> str:
        """The key of the record that *name*, a path without its `$`, came from."""
        key = name.partition("[")[0].partition(".")[0]
        part = f"{key}.{name.removeprefix(key)[1:].partition(']')[0]}"
        return part if part in record.cells else key

    def _problem(
        self, record: Record, column: str, message: str, row_id: str | None = None, path: str | None = None
    ) -> Problem:
        if row_id is None and isinstance(record.cells.get("id"), str):
            row_id = str(record.cells["id"])
        file, line = self._table.file, (record.lines or {}).get(column, record.line)
        if column not in record.cells and (place := self._head.line_of(column)):
            file, line, row_id = self._head.file, place, None
        return Problem(file, line, self._written_as.get(column, column), row_id, path, message)


def _priority(parts: Columns, faults: list[Fault]) -> int:
    try:
        return to_integer(parts.own["priority"] or 0)
    except Misfit as misfit:
        faults.append(Fault("$priority", misfit.message))
        return 0
