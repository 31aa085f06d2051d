"""The user's proxy, from HTTPS_PROXY, HTTP_PROXY and NO_PROXY (or the system's settings), asked once a host.

aiohttp's own `trust_env` looks it up in a thread for every request, and would also send passwords from .netrc.
"""

from __future__ import annotations

import os
from functools import lru_cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")


def proxy_for(url: str) -> str | None:
    """The proxy to reach *url* through; None for a direct connection."""
    parts = urlsplit(url)
    return _proxy(parts.scheme, parts.hostname or "", tuple(map(os.environ.get, _VARIABLES)))


@lru_cache(maxsize=1024)
def _proxy(scheme: str, host: str, _settings: tuple[str | None, ...]) -> str | None:
    """Kept for as long as the *_settings* stay as they are."""
    return None if proxy_bypass(host) else getproxies().get(scheme)
