"""The commands that only look: status, models, init, audit."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli import flags
from batchgen.cli.output import carried, emit, end, refusals, say, tell
from batchgen.core.errors import Exit
from batchgen.core.text import counted, harmless

if TYPE_CHECKING:
    from batchgen.results.status import RunStatus

_LAST = 10
_LINE_S, _JSON_S = 10.0, 2.0
_CALM = 4.0
_ABOUT_WIDTH = 100


@click.command(cls=flags.Command)
@flags.out_folder
@flags.switch("--watch", envvar="BATCHGEN_WATCH", help="Live, until Ctrl-C; a line every ten seconds in a pipe.")
@flags.as_json
def status(out: Path, watch: bool, as_json: bool) -> None:
    """How a run folder stands: rows by state, cost, pace and what is wrong, also while a run is on."""
    with refusals():
        from batchgen.results.status import status

        if not watch:
            _show_standing(status(out, last=_LAST), as_json)
        elif not as_json and _can_draw():
            _keep_drawing(out)
        else:
            _keep_printing(out, as_json)


def _can_draw() -> bool:
    from batchgen.cli.live.frame import can_draw

    return can_draw(sys.stdout)


def _show_standing(standing: RunStatus, as_json: bool) -> None:
    from batchgen.cli.live.view import printed

    if as_json:
        emit(standing.as_json())
    else:
        printed(standing)


def _keep_drawing(out: Path) -> None:
    """The live view of a run that is on in another process, until Ctrl-C."""
    from batchgen.cli.live import lines
    from batchgen.cli.live.frame import Frame
    from batchgen.results.status import status

    frame = Frame(sys.stdout)
    with suppress(KeyboardInterrupt), frame.open():
        while not frame.gone:
            began = time.monotonic()
            lines.draw(frame, status(out, last=frame.height))
            time.sleep(max(1.0, _CALM * (time.monotonic() - began)))  # a large folder is looked at less often


def _keep_printing(out: Path, as_json: bool) -> None:
    """How the folder stands, again and again, for a pipe or a file."""
    from batchgen.cli.live import lines
    from batchgen.results.status import status

    with suppress(KeyboardInterrupt):
        while True:
            standing = status(out)
            if as_json:
                read_on = emit(standing.as_json())
            else:
                read_on = tell(f"{time.strftime('%H:%M:%S')} {lines.line(standing)}")
            if not read_on:
                return
            time.sleep(_JSON_S if as_json else _LINE_S)


@click.command(cls=flags.Command)
@click.argument("words", nargs=-1, metavar="[SEARCH] | show ID", help="Words to look for, or `show` and one model id.")
@flags.as_json
@flags.api_base
def models(words: tuple[str, ...], as_json: bool, api_base: str | None) -> None:
    """Search the catalogue, or show one model's input fields with their types, limits and defaults."""
    with refusals():
        if words and words[0] == "show":
            if len(words) != 2:
                raise click.BadParameter("write one model id after show")
            _show_model(words[1], as_json, api_base)
        else:
            _search(" ".join(words), as_json, api_base)


def _search(words: str, as_json: bool, base: str | None) -> None:
    from batchgen.runner.model_lookup import no_such_model, search

    found, where = carried(lambda: search(words, base))
    if as_json:
        emit({"models": [dict(entry) for entry in found], "source": where})
        return
    for entry in found:
        price = _price(entry.get("base_price_usd"), entry.get("price_unit"))
        tell(harmless(f"{entry['model_id']}  {price}".rstrip()))
        about = str(entry.get("description") or "")
        if words and about:
            tell(f"    {textwrap.shorten(about, _ABOUT_WIDTH, placeholder=' …')}")
    hint = "" if found else no_such_model(words)
    say(f"{counted(len(found), 'model')}, from {where}{hint}")


@click.command(cls=flags.Command)
@click.argument("model_id", metavar="MODEL")
@flags.api_base
def init(model_id: str, api_base: str | None) -> None:
    """Write a commented manifest for a model to stdout: batchgen init MODEL > mine.yaml"""
    with refusals():
        from batchgen.models.starter import init
        from batchgen.runner.model_lookup import model_schema

        tell(*init(carried(lambda: model_schema(model_id, api_base))).splitlines())


@click.command(cls=flags.Command)
@flags.out_folder
@flags.option(
    "--csv", "books", metavar="FILE", type=flags.PATH, envvar="BATCHGEN_CSV", help="Write every attempt to a CSV."
)
@flags.as_json
@flags.api_base
def audit(out: Path, books: Path | None, as_json: bool, api_base: str | None) -> None:
    """The account of a folder: expected, received, paid. Exits 1 if something was paid for and is not here."""
    with refusals():
        from batchgen.cli.commands.run import base_of, token_if_any
        from batchgen.cli.tables import account
        from batchgen.results.audit import audit, entries
        from batchgen.results.books import write_books
        from batchgen.runner.commands import ask_late_costs
        from batchgen.state import open_reader
        from batchgen.storage.paths import RunFolder

        folder = RunFolder.at(out)
        token = token_if_any()
        if token is not None:
            asked = carried(lambda: ask_late_costs(out, base_of(out, api_base), token))
            if asked is not None:
                say(f"note: {asked}")
        else:
            say("note: no token, so costs that are still missing were not asked for")
        with closing(open_reader(folder)) as reader:
            told = audit(folder, reader)
            if books is not None:
                write_books(books, folder, reader)
            if as_json:
                emit(told.as_json() | {"attempts": [asdict(entry) for entry in entries(folder, reader)]})
            else:
                tell(*account(told, entries(folder, reader)))
    end(Exit.SOME_FAILED if told.faulty else Exit.DONE)


def _show_model(model_id: str, as_json: bool, base: str | None) -> None:
    from batchgen.runner.model_lookup import model_schema

    schema = carried(lambda: model_schema(model_id, base))
    if as_json:
        emit(
            {
                "model_id": schema.model_id,
                "base_price_usd": None if schema.base_price_usd is None else float(schema.base_price_usd),
                "price_unit": schema.price_unit,
                "pricing_note": schema.pricing_note,
                "source": schema.source,
                "input_schema": schema.input_schema,
            }
        )
        return
    price = _price(schema.base_price_usd, schema.price_unit) or "unknown"
    tell(schema.model_id, f"price: {price}", f"schema: {schema.source}", "")
    for name, field in schema.fields.items():
        tell(f"{name}{' (required)' if name in schema.required else ''}", f"    {_limits(field)}")
        if field.get("description"):
            tell(f"    {field['description']}")


def _price(base_price_usd: object, unit: object) -> str:
    if base_price_usd is None:
        return ""
    return f"${base_price_usd}/{unit}" if unit else f"${base_price_usd}, nobody says for what"


def _limits(field: Mapping[str, Any]) -> str:
    """A field's type and limits in one line."""
    parts = [str(field.get("type", "any"))]
    if field.get("enum"):
        parts.append("one of " + ", ".join(json.dumps(option) for option in field["enum"]))
    for name in ("minimum", "maximum", "minItems", "maxItems", "maxLength", "format", "default"):
        if field.get(name) is not None:
            parts.append(f"{name} {json.dumps(field[name])}")
    for rule in field.get("validations", ()):
        if isinstance(rule, dict):
            parts.append(f"{rule.get('validation_rule')}{rule.get('validation_value')}")
    return ", ".join(parts)
