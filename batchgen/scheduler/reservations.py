"""The money of a run: what a row's price is, and whether the budget still allows it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from batchgen.core.job import Job
from batchgen.core.money import Price, may_reserve
from batchgen.state import StateFile


class Afford(Enum):
    YES = auto()
    PRICE_UNKNOWN = auto()
    SPENT_UNKNOWN = auto()
    OVER_BUDGET = auto()


class Reservations:
    """Prices by model, and what is held for rows on their way to their intent."""

    def __init__(self, state: StateFile, prices: Mapping[str, Price], budget_micro: int | None) -> None:
        self._state = state
        self._prices = dict(prices)
        self._budget_micro = budget_micro
        self._held: dict[int, int] = {}

    def price_micro(self, job: Job) -> int | None:
        """What is reserved for *job*; None where nobody knows."""
        price = self._prices.get(job.model)
        return None if price is None else price.reserve_micro(job.units)

    def unit_price_micro(self, model: str) -> int | None:
        """The highest price known of one output or second; None where nobody knows."""
        price = self._prices.get(model)
        return None if price is None else price.highest_unit_micro

    def hold(self, job: Job) -> Afford:
        """Hold the price of *job* until its intent reserves it, in place of what was held for it, if there is room."""
        if self._budget_micro is None:
            return Afford.YES
        price_micro = self.price_micro(job)
        if price_micro is None:
            return Afford.PRICE_UNKNOWN
        if self._state.tally.money.unpriced:
            return Afford.SPENT_UNKNOWN
        others_micro = sum(self._held.values()) - self._held.get(job.key, 0)
        if not may_reserve(self._state.tally.money, price_micro + others_micro, self._budget_micro):
            return Afford.OVER_BUDGET
        self._held[job.key] = price_micro
        return Afford.YES

    def let_go(self, job: Job) -> None:
        """The intent reserves the price now, or the row is not sent."""
        self._held.pop(job.key, None)

    def seen(self, job: Job, cost_micro: int | None) -> None:
        """A cost above the reserve raises what is reserved for the rows that follow."""
        if cost_micro is not None and (price := self._prices.get(job.model)) is not None:
            self._prices[job.model] = price.having_seen(cost_micro, job.units)
