"""Links of a result and of a redirect, whatever is in them: fetched where a request can be made of them, and else they
cost one output at once.
"""

from __future__ import annotations

import base64

import pytest

from batchgen.collector.address import NoAddress, web_address
from batchgen.collector.collect import TryLater
from batchgen.core.job import Billed, Output
from batchgen.core.urls import expires_at
from tests.collector.conftest import Bench, ready
from tests.collector.filehost import FileHost, redirects, says, sends
from tests.collector.media import film, picture

PNG = picture()

NO_ADDRESSES = {
    "bracket left open": "http://[::1/a.png",
    "brackets around nothing": "http://[]/a.png",
    "brackets around a name": "https://[files.example]/a.png",
    "brackets around a future address": "http://[v1.x]/a.png",
    "two dots": "http://a..b/a.png",
    "a dot first": "http://.files.example/a.png",
    "only a dot": "http://./a.png",
    "label of 64": f"http://{'a' * 64}.example/a.png",
    "name of 300": f"http://{'abcdefg.' * 37}example/a.png",
    "international label too long": f"http://{'é' * 63}.example/a.png",
    "soft hyphen alone": "http://\u00ad/a.png",
    "port 99999": "http://127.0.0.1:99999/a.png",
    "port 0": "http://127.0.0.1:0/a.png",
    "port -1": "http://127.0.0.1:-1/a.png",
    "port a word": "http://127.0.0.1:http/a.png",
    "two ports": "http://127.0.0.1:80:80/a.png",
    "no host": "http:///a.png",
    "no host but a port": "http://:80/a.png",
    "one slash": "http:/files.example/a.png",
    "nothing but a scheme": "https://",
    "NUL in the host": "http://files\0.example/a.png",
    "NUL in the path": "http://files.example/\0.png",
    "a line in the path": "http://files.example/a\r\nHost: other.example\r\n/b.png",
    "blank in the host": "http://files example/a.png",
    "percent in the host": "http://files%2eexample/a.png",
    "backslash in the host": "http://files.example\\a.png",
    "angle in the host": "http://<files>/a.png",
    "half a character": "http://files.example/\ud83d.png",
    "a file of this machine": "file:///etc/hostname",
    "a script": "javascript:void(0)",
    "data without content": "data:image/png;base64",
    "data that is no base64": "data:image/png;base64,@@@@",
}


@pytest.mark.parametrize("link", NO_ADDRESSES.values(), ids=NO_ADDRESSES)
async def test_a_link_that_is_no_address_costs_its_output_at_once(host: FileHost, bench: Bench, link: str) -> None:
    good = host.puts("/good.png", sends(PNG))
    alone = await bench.fetch(ready(link))
    assert alone.waits == []
    assert alone.failed.billed is Billed.YES
    assert "the link is no address" in alone.failed.reason
    assert "0x" not in alone.failed.reason
    assert "example" not in alone.failed.reason, "its path tells whose account it is"
    beside = await bench.fetch(ready(link, good, row_id="beside"))
    assert beside.collected.missing == alone.failed.reason
    assert bench.saved("beside") == {"images-01.png": PNG}


IN_A_HEADER = {name: link for name, link in NO_ADDRESSES.items() if link.isprintable()} | {"empty": "", "blank": "  "}


@pytest.mark.parametrize("link", IN_A_HEADER.values(), ids=IN_A_HEADER)
async def test_a_redirect_to_no_address_is_a_dead_link(host: FileHost, bench: Bench, link: str) -> None:
    head = f"HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: {link}\r\n\r\n"
    url = host.puts("/a.png", says(head.encode()))
    fetched = await bench.fetch(ready(url))
    assert len(fetched.waits) == 4
    assert all(wait.expired for wait in fetched.waits)
    assert "redirects to no address" in fetched.failed.reason


