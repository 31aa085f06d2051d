"""Price lists: in a manifest, or a file of their own."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from batchgen.manifest import ManifestError, price_list, prices
from batchgen.models import UnitPrice


def test_a_price_is_of_what_the_models_own_is_one_of_unless_it_says_of_what(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("a/b: 0.03\nc/d: 4.50/output\ne/f: 0.112 / second\ng/h: 0\n")
    assert price_list(file) == {
        "a/b": UnitPrice(Decimal("0.03")),
        "c/d": UnitPrice(Decimal("4.50"), "output"),
        "e/f": UnitPrice(Decimal("0.112"), "second"),
        "g/h": UnitPrice(Decimal(0)),
    }
    manifest = tmp_path / "ads.yaml"
    manifest.write_text("prices: {c/d: 4.50/output}\nrows: []\n")
    assert prices(manifest) == {"c/d": UnitPrice(Decimal("4.50"), "output")}


@pytest.mark.parametrize(
    "amount", ["0.03/image", "0.03/", "/second", "-1", "inf", ".nan", "free", "0.03/output/second"]
)
def test_what_is_no_price_is_told_with_its_line_and_what_to_write(tmp_path: Path, amount: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(f"a/b: 0.03\nc/d: {amount}\n")
    with pytest.raises(ManifestError) as refused:
        price_list(file)
    (problem,) = refused.value.problems
    assert (problem.line, problem.column) == (2, "prices.c/d")
    assert "write 0.03 or 0.03/second" in problem.message
