"""Reading a manifest for somebody who may leave before it is read."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from pathlib import Path

import pytest

from batchgen.models import ModelSchema
from batchgen.models.catalog import Catalogue
from batchgen.runner.load import gather
from batchgen.state import empty_reader


class SlowCatalogue(Catalogue):
    """Takes 5 ms a question, and a row asks at least once."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9/v1", None)
        self.asked = 0
        self.was_asked = asyncio.Event()
        self._here = asyncio.get_running_loop()

    def schema(self, model: str) -> ModelSchema:
        self.asked += 1
        self._here.call_soon_threadsafe(self.was_asked.set)
        time.sleep(0.005)
        return super().schema(model)


async def test_reading_ends_with_the_row_at_which_it_was_cancelled(tmp_path: Path) -> None:
    rows = "".join(f"row-{number},a dune,https://e.com/a.png\n" for number in range(900))  # less than is read at once
    (tmp_path / "ads.csv").write_text("id,text,images\n" + rows)
    catalogue = SlowCatalogue()
    with closing(empty_reader()) as known:
        reading = asyncio.create_task(gather(tmp_path / "ads.csv", catalogue, known))
        await catalogue.was_asked.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.get_running_loop().shutdown_default_executor()  # as a program does at its end
    assert catalogue.asked < 300
