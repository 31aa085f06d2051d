"""Which pixel size and which length a request asks for."""

import math
import re
from collections.abc import Mapping
from typing import Any

NAMED = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
LONGEST_PX = 8192
DEFAULT = (1024, 1024)
DEFAULT_S = 4.0
SIZE_FIELDS = ("image_size", "size", "resolution")
RATIO_FIELDS = ("aspect_ratio", "target_aspect_ratio", "size")
PIXELS = re.compile(r"(\d{2,5})\s*[:xX*×]\s*(\d{2,5})(?!\d)")
SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*s?")
RATIO = re.compile(r"(\d{1,2}):(\d{1,2})")
SQUARE_SIDE = {"1k": 1024, "2k": 2048, "4k": 4096, "480p": 640, "720p": 960, "1080p": 1440}


def requested_size(submitted: Mapping[str, Any], properties: Mapping[str, Any]) -> tuple[int, int]:
    """(width, height) in pixels that *submitted* asks for; what it leaves out is taken from the schema's defaults.

    Exact where pixels are given (`2560:1440 (16:9)`, `2048x2048`, width and height, a named size); an aspect ratio
    with a size class like 2K keeps the ratio and that class's number of pixels.
    """

    def value(name: str) -> Any:
        return submitted.get(name, properties.get(name, {}).get("default"))

    for candidate in (value("image_size"), submitted):
        if isinstance(candidate, Mapping) and (size := _pair(candidate.get("width"), candidate.get("height"))):
            return size
    for name in SIZE_FIELDS:
        if size := _from_text(value(name)):
            return size
    side = SQUARE_SIDE.get(str(value("resolution")).lower(), DEFAULT[0])
    for name in RATIO_FIELDS:
        match = RATIO.fullmatch(str(value(name)))
        if match and int(match[1]) and int(match[2]):
            return _of_ratio(int(match[1]) / int(match[2]), side)
    return (side, side)


def requested_s(submitted: Mapping[str, Any], properties: Mapping[str, Any]) -> float:
    """Seconds of film or sound that *submitted* asks for, else those of the schema's default; as long as this server
    likes where neither is a number, as for `auto`."""
    for length in (submitted.get("duration"), properties.get("duration", {}).get("default")):
        match = SECONDS.fullmatch(str(length))
        if match and float(match[1]) > 0:
            return float(match[1])
    return DEFAULT_S


def _pair(width: Any, height: Any) -> tuple[int, int] | None:
    try:
        pair = (int(width), int(height))
    except (TypeError, ValueError):
        return None
    return pair if all(1 <= side <= LONGEST_PX for side in pair) else None


def _from_text(text: Any) -> tuple[int, int] | None:
    if not isinstance(text, str):
        return None
    if text in NAMED:
        return NAMED[text]
    match = PIXELS.search(text)
    pair = _pair(match[1], match[2]) if match else None
    return pair if pair and min(pair) >= 32 else None  # 16:9 is a ratio, 2048:2048 is a size


def _of_ratio(ratio: float, side: int) -> tuple[int, int]:
    width, height = side * math.sqrt(ratio), side / math.sqrt(ratio)
    return (max(16, round(width / 16) * 16), max(16, round(height / 16) * 16))
