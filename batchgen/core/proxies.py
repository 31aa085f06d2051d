"""The user's proxy, from HTTPS_PROXY, HTTP_PROXY and NO_PROXY (or the system's settings), asked once a host.

aiohttp's own `trust_env` looks it up in a thread for every request, and would also send passwords from .netrc.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from batchgen.core.errors import Refusal

_VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")


_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?|[0-9a-f:.]*:[0-9a-f:.]*", re.IGNORECASE)


class ProxyUnusable(Refusal):
    """A proxy of the environment that nothing can be sent through. It is not repeated: it may hold a password."""


def proxy_hosts() -> frozenset[str]:
    """The hosts of the user's proxies. Raises ProxyUnusable if one of them cannot be used."""
    checked = (_checked(scheme, proxy) for scheme, proxy in getproxies().items() if scheme in ("http", "https"))
    return frozenset(urlsplit(proxy).hostname or "" for proxy in checked)


def proxy_for(url: str) -> str | None:
    """The proxy to reach *url* through; None for a direct connection. Raises ProxyUnusable."""
    parts = urlsplit(url)
    return _proxy(parts.scheme, parts.hostname or "", tuple(map(os.environ.get, _VARIABLES)))


@lru_cache(maxsize=1024)
def _proxy(scheme: str, host: str, _settings: tuple[str | None, ...]) -> str | None:
    """Kept for as long as the *_settings* stay as they are."""
    proxy = None if proxy_bypass(host) else getproxies().get(scheme)
    return None if proxy is None else _checked(scheme, proxy)


def _checked(scheme: str, proxy: str) -> str:
    """*proxy* with the scheme that many leave out."""
    whole = proxy.strip() if "://" in proxy else f"http://{proxy.strip()}"
    try:
        parts = urlsplit(whole)
        fits = parts.scheme in ("http", "https") and _NAME.fullmatch(parts.hostname or "") and parts.port != 0
    except ValueError:
        fits = None
    if not fits:
        name = f"{scheme.upper()}_PROXY"
        raise ProxyUnusable(
            f"{name} (or {name.lower()}, or the system's setting) is not the address of an HTTP proxy; write it as "
            "http://HOST:PORT, or unset it. Nothing was sent"
        )
    return whole
