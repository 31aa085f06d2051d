"""The price of each model of a run folder, and what jobs count as that were sent while nobody knew it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from batchgen.core.job import Job, PriceKnown, State
from batchgen.core.money import Money, Price, money
from batchgen.models import ModelUnknown
from batchgen.models.catalog import Catalogue
from batchgen.state import Reader, StateFile

_NAMED = 5
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Jobs of one model that were sent and whose price nobody knows: how many, and the rows of the first."""

    model: str
    jobs: int
    row_ids: tuple[str, ...]

    def __str__(self) -> str:
        more = ", ..." if self.jobs > len(self.row_ids) else ""
        return f"{self.jobs} of {self.model} ({', '.join(self.row_ids)}{more})"


async def look_up(catalogue: Catalogue, reader: Reader) -> None:
    """Make the schema of every model of the folder known, as far as anybody knows it."""
    for model in reader.models():
        with suppress(ModelUnknown):
            await asyncio.to_thread(catalogue.schema, model)


def prices(catalogue: Catalogue, reader: Reader) -> dict[str, Price]:
    """The price of every model of the folder, its reserve raised to the most it was measured to cost."""
    seen = reader.highest_unit_prices()
    return {model: catalogue.price(model, seen.get(model)) for model in reader.models()}


def account(catalogue: Catalogue, reader: Reader) -> tuple[Money, tuple[Unpriced, ...]]:
    """The folder's money with every job at the price that is known now, and the jobs whose price still is not."""
    told = reader.money()
    if not told.unpriced:
        return told, ()
    known = prices(catalogue, reader)
    unknown: dict[str, Unpriced] = {}
    for job in reader.unpriced():
        estimate_micro = _estimate_micro(job, known, catalogue)
        if estimate_micro is not None:
            told = told - money(job) + money(job._replace(estimate_micro=estimate_micro))
            continue
        before = unknown.get(job.model, Unpriced(job.model, 0, ()))
        unknown[job.model] = Unpriced(job.model, before.jobs + 1, (*before.row_ids, job.row_id)[:_NAMED])
    return told, tuple(unknown.values())


async def price_what_was_sent(state: StateFile, known: Mapping[str, Price], catalogue: Catalogue) -> None:
    """Count every job that was sent at an unknown price as what is known now, on disk when this returns."""
    if not state.tally.money.unpriced:
        return
    found: Iterator[Job] = state.reader.unpriced()
    while jobs := list(islice(found, _AT_ONCE)):
        estimates = [(job, _estimate_micro(job, known, catalogue)) for job in jobs]
        now = time.time()
        await asyncio.gather(
            *(state.record(job, PriceKnown(now, micro)) for job, micro in estimates if micro is not None)
        )


def recounted(job: Job, catalogue: Catalogue) -> Job:
    """*job* with the units that its price is one of now: with another price list they may be others."""
    if catalogue.known(job.model) is None:
        return job
    return job._replace(units=catalogue.units(job.model, job.input))


async def count_anew(state: StateFile, catalogue: Catalogue, row_ids: Collection[str]) -> None:
    """Count the pending attempts at *row_ids* in the units of today's prices, on disk when this returns."""
    pending = ((job, recounted(job, catalogue)) for job in state.reader.jobs([State.PENDING], row_ids))
    await state.set_units({job.key: now.units for job, now in pending if now.units != job.units})


def _estimate_micro(job: Job, known: Mapping[str, Price], catalogue: Catalogue) -> int | None:
    """What *job* may cost. It was counted before the price, and so its unit, was known."""
    price = known.get(job.model)
    if price is None:
        return None
    return price.reserve_micro(recounted(job, catalogue).units)
