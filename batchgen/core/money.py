"""Money: what is reserved, what was charged, what may still be spent. Pure; amounts in micro-dollars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from batchgen.core.job import RESERVED, Billed, Job, State

MICRO = 1_000_000
_MOST_USD = 10**12
_MOST_RESERVED_MICRO = 10**15  # sums of more would not fit the state file's integers


def micro(usd: Any) -> int | None:
    """*usd* as whole micro-dollars, rounded up; None for anything that is not a finite amount >= 0."""
    if isinstance(usd, bool) or not isinstance(usd, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(usd))
    except InvalidOperation:
        return None
    if not amount.is_finite() or not 0 <= amount <= _MOST_USD:
        return None
    return int((amount * MICRO).to_integral_value(ROUND_CEILING))


def usd(amount_micro: int | None) -> float | None:
    return None if amount_micro is None else round(amount_micro / MICRO, 6)


def dollars(amount_usd: float | None) -> str:
    """An amount as people write it, rounded up; at least two decimals, more only where they say something."""
    if amount_usd is None:
        return "unknown"
    rounded = Decimal(str(amount_usd)).quantize(Decimal("0.0001"), ROUND_CEILING)
    text = f"{rounded:.4f}".rstrip("0")
    whole, _, decimals = text.partition(".")
    return f"${int(whole):,}.{decimals:0<2}"


@dataclass(frozen=True, slots=True)
class Money:
    """Sums over attempts, as docs/money.md defines them.

    *unpriced* counts accepted or reserved attempts whose price nobody knows, so that no sum looks complete
    when it is not.
    """

    charged: int = 0
    reserved: int = 0
    possibly: int = 0
    unpriced: int = 0

    def __add__(self, other: Money) -> Money:
        return Money(
            self.charged + other.charged,
            self.reserved + other.reserved,
            self.possibly + other.possibly,
            self.unpriced + other.unpriced,
        )

    def __sub__(self, other: Money) -> Money:
        return self + Money(-other.charged, -other.reserved, -other.possibly, -other.unpriced)

    @property
    def committed(self) -> int:
        """What counts against a budget."""
        return self.charged + self.reserved + self.possibly


NOTHING = Money()


def money(job: Job) -> Money:
    """What *job* adds to the folder's account.

    Reserved until its files are here, then charged: at the measured cost, or at the estimate until that comes, for
    everything that was accepted. A doubtful attempt that was released or given up stays possibly charged for good.
    """
    if job.state is State.PENDING or job.billed is Billed.NO:
        return NOTHING
    price = job.cost_micro if job.cost_micro is not None else job.estimate_micro
    if price is None:
        return Money(unpriced=1)
    if job.billed is Billed.POSSIBLY:
        return Money(possibly=price)
    if job.state in RESERVED:
        return Money(reserved=price)
    return Money(charged=price)


@dataclass(frozen=True, slots=True)
class Price:
    """What one request of a model costs: *unit_micro* for each output or second, None when unknown.

    A request of 0 units is one of which nobody knows how many they are, and so what it costs.

    *highest_unit_micro* is the list price or the highest measured one, whichever is more; it is what
    reservations use.
    """

    unit_micro: int | None
    highest_unit_micro: int | None

    def reserve_micro(self, units: int) -> int | None:
        if self.highest_unit_micro is None or units <= 0:
            return None
        reserve_micro = self.highest_unit_micro * units
        return reserve_micro if reserve_micro <= _MOST_RESERVED_MICRO else None

    def having_seen(self, cost_micro: int, units: int) -> Price:
        """This price after a job of *units* cost *cost_micro*: the reserve rises at once, and never falls."""
        if units <= 0:
            return self
        seen = -(-cost_micro // units)
        if self.highest_unit_micro is None or seen > self.highest_unit_micro:
            return replace(self, highest_unit_micro=seen)
        return self


def may_reserve(committed: Money, price_micro: int | None, budget_micro: int | None) -> bool:
    """Whether one more request at *price_micro* stays within the budget. An unknown price never does, and while
    something was sent at an unknown price nobody knows what is left of the budget."""
    if budget_micro is None:
        return True
    if committed.unpriced:
        return False
    return price_micro is not None and committed.committed + price_micro <= budget_micro


def cost_report(account: Money, budget_micro: int | None) -> Mapping[str, float | None]:
    """The `cost` object of `--json`, in USD."""
    return {
        "charged": usd(account.charged),
        "reserved": usd(account.reserved),
        "possibly": usd(account.possibly),
        "budget": usd(budget_micro),
    }
