"""The pass over input media: every file of the rows against its model's `validations`, each file once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import aiohttp

from batchgen.core.row import Problem, Row, without_signature
from batchgen.models.addresses import said_of
from batchgen.models.fault import shown
from batchgen.models.media_probe import Measured, measure_file, measure_inlined, measure_url
from batchgen.models.media_rules import Rule, Unmeasured, rules_of
from batchgen.models.schema import ModelSchema
from batchgen.models.sniff import Kind

_REMOTE = ("https://", "http://")
_MEASURED_KEPT = 20_000
"""How many files are remembered from chunk to chunk: memory stays flat whatever a manifest names."""


class _Use(NamedTuple):
    """One file where a row uses it. *key* is the same for one file used twice."""

    row: Row
    field: str
    place: int | None
    address: str
    key: str
    path: str | None
    kind: Kind


class MediaCheck:
    """Checks the media of rows, chunk by chunk; what was measured once is remembered for the next chunk.

    Hosted files are looked at only with a *session*, of which the caller decides who may be asked; their addresses
    always are. A provider that *is_local* reaches hosts of this machine's own network.
    """

    def __init__(
        self,
        schemas: Callable[[str], ModelSchema],
        session: aiohttp.ClientSession | None = None,
        at_once: int = 16,
        *,
        is_local: bool = False,
    ) -> None:
        self._schemas = schemas
        self._session = session
        self._is_local = is_local
        self._at_once = asyncio.Semaphore(at_once)
        self._measured: dict[str, Measured] = {}
        self._rules: dict[tuple[str, str], list[Rule]] = {}
        self._models_met: set[str] = set()

    async def problems(self, rows: Sequence[Row]) -> list[Problem]:
        """What the media of *rows* have against them, in the order of the rows; warnings included."""
        found = [problem for row in rows for problem in self._of_new_model(row)]
        if len(self._measured) > _MEASURED_KEPT:
            self._measured.clear()
        uses: list[_Use] = []
        for use in (use for row in rows for use in self._uses(row)):
            is_remote = use.path is None and use.address.startswith(_REMOTE)
            said = said_of(use.address, is_local=self._is_local) if is_remote else None
            if said is not None:
                found.append(_problem(use, said.message, is_certain=said.severity == "error"))
            if not is_remote or (self._session is not None and (said is None or said.severity == "warning")):
                uses.append(use)
        fresh = {use.key: use for use in uses if use.key not in self._measured}
        local = [use for use in fresh.values() if use.path is not None]
        if local:
            measured = await asyncio.to_thread(lambda: [measure_file(use.path or "", use.kind) for use in local])
            self._measured.update(zip((use.key for use in local), measured, strict=True))
        hosted = [use for use in fresh.values() if use.path is None]
        for use, one in zip(hosted, await asyncio.gather(*map(self._measure, hosted)), strict=True):
            self._measured[use.key] = one
        return found + [problem for use in uses for problem in self._judged(use)]

    async def _measure(self, use: _Use) -> Measured:
        if not use.address.startswith(_REMOTE):
            return measure_inlined(use.address, use.kind)
        assert self._session is not None
        async with self._at_once:
            return await measure_url(self._session, use.address, use.kind)

    def _of_new_model(self, row: Row) -> Iterator[Problem]:
        """When a model is met first: its rules, and a warning for each that is not understood."""
        if row.model in self._models_met:
            return
        self._models_met.add(row.model)
        schema = self._schemas(row.model)
        for name in schema.media_fields:
            rules, unknown = rules_of(schema.fields[name])
            self._rules[row.model, name] = rules
            for message in unknown:
                yield Problem(row.source, row.line, name, None, f"$.{name}", message, "warning")

    def _uses(self, row: Row) -> Iterator[_Use]:
        fields = self._schemas(row.model).media_fields
        local = {file.pointer: file for file in row.files} if row.files else {}
        for name, field in fields.items():
            for index, address in _addresses(row.input.get(name)):
                file = local.get(name if index is None else f"{name}.{index}")
                content = address if file is None else file.sha256
                path = None if file is None else file.path
                yield _Use(row, name, index, address, f"{field.kind} {content}", path, field.kind)

    def _judged(self, use: _Use) -> Iterator[Problem]:
        measured = self._measured[use.key]
        if measured.fault is not None:
            yield _problem(use, measured.fault, is_certain=measured.is_certain)
            return
        if measured.doubt is not None:
            yield _problem(use, measured.doubt, is_certain=False)
        for rule in self._rules[use.row.model, use.field]:
            try:
                broken = rule.verdict(measured.facts)
            except Unmeasured:
                yield from _unmeasured(use, measured, rule)
                return
            if broken:
                yield _problem(use, broken)


def _addresses(value: object) -> Iterator[tuple[int | None, str]]:
    for index, address in enumerate(value) if isinstance(value, list) else ((None, value),):
        if isinstance(address, str):
            yield index, address


def _unmeasured(use: _Use, measured: Measured, rule: Rule) -> Iterator[Problem]:
    if use.kind == "image" and rule.quantity != "file_size_mb" and measured.facts.size_bytes is not None:
        yield _problem(use, "this is not a picture whose size can be read; give a PNG or JPEG")
    else:
        message = f"the {use.kind}'s {rule.quantity} could not be measured, so the model's rule was not checked"
        yield _problem(use, message, is_certain=False)


def _problem(use: _Use, message: str, *, is_certain: bool = True) -> Problem:
    path = f"$.{use.field}" if use.place is None else f"$.{use.field}[{use.place}]"
    name = shown(without_signature(use.address))
    severity: Literal["error", "warning"] = "error" if is_certain else "warning"
    row = use.row
    return Problem(row.source, row.line, use.field, row.row_id, path, f"{name}: {message}", severity)
