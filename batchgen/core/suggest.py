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


_ALIKE = (
    ("prompt", "text", "caption", "description", "instruction"),
    ("image", "images", "image_url", "image_urls", "input_image", "picture", "pictures", "photo", "photos", "img"),
    ("video", "video_url", "video_urls", "input_video", "movie", "clip"),
    ("audio", "audio_url", "audio_urls", "sound", "voice"),
    ("size", "image_size", "resolution", "dimensions", "aspect_ratio", "ratio"),
    ("n", "count", "num_images", "number_of_images", "max_images", "sequential_image_generation_options", "outputs"),
    ("duration", "seconds", "length", "music_length_ms"),
    ("id", "row_id", "key", "name"),
    ("model", "model_id", "model_name"),
    ("note", "notes", "comment", "comments", "remark"),
)
"""Names that people and other programs give to one thing."""


def nearest_name(name: str, names: Iterable[str]) -> str | None:
    """The one of *names* of fields or columns that most likely was meant by *name*, in any case."""
    by_folded = {_folded(choice): choice for choice in names}
    wanted = _folded(name)
    if wanted in by_folded:
        return by_folded[wanted]
    for alike in _ALIKE:
        if wanted in alike and (meant := next((one for one in alike if one in by_folded), None)):
            return by_folded[meant]
    return nearest(name, by_folded.values())


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`; did you mean 'seed'?`, or nothing."""
    meant = nearest(word, choices)
    return f"; did you mean {meant!r}?" if meant is not None else ""


def _folded(word: str) -> str:
    return word.strip().casefold().replace("-", "_").replace(" ", "_")
