"""What was asked of an export."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """How a data set is made; one destination keeps one of these. The command line's flags, by their names.

    *shard_size* is bytes, *min_side* pixels, *outputs* first or all. *embed* puts media into Parquet.
    """

    to: str
    where: str = ""
    outputs: str = "all"
    min_side: int = 0
    caption: str = "prompt"
    split: str = "train=1"
    group_by: str = "row_id"
    shard_size: int = 500 * 1024**2
    embed: bool = True
