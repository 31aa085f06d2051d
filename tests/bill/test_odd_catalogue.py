"""A bill while the catalogue gives what is no schema: it costs the rows of that model, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from batchgen.runner.commands import plan
from batchgen.runner.options import Options

PROMPT = {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}
ENTRIES: dict[str, Any] = {
    "sound/one": PROMPT,
    "odd/list": [PROMPT],
    "odd/text": "object",
    "odd/nothing": None,
    "odd/fields": {"type": "object", "properties": ["prompt"], "required": ["prompt"]},
    "odd/rules": PROMPT | {"properties": {"prompt": {"type": "string", "maxLength": "9", "pattern": "a"}}},
    "odd/far": PROMPT | {"properties": {"prompt": {"$ref": "http://127.0.0.1:9/prompt.json"}}},
}


@pytest.fixture
async def base(tmp_path: Path) -> AsyncIterator[str]:
    """A provider of these models; what is fetched of it is kept below the test's own folder."""

    async def entry(request: web.Request) -> web.Response:
        model = request.match_info["model"]
        about = {"model_id": model, "base_price_usd": 0.02, "price_unit": "output"}
        return web.json_response({**about, "input_schema": ENTRIES[model]})

    app = web.Application()
    app.router.add_get("/v1/models/{model:.+}", entry)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


async def test_what_is_no_schema_is_a_problem_or_a_warning_and_the_other_rows_keep_their_price(
    base: str, tmp_path: Path
) -> None:
    manifest = tmp_path / "ads.csv"
    manifest.write_text("id,model,prompt\n" + "".join(f"{model[-3:]},{model},a dune\n" for model in ENTRIES))
    bill = await plan(manifest, Options(api_base=base, token="t"))
    problems = {(problem.line, problem.severity): problem.message for problem in bill.problems}
    assert {line for line, severity in problems if severity == "error"} == {3, 4, 5, 6}
    assert all("gives no input schema" in problems[line, "error"] for line in (3, 4, 5))
    assert "odd/fields has no field 'prompt'" in problems[6, "error"]
    assert {line for line, severity in problems if severity == "warning"} == {6, 7, 8}
    priced = {line.model: line.total_usd for line in bill.bill}
    assert [priced.get(model) for model in ("sound/one", "odd/rules", "odd/far", "odd/list")] == [0.02] * 3 + [None]
    assert (bill.unreachable, bill.would_run) == ("", False)
