"""The outline of a Matroska or WebM file: which tracks it has, and where it says that it ends."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

_EBML, _DOC_TYPE, _SEGMENT = 0x1A45DFA3, 0x4282, 0x18538067
_TRACKS, _TRACK_TYPE, _CLUSTER = 0x1654AE6B, 0x83, 0x1F43B675
_TYPES = {1: "video", 2: "audio"}
_MOST_ELEMENTS = 1000
"""Tracks come before the media; a file that hides them behind more than this is taken as it is."""


@dataclass(slots=True)
class Outline:
    """*end* is where the file says that it ends, 0 if it does not: a stream that was recorded states no length."""

    is_webm: bool = False
    end: int = 0
    tracks: set[str] = field(default_factory=set)


def outline(stream: io.BufferedReader, size_bytes: int) -> Outline:
    told = Outline()
    for element in _elements(stream, 0, size_bytes):
        if element.name == _EBML:
            types = (
                one for one in _elements(stream, element.start, element.end or size_bytes) if one.name == _DOC_TYPE
            )
            told.is_webm = any(_content(stream, one) == b"webm" for one in types)
        elif element.name == _SEGMENT:
            told.end = element.end or 0
            told.tracks = set(_tracks(stream, element.start, element.end or size_bytes))
            break
    return told


class _Element(NamedTuple):
    """Where the content of one element begins and ends; *end* is None if it states no length."""

    name: int
    start: int
    end: int | None


def _tracks(stream: io.BufferedReader, start: int, end: int) -> Iterator[str]:
    for element in islice(_elements(stream, start, end), _MOST_ELEMENTS):
        if element.name == _CLUSTER:
            return
        if element.name == _TRACKS:
            for track in _elements(stream, element.start, element.end or end):
                yield from _types(stream, track.start, track.end or end)


def _types(stream: io.BufferedReader, start: int, end: int) -> Iterator[str]:
    for element in _elements(stream, start, end):
        if element.name == _TRACK_TYPE:
            yield _TYPES.get(int.from_bytes(_content(stream, element), "big"), "other")


def _content(stream: io.BufferedReader, element: _Element) -> bytes:
    """The content of a short element."""
    stream.seek(element.start)
    return stream.read(min((element.end or element.start) - element.start, 16)).rstrip(b"\0")


def _elements(stream: io.BufferedReader, start: int, end: int) -> Iterator[_Element]:
    position = start
    while position < end:
        stream.seek(position)
        header = stream.read(12)
        name, name_bytes = _number(header)
        length, length_bytes = _number(header[name_bytes:])
        if not name_bytes or not length_bytes:
            return
        first, longest = position + name_bytes + length_bytes, (1 << 7 * length_bytes) - 1
        length &= longest
        if length == longest:
            yield _Element(name, first, None)
            return
        position = first + length
        yield _Element(name, first, position)


def _number(header: bytes) -> tuple[int, int]:
    """A number of variable length, with the bit that marks its length, and the bytes that it takes: 0 for none."""
    taken = 9 - header[0].bit_length() if header else 9
    return (0, 0) if taken > len(header) else (int.from_bytes(header[:taken], "big"), taken)
