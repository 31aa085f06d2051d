"""From a record to the requests it stands for: model, defaults, matrix, templates, types, files, identity."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from batchgen.expand import TemplateFault
from batchgen.manifest.head import Head
from batchgen.manifest.localfiles import LocalFiles
from batchgen.manifest.record import Record
from batchgen.manifest.told import Told
from batchgen.request import LocalFile, Problem, Row, canonical, fingerprint, row_id_fault
from batchgen.schema import Fault, ModelSchema, did_you_mean
from batchgen.schema.cells import Misfit, to_integer, to_string

RESERVED = ("id", "model", "priority", "note", "meta")
"""The columns that are about the row and are never sent."""

_SLUG_CHARACTERS = 40


class Resolver:
    """Turns the records of one file into rows. *head* says what the manifest gives to all of them."""

    def __init__(self, head: Head, file: str, columns: tuple[str, ...] | None, told: Told, files: LocalFiles) -> None:
        self._head = head
        self._file = file
        self._columns = columns
        self._told = told
        self._files = files
        self._matrix_keys = head.matrix.keys if head.matrix else frozenset()
        used = [template.names for name in head.templates for template in head.templates_in(name)]
        self._variables = self._matrix_keys.union(*used)
        self._is_plain = not (head.matrix or head.templates or head.defaults)
        self._folder = os.path.dirname(file)
        self._head_folder = os.path.dirname(head.file)

    def rows(self, record: Record) -> Iterator[Row | Problem]:
        """The rows of one record, or the problems that stand against it."""
        head = self._head
        if head.columns:
            record = record._replace(cells={head.columns.get(key, key): cell for key, cell in record.cells.items()})
        if not head.matrix:
            yield from self._row(record, {})
            return
        both = self._matrix_keys & record.cells.keys()
        for key in sorted(both):
            yield self._problem(record, key, f"{key!r} is given by this row and by the matrix; delete one")
        if not both:
            for combination in head.matrix.combinations():
                yield from self._row(record, combination)

    def _row(self, record: Record, combination: Mapping[str, Any]) -> Iterator[Row | Problem]:
        cells = record.cells
        if not self._is_plain:
            cells = {**self._head.defaults, **cells, **combination}
        own, meta, fields, faults = split(cells)
        if self._head.templates:
            faults += self._write_templates(record, own, meta, fields)
        model = own.get("model") or self._head.model
        if not model:
            message = "no model is given; add a `model` column, `model:` in a YAML manifest, or name it when you run"
            yield self._problem(record, "model", message)
            return
        schema = self._told.schema(str(model), self._file, record.line)
        if schema is None:
            return
        yield from self._told.of_schema(schema, self._file, record.line, self._head, self._columns, self._variables)
        self._set_variables_aside(schema, meta, fields)
        unusable = self._told.columns_unknown(schema.model_id)
        if unusable:
            fields = {key: cell for key, cell in fields.items() if key not in unusable}
        yield from self._checked(record, combination, schema, own, meta, fields, faults)

    def _checked(
        self,
        record: Record,
        combination: Mapping[str, Any],
        schema: ModelSchema,
        own: dict[str, Any],
        meta: dict[str, str],
        fields: dict[str, Any],
        faults: list[Fault],
    ) -> Iterator[Row | Problem]:
        request_input, found = schema.checked(fields)
        at_fault = {fault.path for fault in faults}  # its template failed: not also missing
        faults += [fault for fault in found if fault.path not in at_fault]
        files: tuple[LocalFile, ...] = ()
        if schema.media_fields:
            local, missing = self._files.of(schema.media_fields, request_input, lambda name: self._beside(record, name))
            files, faults = tuple(local), faults + missing
        row_id, priority = self._identity(own, combination, faults)
        if faults:
            yield from self._problems(record, schema.model_id, row_id, faults)
            return
        request_print = fingerprint(schema.model_id, request_input, files)
        yield Row(
            row_id=row_id or "r-" + request_print[:16],
            explicit_id=row_id is not None,
            model=schema.model_id,
            input=request_input,
            fingerprint=request_print,
            files=files,
            meta=meta,
            priority=priority,
            note=to_string(own.get("note") or ""),
            source=self._file,
            line=record.line,
        )

    def _identity(
        self, own: Mapping[str, Any], combination: Mapping[str, Any], faults: list[Fault]
    ) -> tuple[str | None, int]:
        """The row's explicit id, or None, and its priority; what is wrong with them goes to *faults*."""
        row_id, priority = None, 0
        try:
            if own.get("id") is not None:
                row_id = to_string(own["id"])
                if combination and "id" not in self._head.templates:
                    row_id = f"{row_id}-{slug(combination)}"
        except Misfit as misfit:
            faults.append(Fault("$id", misfit.message))
        if row_id is not None and (fault := row_id_fault(row_id)):
            faults.append(Fault("$id", fault))
        try:
            priority = to_integer(own.get("priority") or 0)
        except Misfit as misfit:
            faults.append(Fault("$priority", misfit.message))
        return row_id, priority

    def _beside(self, record: Record, name: str) -> str:
        """The folder a path of field *name* is relative to: that of the file it is written in."""
        of_record = name in record.cells or f"{name}.0" in record.cells
        return self._folder if of_record and name not in self._head.templates else self._head_folder

    def _set_variables_aside(self, schema: ModelSchema, meta: dict[str, str], fields: dict[str, Any]) -> None:
        """What is only there for templates goes to *meta*, so that it is kept and not sent."""
        for name in self._variables & fields.keys():
            if schema.unknown(name):
                cell = fields.pop(name)
                if cell is not None:
                    meta.setdefault(name, as_text(cell))

    def _write_templates(
        self, record: Record, own: dict[str, Any], meta: dict[str, str], fields: dict[str, Any]
    ) -> list[Fault]:
        names = {key: cell for key, cell in {**own, **fields}.items() if cell is not None} | {"meta": meta}
        written: dict[str, Any] = {}
        faults = []
        for name, template in self._head.templates.items():
            if name in record.cells and not any(name in each.names for each in self._head.templates_in(name)):
                message = f"this row's own {name!r} would be lost to the template; delete one, or use {{{{ {name} }}}}"
                faults.append(Fault(f"$.{name}", message))
                continue
            missing = sorted(set().union(*(each.required for each in self._head.templates_in(name))) - names.keys())
            if missing:
                faults += [Fault(f"$.{name}", _no_name(name, absent, names)) for absent in missing]
                continue
            try:
                texts = [each.render(names) for each in self._head.templates_in(name)]
                written[name] = texts if isinstance(template, list) else texts[0]
            except TemplateFault as fault:
                faults.append(Fault(f"$.{name}", str(fault)))
        for name, text in written.items():
            (own if name in RESERVED else fields)[name] = text
        return faults

    def _problems(self, record: Record, model: str, row_id: str | None, faults: list[Fault]) -> Iterator[Problem]:
        for fault in self._told.new(model, self._columns is not None or record.lines is None, faults):
            name = fault.path.removeprefix("$").removeprefix(".")
            key = name.split("[")[0].split(".")[0]
            path = fault.path if fault.path.startswith("$.") else None
            yield self._problem(record, self._column(record, name, key), fault.message, row_id, path)

    def _column(self, record: Record, name: str, key: str) -> str:
        """The key of the record that *name*, a path without its `$`, came from."""
        part = f"{key}.{name.removeprefix(key)[1:].split(']')[0]}"
        column = part if part in record.cells else key
        written = {field: name for name, field in self._head.columns.items()}
        return written.get(column, column)

    def _problem(
        self, record: Record, column: str, message: str, row_id: str | None = None, path: str | None = None
    ) -> Problem:
        line = (record.lines or {}).get(column, record.line)
        return Problem(self._file, line, column, row_id or _id_of(record), path, message)


