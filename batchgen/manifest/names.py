"""What the combinations of a matrix are called: their values in a form that a folder can have."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from batchgen.core.row import canonical, folded, one_form
from batchgen.core.templates import Matrix
from batchgen.manifest.columns import as_text

_NO_NAME = re.compile(r"[^\w.]+")
_LONGEST_BYTES = 80
_MOST_COMPARED = 100_000
"""Of more combinations than this, two of one name are told as such and do not get names of their own."""

NameOf = Callable[[Mapping[str, Any]], str]


def names_of(matrix: Matrix | None, version: int) -> NameOf:
    """What names each combination of *matrix*, whatever its place: `watercolour-2`, `sku_001-white-marble`.

    Of combinations that would have one name the first keeps it, so that adding one never renames another. Folders
    of *version* 1 have 8 hexadecimal digits for every combination that is not of plain words alone.
    """
    if version == 1:
        return lambda combination: _plain_name(combination) or _digest(combination)
    if matrix is None:
        return _readable
    later: set[str] | None = None

    def name(combination: Mapping[str, Any]) -> str:
        nonlocal later
        if (plain := _plain_name(combination)) is not None:
            return plain
        if later is None:
            later = _second_of_a_name(matrix)
        readable, digest = _readable(combination), _digest(combination)
        return f"{readable}-{digest}" if digest in later and readable != digest else readable

    return name


def _second_of_a_name(matrix: Matrix) -> set[str]:
    """The digests of combinations whose name one before them has."""
    taken: dict[str, str] = {}
    later = set()
    for combination in islice(matrix.combinations(), _MOST_COMPARED):
        digest = _digest(combination)
        if taken.setdefault(folded(_readable(combination)), digest) != digest:
            later.add(digest)
    return later


def _readable(combination: Mapping[str, Any]) -> str:
    if (plain := _plain_name(combination)) is not None:
        return plain
    words = [_NO_NAME.sub("-", one_form(_text(value))).strip("-.") for value in combination.values()]
    if not all(words):
        return _digest(combination)
    name = "-".join(words)
    if len(name.encode()) <= _LONGEST_BYTES:
        return name
    cut = name.encode()[: _LONGEST_BYTES - 9].decode(errors="ignore").rstrip("-.")
    return f"{cut}-{_digest(combination)}"


_SLUG_CHARACTERS = 40


def _plain_name(combination: Mapping[str, Any]) -> str | None:
    """The name of a combination of short plain words; None if it is none."""
    texts = [_text(value) for value in combination.values()]
    name = "-".join(texts)
    return name if len(name) <= _SLUG_CHARACTERS and all(map(_is_plain, texts)) else None


def _text(value: Any) -> str:
    return "" if value is None else as_text(value)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.replace("_", "").replace(".", "").isalnum()


def _digest(combination: Mapping[str, Any]) -> str:
    text = json.dumps(canonical(dict(combination)), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