@pytest.mark.parametrize("link", NO_ADDRESSES.values(), ids=NO_ADDRESSES)
def test_when_a_link_expires_is_asked_of_any_link(link: str) -> None:
    assert expires_at(link + "?X-Amz-Date=20260101T000000Z&X-Amz-Expires=60") in (None, 1_767_225_660.0)
    assert expires_at(f"{link}?X-Amz-Date=20260101T000000Z&X-Amz-Expires={'9' * 5000}") is None


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/my picture ok.png", "/my%20picture%20ok.png"),
        ("/画像-ok.png", "/%E7%94%BB%E5%83%8F-ok.png"),
        ("/a b%20c.png?name=d e&sig=a%2Fb%2B", "/a%20b%20c.png?name=d%20e&sig=a%2Fb%2B"),
        ("/100%.png", "/100%.png"),
        ("/a+b|c{d}.png", "/a+b|c{d}.png"),
        ("/é.png#part 2", "/%C3%A9.png"),
    ],
)
async def test_blanks_and_letters_beyond_ascii_are_encoded_once_and_nothing_else_is(
    host: FileHost, bench: Bench, path: str, asked: str
) -> None:
    host.puts(asked, sends(PNG))
    await bench.fetch(ready(host.url + path))
    await bench.fetch(ready(host.puts("/redirected", redirects(path)), row_id="redirected"))
    assert bench.saved() == bench.saved("redirected") == {"images-00.png": PNG}
    assert {one.target for one in host.asked} == {asked, "/redirected"}


async def test_a_location_that_is_not_utf8_is_asked_for_by_its_bytes(host: FileHost, bench: Bench) -> None:
    host.puts("/%E9.png", sends(PNG))
    head = b"HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: /\xe9.png\r\n\r\n"
    await bench.fetch(ready(host.puts("/a.png", says(head))))
    assert bench.saved() == {"images-00.png": PNG}


@pytest.mark.parametrize("location", ["b.png", "../x/b.png", "//{host}/x/b.png", "HTTP://{host}/x/b.png", " /x/b.png "])
async def test_a_redirect_is_followed_however_it_is_written(host: FileHost, bench: Bench, location: str) -> None:
    host.puts("/x/b.png", sends(PNG))
    there = location.format(host=host.url.removeprefix("http://"))
    await bench.fetch(ready(host.puts("/x/a.png", redirects(there, 308))))
    assert bench.saved() == {"images-00.png": PNG}


async def test_a_scheme_in_capitals_is_the_same_scheme(host: FileHost, bench: Bench) -> None:
    host.puts("/a.png", sends(PNG))
    await bench.fetch(ready(f"{host.url.replace('http', 'HTTP')}/a.png"))
    assert bench.saved() == {"images-00.png": PNG}


def test_a_host_beyond_ascii_is_called_by_the_name_it_is_registered_under() -> None:
    assert str(web_address("https://bücher.example/é?x=ü")) == "https://xn--bcher-kva.example/%C3%A9?x=%C3%BC"
    with pytest.raises(NoAddress):
        web_address("//files.example/a.png")


@pytest.mark.parametrize(
    ("link", "name", "content"),
    [
        (f"data:image/png;base64,{base64.b64encode(PNG).decode()}", "images-00.png", PNG),
        (f"DATA:image/png;charset=x;BASE64,{base64.urlsafe_b64encode(PNG).decode()}", "images-00.png", PNG),
        (f"data:;base64,{base64.b64encode(PNG).decode().rstrip('=')}", "images-00.png", PNG),
        (f"data:video/mp4;base64,{base64.b64encode(film(40)).decode()}", "images-00.mp4", film(40)),
    ],
    ids=["small", "other letters", "without padding", "larger than what is held in memory"],
)
async def test_an_output_that_stands_in_its_link_is_a_file_like_any_other(
    bench: Bench, link: str, name: str, content: bytes
) -> None:
    fetched = await bench.fetch(ready(link))
    assert fetched.waits == []
    assert bench.saved() == {name: content}


async def test_an_output_in_its_link_is_bounded_as_others_are(bench: Bench) -> None:
    link = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert "twice" in (await bench.with_bounds(max_bytes=len(PNG) - 1).fetch(ready(link))).failed.reason
    fits = await bench.with_bounds(max_bytes=len(PNG)).fetch(ready(link))
    assert [file.bytes for file in fits.collected.saved] == [len(PNG)]


async def test_an_output_in_its_link_is_not_kept_on_disk_and_is_asked_for_again_after_a_kill(bench: Bench) -> None:
    link = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    kept = Output("images", link).as_kept
    assert kept == Output("images", "inlined:image/png;base64")
    fetched = await bench.fetch(ready(kept.url), tries=1)
    assert isinstance(fetched.end, TryLater)
    assert (fetched.end.after_s, fetched.end.expired) == (0.0, True)