def split(
    cells: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, str], dict[str, Any], list[Fault]]:
    """*cells* as what is about the row, its meta, its fields (`images.0` and `images.1` as one list), and faults."""
    own: dict[str, Any] = {}
    meta: dict[str, str] = {}
    fields: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for key, cell in cells.items():
        if key in RESERVED:
            own[key] = cell
        elif "." not in key:
            fields[key] = cell
        else:
            root, _, rest = key.partition(".")
            parts.setdefault(root, {})[rest] = cell
    for name, cell in {**_mapping(own.pop("meta", None)), **parts.pop("meta", {})}.items():
        if cell is not None:
            meta[name] = as_text(cell)
    faults = []
    for root, inner in parts.items():
        if fields.get(root) is not None:
            message = f"{root!r} and {root + '.' + next(iter(inner))!r} are both given; write one of the two forms"
            faults.append(Fault(f"$.{root}", message))
        fields[root] = _gathered(inner)
    return own, meta, fields, faults


def _mapping(cell: Any) -> dict[str, Any]:
    return cell if isinstance(cell, dict) else {} if cell is None else {"meta": cell}


def _gathered(inner: Mapping[str, Any]) -> Any:
    given = {key: cell for key, cell in inner.items() if cell is not None}
    if all(key.isdecimal() for key in given):
        return [given[key] for key in sorted(given, key=int)]
    return given


def as_text(cell: Any) -> str:
    """A cell that is kept and not sent, as text."""
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, list | dict) else to_string(cell)


def slug(combination: Mapping[str, Any]) -> str:
    """A short name for a combination that does not depend on its place in the matrix: `watercolour-2`."""
    words = ["".join(_plain(character) for character in as_text(value)) for value in combination.values()]
    name = "-".join(words)
    says_all = name == "-".join(as_text(value) for value in combination.values())
    if says_all and len(name) <= _SLUG_CHARACTERS:
        return name
    text = json.dumps(canonical(dict(combination)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _plain(character: str) -> str:
    return character if character.isascii() and (character.isalnum() or character in "_.") else "-"


def _no_name(field: str, name: str, names: Mapping[str, Any]) -> str:
    hint = did_you_mean(name, names) or f"; give each row a {name!r}, or all of them one in `defaults`"
    return f"the template of {field!r} uses {name!r}, which this row does not have{hint}"


def _id_of(record: Record) -> str | None:
    row_id = record.cells.get("id")
    return str(row_id) if isinstance(row_id, str) else None
