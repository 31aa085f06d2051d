"""What a model's price is one of, and prices as people write them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

UNITS = ("output", "second")
"""What can be counted before a request is sent. A price of anything else is an unknown one."""


class UnitPrice(NamedTuple):
    """USD for one *unit*; where that is empty, for what the model's own price is one of."""

    usd: Decimal
    unit: str = ""


def unit_price(cell: Any) -> UnitPrice | None:
    """`0.03`, `0.03/output` or `0.112/second`; None for anything else."""
    amount, slash, unit = str(cell).partition("/")
    try:
        usd = Decimal(amount.strip())
    except InvalidOperation:
        return None
    if not usd.is_finite() or usd < 0 or (slash and unit.strip() not in UNITS):
        return None
    return UnitPrice(usd, unit.strip())
