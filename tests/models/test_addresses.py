"""The addresses of input files: what no provider could fetch is refused or told, with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.core.row import Problem, Row
from batchgen.manifest import read
from batchgen.models import ModelSchema, shipped
from batchgen.models.addresses import said_of
from batchgen.models.media_check import MediaCheck

SEED = "bytedance/seedream-4-0/edit-sequential"


def known(model_id: str) -> ModelSchema:
    schema = shipped(model_id)
    assert schema is not None
    return schema


def said(address: str, is_local: bool = False) -> str:
    """What is said of *address*, with `warning: ` before what stops nothing; empty where it is fine."""
    found = said_of(address, is_local=is_local)
    if found is None:
        return ""
    return f"warning: {found.message}" if found.severity == "warning" else found.message


REFUSED = {
    "https://": "names no host",
    "https:///a.png": "names no host",
    "https://?x=1": "names no host",
    "https://:80/a.png": "names no host",
    "https://...": "no address of the web",
    "https://a..b/c.png": "no address of the web",
    "https://.example.com/a.png": "no address of the web",
    "https://exa mple.com/a.png": "in the name of the host",
    "https://example.com/my photo.png": "'https://example.com/my%20photo.png'",
    "https://example.com/my\tphoto.png": "write %20 for it",
    "https://example.com/my photo.png?X-Amz-Signature=topsecret": "write %20 for it: 'https://example.com/my%20photo.png'",
    "https://example.com:99999/a.png": "no address of the web",
    "https://example.com:port/a.png": "no address of the web",
    "https://[bad/a.png": "no address of the web",
    "https://[::1/a.png?x=1": "no address of the web",
    f"https://{'x' * 64}.com/a.png": "no address of the web",
    "https://exa$mple.com/a.png": "no host can be called",
    "https://-example.com/a.png": "no host can be called",
    "https://300.1.1.1.1.1/a.png": "no host has the number",
    "https://example.com/a.png\u200b": "U+200B stands at character 26; delete it",
    "https://\ufeffexample.com/a.png": "U+FEFF",
    "https://example.com/a\u00adb.png": "U+00AD",
    "https://example.com/a\u00a0b.png": "U+00A0",
    "https://example.com/\u202egnp.a": "U+202E",
    "https://example.com/a\x00.png": "control character",
    "https://example.com/a.png,https://example.com/b.png": "2 addresses stand in one entry; write a|b",
    "https://example.com/a.png, https://example.com/b.png": "2 addresses",
    "https://example.com/a.png;https://example.com/b.png": "2 addresses",
    "https://example.com/a.png\nhttps://example.com/b.png\nhttps://example.com/c.png": "3 addresses",
    "https://example.com/a.png www.example.com/b.png": "2 addresses",
}
OUT_OF_REACH = [
    "http://10.0.0.1/a.png",
    "https://localhost/a.png",
    "https://LOCALHOST:8000/a.png",
    "http://127.0.0.1:8731/a.png",
    "http://127.1/a.png",
    "http://2130706433/a.png",
    "http://0x7f.0.0.1/a.png",
    "http://[::1]/a.png",
    "http://[fd00::1]:80/a.png",
    "http://169.254.169.254/latest",
    "http://192.168.1.5/a.png",
    "https://example/a.png",
    "https://example",
    "http://minio:9000/b/a.png",
    "https://nas.local/a.png",
    "https://files.corp.internal/a.png",
    "https://x.localhost/a.png",
]
FINE = [
    "https://example.com/a.png",
    "https://example.com",
    "https://example.com/",
    "HTTPS://Example.COM/A.PNG".replace("HTTPS", "https"),
    "http://8.8.8.8/a.png",
    "https://[2606:4700::1111]/a.png",
    "https://example.com:8443/a.png",
    "https://b\u00fccher.example/a.png",
    "https://example.com/b\u00fccher/\u5927.png",
    "https://my_bucket.s3.amazonaws.com/a.png?X-Amz-Signature=1&X-Amz-Expires=60",
    "https://example.com/a.png?urls=https://a.com/1.png,https://a.com/2.png",
    "https://web.archive.org/web/2020/https://example.com/a.png",
    "https://res.cloudinary.com/demo/image/fetch/w_300,h_300/https://example.com/a.png",
    "https://example.com/a,b;c.png",
    "https://localhost.example.com/a.png",
    "https://example.com/a%20b.png",
    "https://example.com./a.png",
    "https://internal.example.com/a.png",
]


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_no_address_of_one_file_is_refused_with_what_to_write(address: str) -> None:
    for is_local in (False, True):
        assert REFUSED[address] in said(address, is_local)
        assert not said(address, is_local).startswith("warning")
        assert "topsecret" not in said(address, is_local)


@pytest.mark.parametrize("address", OUT_OF_REACH)
def test_a_host_of_ones_own_network_is_refused_unless_the_provider_is_in_it(address: str) -> None:
    assert "of your own network" in said(address)
    assert said(address, is_local=True) == ""


@pytest.mark.parametrize("address", FINE)
def test_addresses_that_are_right_are_left_alone(address: str) -> None:
    assert said(address) == ""


SHARED = {
    "https://drive.google.com/file/d/1XBD_u-i/view?usp=sharing": "https://drive.google.com/uc?export=download&id=1XBD_u-i",
    "https://drive.google.com/open?id=1XBD_u-i": "https://drive.google.com/uc?export=download&id=1XBD_u-i",
    "https://www.dropbox.com/s/abc/a.png?dl=0": "https://www.dropbox.com/s/abc/a.png?dl=1",
    "https://www.dropbox.com/scl/fi/x/a.png?rlkey=k&dl=0": "https://www.dropbox.com/scl/fi/x/a.png?rlkey=k&dl=1",
    "https://www.dropbox.com/s/abc/a.png": "?dl=1",
    "https://photos.app.goo.gl/abc": "download the file",
    "https://photos.google.com/share/abc": "download the file",
    "https://1drv.ms/i/s!abc": "download the file",
    "https://onedrive.live.com/embed?cid=1&resid=2": "https://onedrive.live.com/download?cid=1&resid=2",
    "https://me-my.sharepoint.com/:i:/g/personal/me/Eabc?e=x": "/:i:/g/personal/me/Eabc?download=1",
    "https://www.icloud.com/iclouddrive/0abc#a": "download the file",
    "https://github.com/u/r/blob/main/d/a.png": "https://raw.githubusercontent.com/u/r/main/d/a.png",
    "https://gitlab.com/g/p/-/blob/main/a.png": "https://gitlab.com/g/p/-/raw/main/a.png",
    "https://huggingface.co/datasets/u/d/blob/main/a.png": "https://huggingface.co/datasets/u/d/resolve/main/a.png",
    "https://imgur.com/abc123": "https://i.imgur.com/abc123.png",
    "https://imgur.com/a/abc": "download the file",
    "https://commons.wikimedia.org/wiki/File:A_b.jpg": "/wiki/Special:FilePath/A_b.jpg",
    "https://app.box.com/s/abc": "https://app.box.com/shared/static/abc",
    "https://www.flickr.com/photos/u/1": "download the file",
    "https://www.youtube.com/watch?v=abc": "download the file",
}


@pytest.mark.parametrize("address", SHARED)
def test_a_link_to_a_page_about_a_file_is_warned_of_with_the_address_of_the_file(address: str) -> None:
    assert said(address).startswith("warning: this is a page of ")
    assert SHARED[address] in said(address)


@pytest.mark.parametrize(
    "address",
    [
        "https://drive.google.com/uc?export=download&id=1X",
        "https://drive.usercontent.google.com/download?id=1X",
        "https://lh3.googleusercontent.com/abc",
        "https://www.dropbox.com/s/abc/a.png?dl=1",
        "https://www.dropbox.com/s/abc/a.png?raw=1",
        "https://dl.dropboxusercontent.com/s/abc/a.png",
        "https://raw.githubusercontent.com/u/r/main/a.png",
        "https://github.com/u/r/blob/main/a.png?raw=true",
        "https://github.com/u/r/raw/main/a.png",
        "https://huggingface.co/datasets/u/d/resolve/main/a.png",
        "https://i.imgur.com/abc123.png",
        "https://upload.wikimedia.org/wikipedia/commons/a/ab/A.jpg",
        "https://notgithub.com/u/r/blob/main/a.png",
        "https://storage.googleapis.com/b/a.png",
    ],
)
def test_the_address_of_a_shared_file_itself_is_left_alone(address: str) -> None:
    assert said(address) == ""


def test_html_entities_and_a_comma_at_the_end_are_warned_of() -> None:
    assert said("https://example.com/a.png?x=1&amp;y=2").startswith("warning: &amp; is how HTML writes &")
    assert said("https://example.com/a.png,").startswith("warning: the address ends in ','")


async def told(folder: Path, is_local: bool = False, **cells: str) -> list[Problem]:
    """What the media of one row have against them."""
    path = folder / "rows.csv"
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells.values())
    path.write_text(f"id,{','.join(cells)}\na,{quoted}\n", "utf-8")
    found = list(read(path, known))
    rows = [one for one in found if isinstance(one, Row)]
    assert len(rows) == 1, found
    return await MediaCheck(known, is_local=is_local).problems(rows)


async def test_a_fault_of_an_address_stands_at_its_row_its_column_and_its_place_in_the_list(tmp_path: Path) -> None:
    addresses = "https://example.com/a.png|https://[bad/b.png|http://10.0.0.1/c.png|https://imgur.com/abc"
    problems = await told(tmp_path, model=SEED, text="x", images=addresses)
    assert [(one.line, one.row, one.column, one.path, one.severity) for one in problems] == [
        (2, "a", "images", "$.images[1]", "error"),
        (2, "a", "images", "$.images[2]", "error"),
        (2, "a", "images", "$.images[3]", "warning"),
    ]
    problems = await told(tmp_path, is_local=True, model=SEED, text="x", images=addresses)
    assert [one.path for one in problems] == ["$.images[1]", "$.images[3]"]


async def test_a_field_for_one_address_and_of_another_kind_is_looked_at_as_well(tmp_path: Path) -> None:
    (problem,) = await told(
        tmp_path, model="wan-ai/wan-3.0/image-to-video", prompt="x", image_url="https://e.com/a.png,https://e.com/b.png"
    )
    assert (problem.path, problem.severity) == ("$.image_url", "error")
