"""The word somebody most likely meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The one of *choices* most like *word*, or None if none is close.

    A choice that holds the whole word counts first: `16:9` means `2560:1440 (16:9)`.
    """
    by_folded = {_folded(choice): choice for choice in choices}
    wanted = _folded(word)
    if not wanted:
        return None
    holding = [folded for folded in by_folded if wanted in folded] if len(wanted) > 1 else []
    if holding:
        return by_folded[min(holding, key=len)]
    close = difflib.get_close_matches(wanted, by_folded, n=1, cutoff=0.55)
    return by_folded[close[0]] if close else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`; did you mean 'seed'?`, or nothing."""
    meant = nearest(word, choices)
    return f"; did you mean {meant!r}?" if meant is not None else ""


def _folded(word: str) -> str:
    return word.strip().casefold().replace("-", "_").replace(" ", "_")
