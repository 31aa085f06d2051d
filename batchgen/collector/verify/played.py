"""Sound and video, played to their end where the extra `video` is installed."""

from __future__ import annotations

import importlib
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from batchgen.collector.verify.kinds import DECODED, SIGNATURE, Kind
from batchgen.core import pictures

_DECODE_S = 600.0


def played(stream: io.BufferedReader, kind: Kind) -> tuple[Kind, str]:
    """*kind* once every frame and sample was decoded, with the size of the first video stream; and what speaks against
    it if that failed. As it is where the extra is not installed, and where decoding takes more than it may.
    """
    try:
        av: Any = importlib.import_module("av")  # an extra: nothing may depend on its types
    except ImportError:
        return kind, ""
    stream.seek(0)
    try:
        with av.open(stream, mode="r", metadata_errors="replace", options={"err_detect": "explode"}) as media:
            decoded = _decoded(media, kind)
    except (pictures.TooLarge, MemoryError):
        return kind, ""
    except Exception as error:  # noqa: BLE001 - PyAV raises whatever a broken file provokes
        return replace(kind, checked=SIGNATURE), f"it cannot be played ({type(error).__name__})"
    if decoded is None:
        return replace(kind, checked=SIGNATURE), "it cannot be played (it holds neither a picture nor a sound)"
    return decoded, ""


def _decoded(media: Any, kind: Kind) -> Kind | None:
    """*kind* with what was seen; None if there was nothing."""
    streams = [stream for stream in media.streams if stream.type in ("video", "audio") and not _is_cover(stream)]
    film = next((stream for stream in streams if stream.type == "video"), None)
    frames, blank, give_up = 0, film is not None, time.monotonic() + _DECODE_S
    for stream, frame in _frames(media, streams):
        frames += 1
        if stream is film:
            if kind.width is None:
                kind = _sized_as_shown(kind, frame)
            blank = blank and pictures.is_one_colour(frame.to_image())
        if time.monotonic() > give_up:
            return kind
    return replace(kind, checked=DECODED, blank=blank) if frames else None


def _is_cover(stream: Any) -> bool:
    """A picture that is shown while sound is played is no film."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)


def _frames(media: Any, streams: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Every frame of *streams* with its stream. Raises TooLarge before the first is decoded."""
    for stream in streams:
        if stream.type == "video":
            if stream.width * stream.height > pictures.MOST_FILM_PIXELS:
                raise pictures.TooLarge(f"{stream.width}x{stream.height} pixels")
            stream.codec_context.options = {"max_pixels": str(pictures.MOST_FILM_PIXELS)}
    for packet in media.demux(*streams):
        for frame in packet.decode():
            yield packet.stream, frame


def _sized_as_shown(kind: Kind, frame: Any) -> Kind:
    size = (frame.width, frame.height)
    width, height = reversed(size) if frame.rotation % 180 else size
    return replace(kind, width=width, height=height)
