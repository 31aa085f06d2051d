"""Sums over all items of a data set, for its card. The same in whatever order the items come."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from batchgen.results.export.ledger import Item
from batchgen.results.export.samples import Samples

_NANO = 1_000_000_000


@dataclass(slots=True)
class Facts:
    """*first* and *last* are when items were generated, as their columns have it."""

    models: Counter[str] = field(default_factory=Counter)
    media_types: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    cost_nano: int = 0
    without_cost: int = 0
    pairs: int = 0
    first: str = ""
    last: str = ""
    samples: Samples = field(default_factory=Samples)

    @property
    def cost_usd(self) -> float:
        return self.cost_nano / _NANO

    def add(self, item: Item) -> None:
        record = item.record
        self.models[record["model"]] += 1
        self.media_types[record["media_type"]] += 1
        self.marks[record["review"] or "unmarked"] += 1
        self.bytes += record["bytes"]
        cost_usd, at = record["cost_usd"], record["generated_at"]
        if cost_usd is None:
            self.without_cost += 1
        else:
            self.cost_nano += round(cost_usd * _NANO)  # a sum of shares as floats would hang on their order
        self.pairs += item.source is not None
        if at:
            self.first = min(self.first or at, at)
            self.last = max(self.last, at)
        self.samples.add(item)


def by_count(counter: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first, and those that are as frequent by name."""
    return sorted(counter.items(), key=lambda counted: (-counted[1], counted[0]))
