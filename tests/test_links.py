"""When a signed link ends, as each signer writes it: a link that is past its end is paid for and brings nothing."""

from __future__ import annotations

import base64
import json
from urllib.parse import urlencode

import pytest

from batchgen.core.urls import expires_at

END = 1_790_000_000  # 2026-09-21T14:13:20Z


def web_token(claims: dict[str, object]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims)]
    return ".".join([*parts, "c2ln"])


def policy(condition: dict[str, object]) -> str:
    text = json.dumps({"Statement": [{"Resource": "https://d.example/*", "Condition": condition}]})
    return base64.b64encode(text.encode()).decode().translate(str.maketrans("+=/", "-_~"))


SIGNED = {
    "AWS SigV4": {"X-Amz-Date": "20260921T130820Z", "X-Amz-Expires": "3900", "X-Amz-Signature": "0a"},
    "AWS SigV2": {"AWSAccessKeyId": "A", "Expires": f"{END}", "Signature": "0a"},
    "Google V4": {"X-Goog-Date": "20260921T141320Z", "X-Goog-Expires": "0", "X-Goog-Signature": "0a"},
    "Google V2": {"GoogleAccessId": "a", "Expires": f"{END}", "Signature": "0a"},
    "Alibaba OSS": {"x-oss-date": "20260921T131320Z", "x-oss-expires": "3600", "x-oss-signature": "0a"},
    "Huawei OBS": {"X-Obs-Date": "20260921T131320Z", "X-Obs-Expires": "3600", "X-Obs-Signature": "0a"},
    "Tencent COS": {"q-sign-algorithm": "sha1", "q-sign-time": f"{END - 60};{END}", "q-signature": "0a"},
    "Azure": {"sv": "2024-11-04", "se": "2026-09-21T14:13:20Z", "sp": "r", "sig": "0a"},
    "Azure, parts of a second": {"se": "2026-09-21T14:13:20.0000000Z", "sig": "0a"},
    "CloudFront": {"Expires": f"{END}", "Signature": "0a", "Key-Pair-Id": "K"},
    "CloudFront with a policy": {
        "Policy": policy({"DateLessThan": {"AWS:EpochTime": END}, "IpAddress": {"AWS:SourceIp": "0.0.0.0/0"}}),
        "Signature": "0a",
        "Key-Pair-Id": "K",
    },
    "Akamai": {"hdnts": f"st=1~exp={END}~acl=/*~hmac=0a"},
    "Bunny": {"token": "0a", "expires": f"{END}"},
    "Supabase": {"token": web_token({"url": "bucket/a.png", "exp": END})},
    "Discord": {"ex": f"{END:x}", "is": "68d00000", "hm": "0a"},
    "two ends, of which the first counts": {"X-Amz-Date": "20260921T131320Z", "X-Amz-Expires": "3600"}
    | {"X-Amz-Signature": "0a", "Expires": f"{END + 60}"},
}


@pytest.mark.parametrize("signer", SIGNED)
def test_the_end_of_a_signed_link_is_read(signer: str) -> None:
    assert expires_at(f"https://b.example/a.png?{urlencode(SIGNED[signer])}") == END


@pytest.mark.parametrize(
    ("end", "unix"),
    [("2026-09-21T14:13Z", END - 20), ("2026-09-21", 1_789_948_800), ("2026-09-21T16:13:20+02:00", END)],
)
def test_azure_may_write_its_end_to_the_minute_or_the_day(end: str, unix: int) -> None:
    assert expires_at(f"https://a.example/a.png?{urlencode({'se': end, 'sig': '0a'})}") == unix


@pytest.mark.parametrize(
    "query",
    [
        "",
        "w=100&h=200",
        "exp=soon&sig=0a",
        "exp=1790000000",
        "expires=never&Signature=0a",
        "X-Amz-Date=20260931T000000Z&X-Amz-Expires=60&X-Amz-Signature=0a",
        "X-Amz-Date=20260921T141320Z&X-Amz-Expires=-1&X-Amz-Signature=0a",
        "Policy=!!!&Signature=0a",
        "Policy=eyJ9&Signature=0a",
        "token=a.b.c",
        "token=0a",
        "ex=zzzzzzzz&hm=0a",
        "expires=99999999999999999999999999",
        "se=2026-13-01T00:00:00Z&sig=0a",
        "&".join("a=1" for _ in range(5000)),
    ],
)
def test_a_link_that_says_no_end_has_none(query: str) -> None:
    assert expires_at(f"https://b.example/a.png?{query}") is None


def test_what_is_no_address_has_no_end() -> None:
    assert expires_at("http://[::1/a.png?Expires=1790000000") is None
