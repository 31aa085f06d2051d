"""Which collected outputs a data set takes, and why it leaves out the others."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.results.export.columns import Record
from batchgen.results.export.selection import Condition


@dataclass(frozen=True, slots=True)
class LeftOut:
    """*reason* is a word to count by, *detail* says it in full."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for. *kinds* are the media the format can hold; *min_side* is pixels, of pictures."""

    kinds: frozenset[str]
    where: Condition | None
    first_only: bool
    min_side: int

    def against(self, record: Record) -> LeftOut | None:
        """Why *record* is left out, as far as it tells by itself."""
        kind = record["media_type"].partition("/")[0]
        if kind not in self.kinds:
            return LeftOut("kind", f"this format holds no {kind}")
        if self.first_only and record["output"] > 0:
            return LeftOut("outputs", "only the first output of each row is taken")
        if self.min_side and record["width"] and min(record["width"], record["height"]) < self.min_side:
            return LeftOut("min-side", f"{record['width']}x{record['height']} pixels, under {self.min_side}")
        if self.where is not None and not self.where.holds(record):
            return LeftOut("where", "the condition does not hold")
        return None
