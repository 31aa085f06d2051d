"""The manifests that come with the project are what they say they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from batchgen.models.media_check import MediaCheck
from tests.manifest.reading import Read, schemas

EXAMPLES = Path(__file__).parents[2] / "manifests"


async def test_the_examples_are_valid_with_their_pictures() -> None:
    for name, count in (("postcards.csv", 12), ("product-shots.yaml", 15)):
        found = Read(EXAMPLES / name, None)
        assert found.said == ""
        assert len({row.row_id for row in found.rows}) == count
        assert all(row.explicit_id and row.files for row in found.rows)
        assert await MediaCheck(schemas).problems(found.rows) == []


def test_the_product_shots_leave_out_what_they_exclude() -> None:
    rows = Read(EXAMPLES / "product-shots.yaml", None).rows
    assert Counter((row.meta["background"], row.meta["light"]) for row in rows)["wet slate", "soft window light"] == 0
    assert {row.input["image_size"] for row in rows if row.meta["background"] == "linen cloth"} == {"1728:2304 (3:4)"}
