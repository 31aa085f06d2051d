"""One HTTP answer of the API, read within bounds: a provider that has gone wrong costs neither memory nor recursion."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import aiohttp

from batchgen.core.redaction import shortened

SMALL_BYTES = 1024 * 1024
"""More than any answer holds that repeats nothing of what was sent. Longer ones are read one after the other."""
_MOST_VALUES = 200_000
"""A list or a number takes up to 30 times its JSON's bytes in memory; a long text takes them once."""
_DEEPEST = 64
_LONGEST_NUMBER = 4_000
_TEXT_CHARACTERS = 300


class TooLong(aiohttp.ClientPayloadError):
    """An answer is longer than any of its kind."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. *body* is its JSON, None if it had none; *text* then its beginning, without secrets."""

    status: int
    headers: Mapping[str, str]
    body: Any
    text: str


async def read(response: aiohttp.ClientResponse, most_bytes: int, long_answers: asyncio.Lock | None = None) -> Answer:
    """The whole answer. Whoever reads one that is not small holds *long_answers* meanwhile, where it is given.

    Raises TooLong if it is longer than *most_bytes*, and any other ClientPayloadError if it was cut.
    """
    content = bytearray()
    if await _is_whole(response.content, content, min(most_bytes, SMALL_BYTES)):
        return _answer(response, bytes(content))
    async with long_answers or nullcontext():
        if await _is_whole(response.content, content, most_bytes):
            return _answer(response, bytes(content))
    raise TooLong(f"the answer is longer than {most_bytes} bytes")


async def _is_whole(stream: aiohttp.StreamReader, content: bytearray, most_bytes: int) -> bool:
    """Add to *content* until all is there (True), or more than *most_bytes* are."""
    while not stream.at_eof() and len(content) <= most_bytes:
        content += await stream.read(most_bytes + 1 - len(content))
    return len(content) <= most_bytes


def _answer(response: aiohttp.ClientResponse, content: bytes) -> Answer:
    text = content.decode(errors="replace")
    body = json_of(text)
    return Answer(response.status, response.headers, body, "" if body else shortened(text, _TEXT_CHARACTERS))


def json_of(text: str) -> Any:
    """What *text* holds; None if it is no JSON, or more of it, or more deeply nested, than the API ever says."""
    opened = text.count("[") + text.count("{")
    if opened + text.count(",") > _MOST_VALUES:
        return None
    try:
        body = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return None if opened > _DEEPEST and _is_deep(body) else body


def _whole_number(digits: str) -> float:
    """Python refuses to read thousands of digits, and with them the whole answer."""
    return int(digits) if len(digits) < _LONGEST_NUMBER else float("-inf" if digits.startswith("-") else "inf")


_DECODER = json.JSONDecoder(parse_int=_whole_number)


def _is_deep(body: Any) -> bool:
    level = [body]
    for _ in range(_DEEPEST + 1):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
    return bool(level)
