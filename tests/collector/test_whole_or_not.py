"""Whether all of a file is here: downloads that go on, files that come packed, and bodies that say no length."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import zlib
from collections.abc import Callable

import pytest

from batchgen.collector.collect import TryLater
from batchgen.collector.partfile import SEAM_BYTES
from tests.collector.conftest import Bench, ready
from tests.collector.filehost import Asked, FileHost, Way, cut, head, says, sends
from tests.collector.media import animation, film, film_of_rubbish, picture

PNG, OTHER = picture(), picture(seed=2)
BITMAP, OTHER_BITMAP = picture("BMP"), picture("BMP", seed=2)  # a glued bitmap would decode without a complaint
MODIFIED = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}


# ── going on where it broke off ─────────────────────────────────────────────────────────────────────────


def breaks_every(content: bytes, each: int, **version: str) -> Way:
    """A host that honours Range, whatever If-Range says, and breaks off after every *each* bytes."""

    async def way(asked: Asked, writer: asyncio.StreamWriter) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        start = int(wanted[1]) if wanted else 0
        told = version | {"Content-Length": str(len(content) - start)}
        if wanted:
            told["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        await cut(writer, head(206 if wanted else 200, told), content[start:], each)

    return way


@pytest.mark.parametrize(
    "version",
    [MODIFIED, {"ETag": 'W/"v1"'}, {}, {"ETag": 'W/"v1"'} | MODIFIED, {"ETag": '"v1"'}],
    ids=["last-modified", "weak etag", "nothing", "weak and modified", "strong etag"],
)
async def test_a_host_that_keeps_breaking_off_is_gone_on_with(
    host: FileHost, bench: Bench, version: dict[str, str]
) -> None:
    fetched = await bench.fetch(ready(host.puts("/a.png", breaks_every(PNG, 3000, **version))))
    assert bench.saved() == {"images-00.png": PNG}
    assert len(fetched.waits) < 6  # 9 KB, at least 2 KB of them new each time


async def test_it_goes_on_after_a_kill_as_well(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", breaks_every(PNG, 3000, **MODIFIED))
    assert isinstance((await bench.fetch(ready(url), tries=1)).end, TryLater)
    another = bench.with_bounds()  # which knows only what is on disk
    await another.fetch(ready(url))
    assert host.asked[1].headers["range"] == f"bytes={3000 - SEAM_BYTES}-"
    assert host.asked[1].headers["if-range"] == MODIFIED["Last-Modified"]
    assert bench.saved() == {"images-00.png": PNG}


@pytest.mark.parametrize(
    "second",
    [
        breaks_every(OTHER_BITMAP, 100_000, **MODIFIED),
        breaks_every(OTHER_BITMAP, 100_000),
        breaks_every(BITMAP, 100_000, **{"Last-Modified": "Tue, 02 Jan 2024 00:00:00 GMT"}),
        breaks_every(BITMAP[:3000] + OTHER_BITMAP[3000:] + b"more", 100_000, **MODIFIED),
    ],
    ids=["other bytes", "other bytes, no date", "another date", "another length"],
)
async def test_what_may_be_another_file_is_never_glued_on(host: FileHost, bench: Bench, second: Way) -> None:
    first = breaks_every(BITMAP, 3000, **MODIFIED)
    url = host.puts("/a.bmp", first, second, sends(OTHER_BITMAP))
    fetched = await bench.fetch(ready(url))
    assert len(fetched.waits) == 2
    assert "range" not in host.asked[2].headers
    assert bench.saved() == {"images-00.bmp": OTHER_BITMAP}


async def test_without_a_length_nothing_is_gone_on_with(host: FileHost, bench: Bench) -> None:
    chunked = head(200, {"Transfer-Encoding": "chunked"} | MODIFIED) + b"%x\r\n" % 3000 + PNG[:3000]
    await bench.fetch(ready(host.puts("/a.png", says(chunked), sends(PNG))))
    assert "range" not in host.asked[1].headers
    assert bench.saved() == {"images-00.png": PNG}


# ── packed ──────────────────────────────────────────────────────────────────────────────────────────────


def bare_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip in capitals": ("X-GZIP", gzip.compress),
    "gzip in two members": ("gzip", lambda content: gzip.compress(content[:700]) + gzip.compress(content[700:])),
    "deflate": ("deflate", zlib.compress),
    "deflate without its header": ("deflate", bare_deflate),
    "not packed at all": ("gzip", bytes),
    "not deflated at all": ("deflate", bytes),
    "identity": ("identity", bytes),
    "nothing we know": ("aws-chunked", bytes),
}


@pytest.mark.parametrize(("packing", "pack"), PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
async def test_a_packed_file_is_unpacked_and_one_that_only_says_so_is_not(
    host: FileHost, bench: Bench, packing: str, pack: Callable[[bytes], bytes], large: bool
) -> None:
    content = picture("BMP", 200, 200) if large else BITMAP
    fetched = await bench.fetch(ready(host.puts("/a", sends(pack(content), Content_Encoding=packing))))
    assert fetched.waits == []
    assert bench.saved() == {"images-00.bmp": content}
    assert host.asked[0].headers["accept-encoding"] == "identity"


async def test_a_packed_file_that_breaks_off_goes_on_packed(host: FileHost, bench: Bench) -> None:
    packed = gzip.compress(BITMAP)
    way = breaks_every(packed, 3000, **{"ETag": '"v1"', "Content-Encoding": "gzip"})
    await bench.fetch(ready(host.puts("/a", way)))
    assert [asked.headers.get("range") for asked in host.asked[:2]] == [None, "bytes=3000-"]
    assert bench.saved() == {"images-00.bmp": BITMAP}


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
async def test_a_packed_file_that_was_cut_before_it_was_sent_is_set_aside_as_it_came(
    host: FileHost, bench: Bench, packing: str
) -> None:
    packed = (gzip.compress if packing == "gzip" else zlib.compress)(BITMAP)[:-200]
    fetched = await bench.fetch(ready(host.puts("/a", sends(packed, Content_Encoding=packing))))
    assert len(fetched.waits) == 1
    assert "ends too early" in fetched.failed.reason
    assert [kept.read_bytes() for kept in bench.set_aside] == [packed]


@pytest.mark.parametrize(("packing", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_what_a_packed_file_unfolds_to_is_bounded(
    host: FileHost, bench: Bench, packing: str, pack: Callable[[bytes], bytes]
) -> None:
    bounded = bench.with_bounds(max_bytes=1_000_000)
    url = host.puts("/a", sends(pack(bytes(5_000_000)), Content_Encoding=packing))
    fetched = await bounded.fetch(ready(url))
    assert len(fetched.waits) == 1
    assert "more than 1000000 bytes once unpacked, twice" in fetched.failed.reason


# ── no length ───────────────────────────────────────────────────────────────────────────────────────────


def until_closed(content: bytes, **headers: str) -> Way:
    """All of *content* and then an end, without a length."""
    return says(head(200, {name.replace("_", "-"): value for name, value in headers.items()}) + content)


def until_reset(content: bytes, after: int) -> Way:
    async def way(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await cut(writer, head(200, {}), content, after)

    return way


LONG = film_of_rubbish() + film(40)  # known by its beginning; nothing tells its end


async def test_a_body_without_a_length_that_is_reset_is_never_whole(host: FileHost, bench: Bench) -> None:
    """The library takes the reset for an end like any other."""
    url = host.puts("/a", until_reset(BITMAP, 3000), until_reset(BITMAP, 5000), sends(BITMAP))
    fetched = await bench.fetch(ready(url))
    assert ["broke off" in wait.reason or "out of reach" in wait.reason for wait in fetched.waits] == [True, True]
    assert bench.saved() == {"images-00.bmp": BITMAP}


async def test_a_picture_without_a_length_is_fetched_once_since_its_pixels_tell_its_end(
    host: FileHost, bench: Bench
) -> None:
    fetched = await bench.fetch(ready(host.puts("/a", until_closed(PNG))))
    assert len(host.asked) == 1
    assert [file.checked for file in fetched.collected.saved] == ["decoded"]


@pytest.mark.parametrize("content", [animation(), film(40)], ids=["gif", "mp4"])
async def test_what_tells_no_end_is_fetched_twice_compared_and_says_so(
    host: FileHost, bench: Bench, content: bytes
) -> None:
    fetched = await bench.fetch(ready(host.puts("/a", until_closed(content))))
    assert fetched.waits == []
    assert len(host.asked) == 2
    assert list(bench.saved().values()) == [content]
    assert [file.checked for file in fetched.collected.saved] == ["compared"]
    (told,) = json.loads((bench.folder.row("dune") / "row.json").read_text())["files"]
    assert told["checked"] == "compared"


async def test_a_film_that_ends_early_once_is_not_taken_for_whole(host: FileHost, bench: Bench) -> None:
    webm = b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 400  # known by its first bytes alone
    url = host.puts("/a", until_closed(webm[:50_000]), until_closed(webm))
    fetched = await bench.fetch(ready(url), tries=4)
    if isinstance(fetched.end, TryLater) or fetched.waits:  # where it is decoded, rubbish is no film
        assert "different bytes" in fetched.waits[0].reason or "played" in fetched.waits[0].reason
    assert webm[:50_000] not in bench.saved().values()


@pytest.mark.parametrize(
    "second",
    [sends(b"", 404), sends(b"", 503), until_reset(animation(), 20), sends(animation()[:-5])],
    ids=["404", "503", "reset", "cut"],
)
async def test_a_second_look_that_brings_nothing_leaves_the_first_for_the_next_try(
    host: FileHost, bench: Bench, second: Way
) -> None:
    url = host.puts("/a", until_closed(animation()), second, until_closed(animation()))
    fetched = await bench.fetch(ready(url))
    assert len(fetched.waits) == 1
    assert [file.checked for file in fetched.collected.saved] == ["compared"]


async def test_a_packed_body_without_a_length_tells_its_end_itself(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a", until_closed(gzip.compress(film(40)), Content_Encoding="gzip"))
    await bench.fetch(ready(url))
    assert len(host.asked) == 1
    assert bench.saved() == {"images-00.mp4": film(40)}
