"""The command that makes a data set of a run: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchgen.cli import flags
from batchgen.cli.output import emit, refusals, say, tell
from batchgen.core.text import counted


def export(
    out: flags.OutFolder,
    dest: Annotated[
        Path, typer.Argument(metavar="DEST", help="The data set's folder: new, or one to add to.", show_default=False)
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            envvar="BATCHGEN_TO",
            help="imagefolder, videofolder, audiofolder, webdataset, parquet, jsonl or csv.",
            show_default=False,
        ),
    ],
    where: Annotated[
        str,
        typer.Option(
            metavar="CONDITION",
            envvar="BATCHGEN_WHERE",
            help="Only outputs for which this holds: \"review == 'accepted' and width >= 1024\".",
            show_default=False,
        ),
    ] = "",
    outputs: Annotated[
        str, typer.Option(metavar="first|all", envvar="BATCHGEN_OUTPUTS", help="Which outputs of each row.")
    ] = "all",
    min_side: Annotated[
        int, typer.Option(metavar="PIXELS", min=0, envvar="BATCHGEN_MIN_SIDE", help="Leave out smaller pictures.")
    ] = 0,
    caption: Annotated[
        str,
        typer.Option(
            metavar="COLUMN|TEMPLATE", envvar="BATCHGEN_CAPTION", help="A column, or 'a photo of {{ meta.subject }}'."
        ),
    ] = "prompt",
    split: Annotated[
        str, typer.Option(metavar="NAME=SHARE,...", envvar="BATCHGEN_SPLIT", help="Such as train=0.9,val=0.1.")
    ] = "train=1",
    group_by: Annotated[
        str,
        typer.Option(
            metavar="COLUMN", envvar="BATCHGEN_GROUP_BY", help="Outputs that are alike in this stay in one split."
        ),
    ] = "row_id",
    shard_size: Annotated[
        int,
        typer.Option(
            metavar="SIZE",
            parser=flags.size_bytes,
            envvar="BATCHGEN_SHARD_SIZE",
            show_default="500M",
            help="Size of webdataset and parquet shards.",
        ),
    ] = 500 * 1024**2,
    embed: Annotated[
        bool, typer.Option("--embed/--no-embed", envvar="BATCHGEN_EMBED", help="Put media into parquet files.")
    ] = True,
    as_json: flags.Json = False,
) -> None:
    """Make a data set of what is collected, or add to one; also while a run is on."""
    with refusals():
        from batchgen.results.export import Settings, export

        settings = Settings(to, where, outputs, min_side, caption, split, group_by, shard_size, embed)
        told = export(out, dest, settings)
    if as_json:
        emit(told.as_json() | {"dest": str(dest)})
    else:
        tell(f"{dest}: {counted(sum(told.items.values()), 'item')}, {told.new:,} new")
        for name, count in told.items.items():
            tell(f"  {name}: {count:,}")
    for name in (name for name, count in told.items.items() if not count):
        say(f"{name} is empty: whole groups go to a split by the hash of {group_by}, and none fell to it yet")
    for reason, count in told.left_out.items():
        say(f"left out: {count} by {reason}; {dest}/.batchgen/left-out.jsonl names each")
