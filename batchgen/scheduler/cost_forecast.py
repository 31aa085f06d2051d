"""What the rows that have not ended will cost, from what those that have ended did cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from batchgen.core.job import Billed, Job
from batchgen.scheduler.pacing import Measure, cost_left_micro
from batchgen.scheduler.reservations import Reservations


class CostForecast:
    """*units* are those of rows that have not ended, by model (outputs or seconds); 0 where nobody knows how many."""

    def __init__(self, units: Mapping[str, int], purse: Reservations) -> None:
        self._units = dict(units)
        self._is_unbounded = 0 in units.values()
        self._purse = purse
        self._costs: defaultdict[str, Measure] = defaultdict(Measure)

    def ended(self, job: Job) -> None:
        """*job* came to its end: its cost, if it is known, says what others will cost."""
        self._units[job.model] = max(self._units.get(job.model, 0) - job.units, 0)
        cost_micro = 0 if job.billed is Billed.NO else job.cost_micro
        if cost_micro is not None and job.units > 0:
            self._costs[job.model].add(cost_micro / job.units)

    def cost_left_micro(self) -> tuple[int, int] | None:
        """Micro-dollars, at least and at most; None while a price is unknown."""
        if self._is_unbounded:
            return None
        least = most = 0
        for model, units in self._units.items():
            if not units:
                continue
            highest_micro = self._purse.unit_price_micro(model)
            if highest_micro is None:
                return None
            low, high = cost_left_micro(self._costs[model], units, highest_micro)
            least, most = least + low, most + high
        return least, most
