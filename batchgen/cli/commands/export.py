"""The command that makes a data set of a run: export."""

from __future__ import annotations

from pathlib import Path

import click

from batchgen.cli import flags
from batchgen.cli.output import emit, refusals, say, tell
from batchgen.core.text import counted


@click.command(cls=flags.Command)
@flags.out_folder
@click.argument("dest", metavar="DEST", type=flags.PATH, help="The data set's folder: new, or one to add to.")
@flags.option(
    "--to",
    metavar="FORMAT",
    required=True,
    envvar="BATCHGEN_TO",
    help="imagefolder, videofolder, audiofolder, webdataset, parquet, jsonl or csv.",
)
@flags.option(
    "--where",
    metavar="CONDITION",
    envvar="BATCHGEN_WHERE",
    default="",
    show_default=False,
    help="Only outputs for which this holds: \"review == 'accepted' and width >= 1024\".",
)
@flags.option(
    "--outputs", metavar="first|all", envvar="BATCHGEN_OUTPUTS", default="all", help="Which outputs of each row."
)
@flags.option(
    "--min-side",
    metavar="PIXELS",
    type=flags.WholeNumber(0),
    envvar="BATCHGEN_MIN_SIDE",
    default=0,
    help="Leave out smaller pictures.",
)
@flags.option(
    "--caption",
    metavar="COLUMN|TEMPLATE",
    envvar="BATCHGEN_CAPTION",
    default="prompt",
    help="A column, or 'a photo of {{ meta.subject }}'.",
)
@flags.option(
    "--split", metavar="NAME=SHARE,...", envvar="BATCHGEN_SPLIT", default="train=1", help="Such as train=0.9,val=0.1."
)
@flags.option(
    "--group-by",
    metavar="COLUMN",
    envvar="BATCHGEN_GROUP_BY",
    default="row_id",
    help="Outputs that are alike in this stay in one split.",
)
@flags.option(
    "--shard-size",
    metavar="SIZE",
    type=flags.size_bytes,
    envvar="BATCHGEN_SHARD_SIZE",
    default="500M",
    help="Size of webdataset and parquet shards.",
)
@flags.switch("--embed/--no-embed", envvar="BATCHGEN_EMBED", default=True, help="Put media into parquet files.")
@flags.as_json
def export(
    out: Path,
    dest: Path,
    to: str,
    where: str,
    outputs: str,
    min_side: int,
    caption: str,
    split: str,
    group_by: str,
    shard_size: int,
    embed: bool,
    as_json: bool,
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
