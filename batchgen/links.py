"""When a signed URL stops working, where the URL says so. Pure."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qs, urlsplit


def expires_at(url: str) -> float | None:
    """The expiry of a signed URL in Unix seconds; None if the URL does not say."""
    if "?" not in url:
        return None
    try:
        query = {name.lower(): values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
    except ValueError:  # no address at all, which whoever checks it says
        return None
    stamp = query.get("expires", "")
    if stamp.isascii() and stamp.isdigit():
        return float(stamp)
    for vendor in ("amz", "goog", "oss", "tos"):
        lasts = query.get(f"x-{vendor}-expires", "")
        if (signed := query.get(f"x-{vendor}-date")) and lasts.isascii() and lasts.isdigit():
            return _after(signed, "%Y%m%dT%H%M%SZ%z", lasts)
    if "sig" in query and "se" in query:  # Azure writes the end itself
        return _after(query["se"], "%Y-%m-%dT%H:%M:%SZ%z", "0")
    return None


def _after(stamp: str, form: str, seconds: str) -> float | None:
    try:
        return datetime.strptime(f"{stamp}+0000", form).timestamp() + int(seconds)
    except (ValueError, OverflowError):  # more digits than a number may have
        return None
