"""The input pictures of a request: those in the body and those on loopback are fetched, others are named."""

import base64
import http.client
import io
import ipaddress
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from PIL import Image, ImageOps

LARGEST_BYTES = 50_000_000
FETCH_S = 5.0
UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, OverflowError, MemoryError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises over a picture that is damaged: a SyntaxError for a PNG whose checksum is wrong."""


@dataclass(frozen=True)
class Input:
    """One input picture: *picture* upright in RGB, or None with the *name* to put in its place."""

    picture: Image.Image | None
    name: str


def inputs(submitted: Mapping[str, Any], properties: Mapping[str, Any]) -> Iterator[Input]:
    """The pictures *submitted* names in fields that the schema marks as image URIs, in the schema's order."""
    return (_input(uri) for _, uri in _uris(submitted, properties))


def damaged_fields(submitted: Mapping[str, Any], properties: Mapping[str, Any]) -> list[str]:
    """The fields with a picture in the body that is none, or that a look at its checksums shows to be damaged."""
    return [field for field, uri in _uris(submitted, properties) if uri.startswith("data:") and _is_damaged(uri)]


def _is_damaged(uri: str) -> bool:
    try:
        with Image.open(io.BytesIO(_from_data_uri(uri) or b"")) as opened:
            opened.verify()
    except UNREADABLE:
        return True
    return False


def _uris(submitted: Mapping[str, Any], properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Field and URI of every picture that *submitted* names."""
    for field, schema in properties.items():
        of_items = (schema.get("items") or {}).get("format")
        if (schema.get("format") or of_items) in ("image_uri", "image_uris"):
            value = submitted.get(field)
            for uri in value if isinstance(value, list) else [value]:
                if isinstance(uri, str) and uri:
                    yield field, uri


def _input(uri: str) -> Input:
    name = "inlined picture" if uri.startswith("data:") else uri.partition("?")[0]
    content = _from_data_uri(uri) if uri.startswith("data:") else _from_loopback(uri)
    if content is None:
        return Input(None, name)
    try:
        with Image.open(io.BytesIO(content)) as opened:
            return Input(ImageOps.exif_transpose(opened).convert("RGB"), name)
    except UNREADABLE:
        return Input(None, f"unreadable: {name}")


def _from_data_uri(uri: str) -> bytes | None:
    header, comma, payload = uri.partition(",")
    if not comma:
        return None
    try:
        return base64.b64decode(payload) if header.endswith(";base64") else unquote_to_bytes(payload)
    except ValueError:
        return None


def _from_loopback(uri: str) -> bytes | None:
    """The bytes behind an http URL of this machine; None for any other host, and when it does not answer well."""
    url = urlsplit(uri)
    if url.scheme != "http" or not _is_loopback(url.hostname or ""):
        return None
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=FETCH_S)
    try:
        connection.request("GET", f"{url.path or '/'}?{url.query}" if url.query else url.path or "/")
        answer = connection.getresponse()
        content = answer.read(LARGEST_BYTES + 1)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return content if answer.status == 200 and len(content) <= LARGEST_BYTES else None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
