"""The commands that only look, and the server: status, models, serve."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from batchgen.cli import flags
from batchgen.cli.ends import carried, emit, end, refusals, say
from batchgen.exits import Exit

models = typer.Typer(help="The models of the catalogue.", no_args_is_help=True)


def status(out: flags.OutFolder, as_json: flags.Json = False) -> None:
    """How a run folder stands: rows by state and cost, also while a run is on."""
    with refusals():
        from batchgen.standing import status

        told = status(out)
    if as_json:
        emit(told.as_json())
        return
    from batchgen.cli.show import report

    print("\n".join(report(told)))


@models.command("show")
def show_model(
    model_id: Annotated[str, typer.Argument(metavar="ID")],
    as_json: flags.Json = False,
    api_base: flags.ApiBase = None,
) -> None:
    """The input fields of one model, with their types, limits and defaults."""
    with refusals():
        from batchgen.lookup import model_schema
        from batchgen.schema import ModelUnknown

        try:
            schema = carried(lambda: model_schema(model_id, api_base))
        except ModelUnknown as unknown:
            say(f"batchgen: {unknown}")
            end(Exit.USAGE)
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
    price = "unknown" if schema.base_price_usd is None else f"${schema.base_price_usd}/{schema.price_unit or 'output'}"
    print(f"{schema.model_id}\nprice: {price}\nschema: {schema.source}\n")
    for name, field in schema.fields.items():
        print(f"{name}{' (required)' if name in schema.required else ''}")
        print(f"    {_limits(field)}")
        if field.get("description"):
            print(f"    {field['description']}")


def _limits(field: Mapping[str, Any]) -> str:
    """A field's type and limits in one line."""
    parts = [str(field.get("type", "any"))]
    if field.get("enum"):
        parts.append("one of " + ", ".join(json.dumps(option) for option in field["enum"]))
    for name in ("minimum", "maximum", "minItems", "maxItems", "maxLength", "format", "default"):
        if field.get(name) is not None:
            parts.append(f"{name} {json.dumps(field[name])}")
    for rule in field.get("validations", ()):
        parts.append(f"{rule['validation_rule']}{rule['validation_value']}")
    return ", ".join(parts)


def serve(
    port: Annotated[int, typer.Option(envvar="BATCHGEN_PORT", help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    token: Annotated[
        str, typer.Option(envvar="BATCHGEN_TOKEN", help="The token that clients must send.")
    ] = "rehearsal",  # noqa: S107
    faults: Annotated[str, typer.Option(metavar="PLAN", envvar="BATCHGEN_FAULTS", help="Faults made on purpose.")] = "",
    seed: Annotated[int, typer.Option(envvar="BATCHGEN_SEED", help="What all chance hangs on.")] = 0,
    latency: Annotated[str, typer.Option(envvar="BATCHGEN_LATENCY", help="How long jobs run.")] = "lognormal:2s",
    concurrency: Annotated[int, typer.Option(envvar="BATCHGEN_CONCURRENCY", help="Jobs run at once.")] = 40,
    max_queued: Annotated[int | None, typer.Option(envvar="BATCHGEN_MAX_QUEUED", help="Jobs that may wait.")] = None,
    submit_rate: Annotated[
        str | None, typer.Option(envvar="BATCHGEN_SERVE_RATE", help="POSTs let through, 50/s.")
    ] = None,
    retry_after: Annotated[bool, typer.Option(envvar="BATCHGEN_RETRY_AFTER", help="Send Retry-After with 429.")] = True,
    wallet_usd: Annotated[
        float | None, typer.Option(envvar="BATCHGEN_WALLET_USD", help="Money in the account.")
    ] = None,
    draw: Annotated[str, typer.Option(envvar="BATCHGEN_DRAW", help="full, tiny, or bytes:1MB.")] = "full",
    other_account_token: Annotated[str, typer.Option(envvar="BATCHGEN_OTHER_TOKEN", help="A second account.")] = "",
    parent_pid: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """The embedded server: RunComfy's protocol on loopback, with a ledger at /__ledger. Nothing costs money."""
    from batchgen.rehearsal.options import ServeOptions
    from batchgen.rehearsal.server import serve

    try:
        serve(
            ServeOptions(
                port=port,
                token=token,
                faults=faults,
                seed=seed,
                latency=latency,
                concurrency=concurrency,
                max_queued=max_queued,
                submit_rate=submit_rate,
                retry_after=retry_after,
                wallet_usd=wallet_usd,
                draw=draw,
                other_account_token=other_account_token,
                parent_pid=parent_pid,
            )
        )
    except (ValueError, OSError) as error:
        say(f"batchgen: {error}")
        end(Exit.USAGE)
