"""The user's proxy settings."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ASK = "from batchgen.proxies import proxy_for; print(proxy_for('https://api.example.com/x'), proxy_for('http://127.0.0.1:1/'))"


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
