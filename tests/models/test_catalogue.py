"""What the provider's catalogue answers is held against what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batchgen import Options, plan_async
from batchgen.models import ModelUnknown, SchemaCache
from batchgen.models.catalog import Catalogue
from batchgen.providers.runcomfy.model_api import RunComfy
from tests.processes import MODEL
from tests.providers.rawserver import (
    CLOSED_WITHOUT_AN_ANSWER,
    RawServer,
    Reply,
    Seen,
    closed_port,
    listening,
    raw_server,
    reply,
)

BASE = "http://127.0.0.1:1"
OBJECT = {"type": "object", "properties": {"text": {"type": "string"}}}


@dataclass
class Answering:
    """A catalogue that gives *entry* whatever it is asked for."""

    entry: Mapping[str, Any]
    asked: list[str] = field(default_factory=list)

    async def catalogue_entry(self, model: str) -> Mapping[str, Any] | None:
        self.asked.append(model)
        return self.entry


@pytest.mark.parametrize("other", ["other/model", f"{MODEL}/pro", MODEL.upper(), f" {MODEL}", "", "x" * 10_000])
async def test_an_entry_of_another_model_is_refused_and_not_kept(tmp_path: Path, other: str) -> None:
    cache, answering = SchemaCache(tmp_path), Answering({"model_id": other, "input_schema": OBJECT})
    for _ in range(2):
        with pytest.raises(ModelUnknown, match="with the entry of") as refused:
            await asyncio.to_thread(Catalogue(BASE, answering, cache=cache).schema, MODEL)
        assert len(str(refused.value)) < 300
    assert answering.asked == [MODEL, MODEL]
    assert cache.get(BASE, other) is None


async def test_rows_of_a_model_whose_entry_is_anothers_are_a_problem_and_nothing_is_planned_to_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    manifest = tmp_path / "ads.csv"
    manifest.write_text(f"id,model,text\na,{MODEL},x\n", "utf-8")
    entry = {"model_id": "dear/model", "input_schema": OBJECT, "base_price_usd": 900, "price_unit": "output"}
    async with raw_server(reply(200, entry)) as server:
        bill = await plan_async(manifest, Options(api_base=server.base, token="t", out=tmp_path / "out"))
    assert any("with the entry of 'dear/model'" in str(problem) for problem in bill.problems)
    assert not [seen for seen in server.seen if seen.method == "POST"]


GOOD = {"model_id": "sound/one", "input_schema": OBJECT, "base_price_usd": 0.02, "price_unit": "output"}
USELESS = {
    "too long": (reply(200, b"[" + b" " * 9 * 2**20 + b"]"), "longer than"),
    "no JSON": (reply(200, b"<html>One moment, please</html>"), "HTTP 200"),
    "a 500": (reply(500, {"message": "internal error"}), "HTTP 500"),
    "a 401": (reply(401, {"message": "who are you"}), "HTTP 401"),
    "cut short": (reply(200, GOOD, then="close", length=5_000), "broke off"),
    "hung up": (CLOSED_WITHOUT_AN_ANSWER, "closed before an answer"),
    "no HTTP": (Reply(b"hello\r\n\r\n", "close"), "does not speak HTTP"),
}


class OneOfUse(RawServer):
    """A provider that knows sound/one, and has an account, and nothing but *replies* to say of any other model."""

    async def answer_to(self, seen: Seen) -> Reply:
        if seen.target.endswith("balance"):
            return reply(200, {"balance_microdollars": 5_000_000})
        return reply(200, GOOD) if seen.target.endswith("sound/one") else self.next_reply()


@pytest.mark.parametrize(("useless", "says"), USELESS.values(), ids=USELESS)
async def test_a_useless_answer_about_a_model_is_a_problem_of_its_rows_and_of_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, useless: Reply, says: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    manifest = tmp_path / "ads.csv"
    manifest.write_text(f"id,model,text\na,odd/one,x\nb,sound/one,x\nc,{MODEL},x\n", "utf-8")
    async with listening(OneOfUse([useless])) as server:
        bill = await plan_async(manifest, Options(api_base=server.base, token="t", out=tmp_path / "out"))
    (unknown,) = [problem.message for problem in bill.problems if problem.line == 2]
    assert "about the model 'odd/one' is of no use" in unknown
    assert says in unknown
    assert "no model is called" not in unknown
    assert {problem.line for problem in bill.problems if "of no use" in problem.message} == {2}
    assert {line.model: line.total_usd for line in bill.bill}["sound/one"] == 0.02
    assert bill.unreachable == ""
    assert [MODEL in warning for warning in bill.warnings if "of no use" in warning] == [True], (
        "shipped, and perhaps old"
    )


async def test_where_nobody_answers_no_model_is_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    manifest = tmp_path / "ads.csv"
    manifest.write_text("id,model,text\na,odd/one,x\nb,sound/one,x\n", "utf-8")
    base = f"http://127.0.0.1:{closed_port()}"
    bill = await plan_async(manifest, Options(api_base=base, token="t", out=tmp_path / "out"))
    assert bill.unreachable
    assert ["out of reach" in problem.message for problem in bill.problems] == [True, True]


async def test_a_key_that_the_catalogue_repeats_is_neither_shown_nor_kept() -> None:
    token = "tok-7f2b91"
    schema = {"type": "object", "properties": {"text": {"type": "string", "examples": [f"a {token}", 7, None]}}}
    entry = {"model_id": MODEL, "description": f"asked with {token}", token: 1, "input_schema": schema}
    async with raw_server(reply(200, entry), reply(200, {"models": [entry], "total": 1})) as server:
        provider = RunComfy(server.base, token)
        try:
            answers = [await provider.catalogue_entry(MODEL), await provider.search("dune")]
        finally:
            await provider.close()
    assert token not in json.dumps(answers)
    assert json.dumps(answers).count('["a [hidden]", 7, null]') == 2
