"""When a signed URL stops working, where the URL says so. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

Query: TypeAlias = Mapping[str, str]
"""The last value of each name, in small letters."""


def expires_at(url: str) -> float | None:
    """The expiry of a signed URL in Unix seconds; None if the URL does not say. Of several the first."""
    if "?" not in url:
        return None
    try:
        query = {name.lower(): values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
    except ValueError:  # no address, or more fields than a query has
        return None
    return min((at for says in _SAY if (at := says(query)) is not None), default=None)


def _signed_for(query: Query) -> float | None:
    """AWS SigV4 and those that copied it: when it was signed, and for how many seconds."""
    for vendor in ("amz", "goog", "oss", "tos", "obs"):
        lasts = query.get(f"x-{vendor}-expires", "")
        if (signed := query.get(f"x-{vendor}-date")) and _is_number(lasts):
            return _after(signed, int(lasts))
    return None


def _plain(query: Query) -> float | None:
    """Unix seconds: AWS SigV2, Google's older form, CloudFront and many others; `exp` beside a signature."""
    if (at := _unix(query.get("expires"))) is not None:
        return at
    signed = any(name in query for name in ("sig", "sign", "signature", "token", "hmac", "hash"))
    return _unix(query.get("exp", query.get("expiry"))) if signed else None


def _azure(query: Query) -> float | None:
    """Azure writes the end itself, to the day, the minute, the second or its parts."""
    return _after(query["se"], 0) if "sig" in query and "se" in query else None


def _cloudfront(query: Query) -> float | None:
    """A CloudFront policy, in base64 with three letters of its own."""
    text = query.get("policy", "").translate(str.maketrans("-_~", "+=/"))
    try:
        (statement, *_) = _decoded(text)["Statement"]
        return _unix(str(statement["Condition"]["DateLessThan"]["AWS:EpochTime"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _tencent(query: Query) -> float | None:
    """Tencent COS: `begin;end`."""
    return _unix(query.get("q-sign-time", "").partition(";")[2])


def _akamai(query: Query) -> float | None:
    """Akamai: `exp=…~acl=…~hmac=…` in one field."""
    for name in ("hdnts", "hdnea", "__token__", "token"):
        if found := re.search(r"(?:^|~)exp=(\d+)(?:~|$)", query.get(name, "")):
            return _unix(found[1])
    return None


def _discord(query: Query) -> float | None:
    """Discord: seconds as hexadecimal digits, beside a signature."""
    if "hm" in query and re.fullmatch(r"[0-9a-f]{8}", query.get("ex", "")):
        return float(int(query["ex"], 16))
    return None


def _web_token(query: Query) -> float | None:
    """A JSON web token, as Supabase signs with."""
    parts = query.get("token", "").split(".")
    if len(parts) != 3:
        return None
    try:
        return _unix(str(_decoded(parts[1].replace("-", "+").replace("_", "/"))["exp"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


_SAY: tuple[Callable[[Query], float | None], ...] = (
    _signed_for,
    _plain,
    _azure,
    _cloudfront,
    _tencent,
    _akamai,
    _discord,
    _web_token,
)


def _decoded(text: str) -> Any:
    """The JSON in base64 *text*, whose padding may be left out. Raises ValueError."""
    return json.loads(base64.b64decode(text + "=" * (-len(text) % 4)))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 12


def _unix(text: str | None) -> float | None:
    return float(text) if text and _is_number(text) else None


def _after(stamp: str, seconds: int) -> float | None:
    """*seconds* after an ISO *stamp*, which is UTC where it names no zone."""
    try:
        at = datetime.fromisoformat(stamp)
    except (ValueError, OverflowError):
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() + seconds
