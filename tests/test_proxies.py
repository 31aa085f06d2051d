"""The user's proxy settings."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from batchgen.collector.download import downloads_session
from batchgen.core.errors import Exit
from batchgen.core.proxies import ProxyUnusable, proxy_for

ASK = "from batchgen.core.proxies import proxy_for; print(proxy_for('https://api.example.com/x'), proxy_for('http://127.0.0.1:1/'))"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "None None"),
        ({"https_proxy": "http://proxy.example.com:3128"}, "http://proxy.example.com:3128 None"),
        ({"https_proxy": "http://proxy.example.com:3128", "no_proxy": "example.com"}, "None None"),
        ({"http_proxy": "http://p:1", "no_proxy": "127.0.0.1"}, "None None"),
    ],
)
def test_the_proxy_of_the_environment_is_used_and_its_exceptions_are_kept(settings: dict[str, str], told: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    asked = subprocess.run(
        [sys.executable, "-c", ASK], env=environ | settings, capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == told


UNUSABLE = [
    "http://[bad",
    "http://a..b:3128",
    "http://proxy:99999",
    "http://proxy:0",
    "http://proxy:port",
    "http://",
    "http://pro xy:3128",
    "http://proxy\\x:3128",
    f"http://{'a' * 64}:3128",
    "socks5://127.0.0.1:1080",
    "ftp://proxy:21",
    "://",
    "http://user:secret@a..b:3128",
]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("proxy", UNUSABLE)
def test_a_proxy_that_cannot_be_used_is_refused_before_anything_is_sent_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, scheme: str, proxy: str
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    for use in (lambda: proxy_for(f"{scheme}://files.example/a.png"), lambda: downloads_session(True, 1)):
        with pytest.raises(ProxyUnusable) as refused:
            use()
        assert refused.value.exit is Exit.USAGE
        assert f"{scheme.upper()}_PROXY" in str(refused.value)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("proxy", "used"),
    [
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("http://user:pass@proxy:3128/", "http://user:pass@proxy:3128/"),
        ("https://[::1]:3128", "https://[::1]:3128"),
        ("http://10.0.0.1:65535", "http://10.0.0.1:65535"),
    ],
)
def test_a_proxy_may_be_written_without_its_scheme(monkeypatch: pytest.MonkeyPatch, proxy: str, used: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    assert proxy_for("http://files.example/a.png") == used
