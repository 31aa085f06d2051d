"""Links that were signed again are no change of a row, and whatever begins an attempt sends the newest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.job import State
from batchgen.results.reviews import append_mark
from batchgen.runner import recover
from batchgen.runner.bill import Plan
from batchgen.runner.commands import plan, retry
from batchgen.runner.options import Options
from batchgen.runner.session import open_existing
from batchgen.storage.paths import RunFolder
from tests.money.harness import body_sha256
from tests.money.here import EmbeddedServer, attempts, ran, serving_here
from tests.processes import TOKEN

OLD, NEW, NEWER = "20260101T000000Z", "20990101T000000Z", "20990102T000000Z"


def link(signed: str) -> str:
    return f"https://b.s3.amazonaws.com/a.png?X-Amz-Date={signed}&X-Amz-Expires=3600&X-Amz-Signature={signed}"


@dataclass
class Folder:
    """A manifest of one row whose link can be signed again, its run folder, and a server."""

    path: Path
    server: EmbeddedServer
    bills: list[Plan] = field(default_factory=list)

    def sign(self, signed: str, text: str = "a dune", name: str = "ads.csv") -> Path:
        path = self.path / name
        path.write_text(
            f"id,text,images,seed,sequential_image_generation_options\nrow-0000,{text},{link(signed)},7,1\n"
        )
        return path

    @property
    def manifest(self) -> Path:
        return self.path / "ads.csv"

    @property
    def failed(self) -> Path:
        return self.path / "out" / "failed.csv"

    async def run(self, manifest: Path | None = None, **options: Any) -> None:
        await ran(self.path, self.server.url, manifest=manifest or self.manifest, **options)

    async def retry(self, agreed: bool = True, **how: Any) -> None:
        def consent(bill: Plan) -> bool:
            self.bills.append(bill)
            return agreed

        await retry(self.path / "out", self.options(), consent, **how)

    @property
    def expired(self) -> list[str]:
        """The rows whose links the last bill called expired."""
        return list(self.bills[-1].expired)

    def options(self) -> Options:
        return Options(api_base=self.server.url, token=TOKEN, min_free_bytes=0, out=self.path / "out")

    async def sent(self, seeds: Sequence[int] = (7,)) -> list[str]:
        """By which signature each job that was charged was made, in order."""
        known = {body_sha256("a dune", link(signed), seed, 1): signed for signed in (OLD, NEW, NEWER) for seed in seeds}
        return [known.get(job["body_sha256"], "another") for job in await self.server.charged()]


@pytest.mark.parametrize("run_between", [True, False])
async def test_a_retry_sends_the_link_that_the_manifest_has_now(tmp_path: Path, run_between: bool) -> None:
    async with serving_here("job.fail=100%") as server:
        one = Folder(tmp_path, server)
        await one.run(one.sign(OLD))
        one.sign(NEW)
        if run_between:
            await one.run(keep_changed=True)
        await one.retry()
        one.sign(NEWER)
        await one.retry()
        assert await one.sent() == [OLD, NEW, NEWER]


async def test_a_rerun_of_collected_and_of_rejected_rows_sends_the_newest_link(tmp_path: Path) -> None:
    async with serving_here() as server:
        one = Folder(tmp_path, server)
        await one.run(one.sign(OLD))
        one.sign(NEW)
        await one.retry(rerun=True)
        one.sign(NEWER)
        await one.run()
        (file,) = attempts(tmp_path)[-1].saved
        append_mark(RunFolder.at(tmp_path / "out"), "row-0000", file.name, file.sha256, "rejected", 1.0)
        await one.retry(rejected=True)
        assert await one.sent() == [OLD, NEW, NEWER]


async def test_a_seed_that_an_attempt_got_for_itself_stays_with_its_new_link(tmp_path: Path) -> None:
    async with serving_here("job.fail=100%") as server:
        one = Folder(tmp_path, server)
        await one.run(one.sign(OLD))
        await one.retry(new_seed=True)
        own = attempts(tmp_path)[-1].input["seed"]
        one.sign(NEW)
        await one.retry()
        one.sign(NEWER)
        await one.retry(new_seed=True)
        seeds = [7, own, own, attempts(tmp_path)[-1].input["seed"]]
        assert [job.input["seed"] for job in attempts(tmp_path)] == seeds
        assert len({*seeds}) == 3
        assert await one.sent(seeds) == [OLD, OLD, NEW, NEWER]
        written = one.failed.read_text("utf-8")
        assert link(NEWER) in written
        assert ",1,7," in written, "as the manifest asks for it"


async def test_failed_csv_as_it_was_written_sends_the_newest_link_and_an_edit_of_it_sends_the_edit(
    tmp_path: Path,
) -> None:
    async with serving_here("job.fail=100%") as server:
        one = Folder(tmp_path, server)
        await one.run(one.sign(OLD))
        one.sign(NEW)
        await one.run(one.failed)
        one.failed.write_text(one.failed.read_text("utf-8").replace(NEW, NEWER), "utf-8")
        await one.run(one.failed)
        assert await one.sent() == [OLD, NEW, NEWER]


async def test_an_attempt_that_was_begun_and_not_sent_takes_the_newest_link(tmp_path: Path) -> None:
    async with serving_here("job.fail=100%", wallet_usd=0.03) as server:
        one = Folder(tmp_path, server)
        await one.run(one.sign(OLD))
        await one.retry()
        assert attempts(tmp_path)[-1].state is State.PENDING
        one.sign(NEW)
        server.change(wallet_usd=1.0)
        await one.run(keep_changed=True)
        assert await one.sent() == [OLD, NEW]


async def test_a_doubtful_row_that_was_released_sends_the_newest_link(tmp_path: Path) -> None:
    async with serving_here("submit.drop_reply=100%") as server:
        one = Folder(tmp_path, server)
        await one.run(one.sign(OLD))
        one.sign(NEW)
        await one.run()
        server.change(faults="")
        async with open_existing(tmp_path / "out", one.options()) as opened:
            await recover.release(opened.state, [recover.in_doubt(opened.state, "row-0000")])
        await one.run()
        assert await one.sent() == [OLD, NEW]


async def test_to_pay_for_changed_rows_again_does_not_pay_for_those_that_were_only_signed_again(tmp_path: Path) -> None:
    async with serving_here() as server:
        one = Folder(tmp_path, server)
        await one.run(one.sign(OLD))
        one.sign(NEW)
        await one.run()
        await one.run(rerun_changed=True)
        assert server.posts == 1
        one.sign(NEW, text="a dune at dusk")
        await one.run(rerun_changed=True)
        assert await one.sent() == [OLD, "another"]


async def test_a_manifest_that_is_gone_or_has_problems_is_told_of_before_a_retry_is_paid(tmp_path: Path) -> None:
    async with serving_here("job.fail=100%") as server:
        one = Folder(tmp_path, server)
        await one.run(one.sign(OLD))
        one.manifest.write_text("id,text\nrow-0000,\n")
        await one.retry()
        one.manifest.unlink()
        await one.retry()
        problem, gone = (bill.warnings[-1] for bill in one.bills)
        assert f"{one.manifest} has problems now, so rows are sent as they were taken in" in problem
        assert gone == f"{one.manifest} is not there any more: rows are sent as they were taken in from it"
        assert await one.sent() == [OLD, OLD, OLD]


async def test_links_past_their_end_are_named_before_anything_is_sent(tmp_path: Path) -> None:
    async with serving_here("job.fail=100%") as server:
        one = Folder(tmp_path, server)
        await one.run(one.sign(OLD))
        with pytest.raises(Exception, match="the bill was not agreed to"):
            await one.retry(agreed=False)
        assert one.expired == ["row-0000"]
        assert "1 row with signed input URLs past their end: row-0000" in one.bills[-1].warnings[-1]
        one.sign(NEW)
        await one.retry()
        assert one.expired == []
        assert (await plan(one.failed, one.options())).expired == (), "failed.csv has the newest link"
        one.failed.write_text(one.failed.read_text("utf-8").replace(NEW, OLD), "utf-8")
        assert (await plan(one.failed, one.options())).expired == (), "the manifest has a newer one"
        one.sign(OLD, name="others.csv")
        told = await plan(tmp_path / "others.csv", Options(api_base=server.url, token=TOKEN))
        assert told.as_json()["expired"] == ["row-0000"]


async def test_a_row_that_asks_for_something_else_by_now_is_retried_as_it_was_and_told_of(tmp_path: Path) -> None:
    async with serving_here("job.fail=100%") as server:
        one = Folder(tmp_path, server)
        await one.run(one.sign(OLD))
        one.sign(NEW, text="a dune at dusk")
        await one.retry()
        assert f"1 row of {one.manifest} asked for something else when they were taken in" in one.bills[-1].warnings[-1]
        assert await one.sent() == [OLD, OLD]


async def test_a_host_of_this_machine_in_a_new_row_keeps_no_retry_from_the_newest_link(tmp_path: Path) -> None:
    async with serving_here("job.fail=100%") as server:
        one = Folder(tmp_path, server)
        await one.run(one.sign(OLD))
        rows = one.sign(NEW).read_text("utf-8")
        one.manifest.write_text(f"{rows}row-0001,a hut,http://127.0.0.1:9/b.png,8,1\n", "utf-8")
        await one.retry()
        assert await one.sent() == [OLD, NEW]
