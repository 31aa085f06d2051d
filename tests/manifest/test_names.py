"""What the rows of a matrix are called: readable, a folder on every system, and the same for as long as they last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from batchgen.core.row import FINGERPRINT_VERSION, Row, folded, row_id_fault
from batchgen.core.templates import Matrix
from batchgen.manifest import read
from batchgen.manifest.names import names_of
from tests.manifest.reading import SEED, schemas


def names(values: Sequence[object], version: int = FINGERPRINT_VERSION, **more: Sequence[object]) -> list[str]:
    """What each combination of one axis of *values*, and *more* axes, is called."""
    matrix = Matrix({"style": values, **more})
    name_of = names_of(matrix, version)
    return [name_of(combination) for combination in matrix.combinations()]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("white marble", "white-marble"),
        ("oil, on canvas", "oil-on-canvas"),
        ("16:9", "16-9"),
        ("2048:2048 (1:1)", "2048-2048-1-1"),
        ("weißer Marmor", "weißer-Marmor"),
        ("cafe\u0301", "caf\u00e9"),
        ("大理石 白", "大理石-白"),
        ("pictures/mug.png", "pictures-mug.png"),
        (["red", "blue"], "red-blue"),
        ("etc.", "etc."),
    ],
)
def test_a_value_of_a_matrix_can_be_read_in_the_name_of_its_row(value: object, name: str) -> None:
    assert names([value]) == [name]


def test_values_of_several_axes_stand_one_after_the_other() -> None:
    assert names(["white marble"], size=["large print", 2]) == ["white-marble-large-print", "white-marble-2"]


def test_the_first_of_two_values_that_read_alike_keeps_its_name_and_each_has_its_own() -> None:
    alone = names(["white marble"])
    both = names(["white marble", "white-marble", "White, marble", "-"])
    assert both[:1] == alone
    assert len({folded(name) for name in both}) == 4
    assert re.fullmatch("white-marble-[0-9a-f]{8}", both[1])


def test_combinations_whose_joined_names_read_alike_have_names_of_their_own() -> None:
    assert len(set(names(["a", "a b"], size=["b c", "c"]))) == 4


@pytest.mark.parametrize(
    "value", ["x" * 500, "a long text, " * 30, "絵" * 200, "?!", "", None, "..", "con", "a/../b", "\t"]
)
def test_whatever_stands_in_a_matrix_the_name_is_a_folder(value: object) -> None:
    (name,) = names([value])
    assert row_id_fault(f"sku_001-{name}") is None
    assert len(name.encode()) <= 80


def test_a_folder_of_the_first_version_keeps_the_names_its_rows_have(tmp_path: Path) -> None:
    path = tmp_path / "ads.yaml"
    url = "https://example.com/a.png"
    path.write_text(
        f"model: {SEED}\nmatrix: {{style: [white marble, oil]}}\ntemplate: {{text: 'in {{{{ style }}}}'}}\n"
        f"rows: [{{id: sku_001, images: ['{url}']}}]\n"
    )

    def ids(version: int) -> list[str]:
        found = read(path, schemas, fingerprint_version=version)
        return [one.row_id for one in found if isinstance(one, Row)]

    assert ids(1) == ["sku_001-5598c7fe", "sku_001-oil"]
    assert ids(2) == ["sku_001-white-marble", "sku_001-oil"]
