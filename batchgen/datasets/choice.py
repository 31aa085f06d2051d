"""Which collected outputs a data set takes, and why it leaves out the others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from batchgen.datasets.columns import Record
from batchgen.datasets.where import Condition


@dataclass(frozen=True, slots=True)
class LeftOut:
    """*reason* is a word to count by, *detail* says it in full."""

    reason: str
    detail: str


@dataclass(slots=True)
class Seen:
    """What the data set holds already, by 64 bits of hash each: ten million outputs find no two alike by chance."""

    outputs: set[int] = field(default_factory=set)
    contents: dict[int, int] = field(default_factory=dict)

    def has(self, record: Record) -> bool:
        """Whether this very output is in the data set."""
        return _short(f"{record['request_id']} {record['output']}") in self.outputs

    def remember(self, record: Record, number: int) -> None:
        """Take in an item of an earlier round."""
        self.outputs.add(_short(f"{record['request_id']} {record['output']}"))
        self.take(record, number)

    def twin(self, record: Record) -> int | None:
        """The number of the item with the same bytes."""
        return self.contents.get(int(record["sha256"][:16], 16))

    def take(self, record: Record, number: int) -> None:
        self.contents[int(record["sha256"][:16], 16)] = number


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


def _short(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
