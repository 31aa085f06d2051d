"""A host in a private network is one however it is spelled."""

from __future__ import annotations

import pytest

from batchgen.core.hosts import is_private

PRIVATE = [
    "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.9", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "127.1", "10.1", "127.0.1", "2130706433", "0x7f000001", "0x7F.1", "0177.0.0.1", "017700000001", "0x0a.0.0.1",
    "3232235777", "127.0.0.1.", "127.0.0.1...", "2852039166",
    "::1", "[::1]", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1",
    "::ffff:10.0.0.1", "::ffff:a00:1", "::ffff:127.0.0.1", "::10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe",
    "2002:a00:1::", "2002:7f00:1::1", "2001:0:a00:1::", "::ffff:0:10.0.0.1", "64:ff9b:1::10.0.0.1",
    "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "127\uff0e0\uff0e0\uff0e1", "\u2460\u24ea.0.0.1",
    "127\u200b.0.0.1", "%31%32%37.0.0.1", "127%2e0%2e0%2e1",
    "localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain", "ip6-localhost", "localhost6",
    "loc\u00adalhost", "metadata", "metadata.google.internal", "printer.local", "nas.lan", "router.home.arpa",
    "wiki.corp", "intranet", "",
]  # fmt: skip

PUBLIC = [
    "example.com", "files.example.org.", "8.8.8.8", "1.1.1.1.", "134744072", "0x08080808", "2606:4700::1111",
    "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "local.example.com", "localhost.example.com",
    "127.0.0.1.example.com", "10.example.com",
    "b\u00fccher.example", "xn--bcher-kva.example", "playgrounds.runcomfy.net",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_host_is_known_in_every_spelling(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_host_is_none_whatever_it_looks_like(host: str) -> None:
    assert not is_private(host)
