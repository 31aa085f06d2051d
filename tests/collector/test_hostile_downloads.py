"""What a file host may do to a download, one test each: all end in a clear state, with nothing half-written."""

from __future__ import annotations

import hashlib
import json
import re
import time
from importlib.util import find_spec

import pytest

from batchgen.collector.collect import Collector, TryLater
from batchgen.collector.download import downloads_session
from batchgen.core.job import Billed, JobFailed
from batchgen.simulator.sound import melody
from tests.collector.conftest import Bench, ready
from tests.collector.filehost import (
    FileHost,
    breaks_off,
    drips,
    endless,
    head,
    redirects,
    resumes,
    says,
    sends,
    stalls,
)
from tests.collector.media import animation, animation_bomb, film, film_of_rubbish, picture, picture_bomb, sound

DECODES = find_spec("av") is not None
"""Whether the extra `video` is installed."""

PNG = picture()
OTHER = picture(seed=2)
HTML = b"<!doctype html><html><body>One moment, please</body></html>"


# ── the file breaks off ─────────────────────────────────────────────────────────────────────────────────


async def test_a_file_shorter_than_its_length_is_never_taken_for_whole(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", sends(PNG[:500], length=len(PNG)), sends(PNG))
    fetched = await bench.fetch(ready(url))
    assert len(fetched.waits) == 1
    assert not fetched.waits[0].expired  # the same link is good for another try
    assert bench.saved() == {"images-00.png": PNG}


async def test_a_download_that_was_reset_goes_on_where_it_broke_off(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", breaks_off(PNG, 3000), resumes(PNG))
    await bench.fetch(ready(url))
    assert bench.saved() == {"images-00.png": PNG}
    again = host.asked[1].headers
    assert (again["range"], again["if-range"]) == ("bytes=3000-", '"v1"')


async def test_another_etag_starts_afresh(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", breaks_off(PNG, 3000), resumes(OTHER, etag='"v2"'))
    await bench.fetch(ready(url))
    assert bench.saved() == {"images-00.png": OTHER}


async def test_a_range_of_another_file_is_not_glued_to_what_was_kept(host: FileHost, bench: Bench) -> None:
    bitmap, other = picture("BMP"), picture("BMP", seed=2)  # a glued bitmap would decode without a complaint
    told = {"Content_Range": f"bytes 3000-{len(other) - 1}/{len(other)}", "ETag": '"v2"'}
    url = host.puts("/a.bmp", breaks_off(bitmap, 3000), sends(other[3000:], 206, None, **told), sends(other))
    await bench.fetch(ready(url))
    assert bench.saved() == {"images-00.bmp": other}


async def test_a_host_that_ignores_the_range_is_taken_from_the_start(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", breaks_off(PNG, 3000), sends(PNG, ETag='"v1"'))
    await bench.fetch(ready(url))
    assert bench.saved() == {"images-00.png": PNG}


async def test_another_range_than_the_one_asked_for_starts_afresh(host: FileHost, bench: Bench) -> None:
    told = {"Content_Range": f"bytes 10-{len(PNG) - 1}/{len(PNG)}", "ETag": '"v1"'}
    url = host.puts("/a.png", breaks_off(PNG, 3000), sends(PNG[10:], 206, None, **told), sends(PNG))
    await bench.fetch(ready(url))
    assert "range" not in host.asked[2].headers
    assert bench.saved() == {"images-00.png": PNG}


async def test_a_file_that_became_shorter_than_what_was_kept_starts_afresh(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", breaks_off(PNG, 3000), sends(b"", 416), sends(PNG))
    await bench.fetch(ready(url))
    assert bench.saved() == {"images-00.png": PNG}


async def test_a_host_that_falls_silent_is_given_up_and_gone_back_to(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", stalls(PNG, 3000), resumes(PNG))
    began = time.monotonic()
    fetched = await bench.fetch(ready(url))
    assert time.monotonic() - began < 5
    assert "stopped answering" in fetched.waits[0].reason
    assert host.asked[1].headers["range"] == "bytes=3000-"
    assert bench.saved() == {"images-00.png": PNG}


async def test_every_fourth_break_asks_for_fresh_links_and_waits_grow(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", sends(b"", 503))
    fetched = await bench.fetch(ready(url), tries=9)
    assert isinstance(fetched.end, TryLater)
    assert [wait.expired for wait in fetched.waits] == [False, False, False, True] * 2
    assert [wait.after_s for wait in fetched.waits] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]


async def test_a_host_that_drips_is_left_when_its_time_is_over_and_the_second_time_for_good(
    host: FileHost, bench: Bench
) -> None:
    session = downloads_session(True, 8, idle_s=30.0)
    patient = Bench(bench.folder, Collector(bench.folder, session, True, time.time, total_s=0.4))
    fetched = await patient.fetch(ready(host.puts("/a.png", drips(PNG))))
    await patient.collector.close()
    await session.close()
    assert len(fetched.waits) == 1
    assert "not finished after" in fetched.failed.reason
    assert fetched.failed.billed is Billed.YES


async def test_bytes_beyond_the_stated_length_make_no_file(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", sends(PNG, length=len(PNG) - 100), sends(PNG))
    fetched = await bench.fetch(ready(url))
    assert len(fetched.waits) == 1
    assert "IHDR" not in fetched.waits[0].reason, "the reason holds the bytes"
    assert bench.saved() == {"images-00.png": PNG}


async def test_a_body_in_chunks_that_breaks_off_is_never_taken_for_whole(host: FileHost, bench: Bench) -> None:
    bitmap = picture("BMP")
    chunked = head(200, {"Transfer-Encoding": "chunked"}) + b"%x\r\n" % 3000 + bitmap[:3000] + b"\r\n"
    await bench.fetch(ready(host.puts("/a.bmp", says(chunked), sends(bitmap))))
    assert bench.saved() == {"images-00.bmp": bitmap}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 99_999,
    ],
    ids=["nothing", "another protocol", "a length that is none", "a head without end"],
)
async def test_what_is_no_answer_is_asked_for_again(host: FileHost, bench: Bench, answer: bytes) -> None:
    await bench.fetch(ready(host.puts("/a.png", says(answer), sends(PNG))))
    assert len(host.asked) == 2
    assert bench.saved() == {"images-00.png": PNG}


@pytest.mark.parametrize(
    "told",
    ["bytes 3000-5999/{size}", "bytes 3000-{last}/{more}", "bytes 3000-{last}/*", "bytes */{size}", "3000-{last}", ""],
)
async def test_a_range_that_is_not_the_rest_of_the_file_starts_afresh(host: FileHost, bench: Bench, told: str) -> None:
    sound_without_an_end = b"ID3" + picture("BMP")  # known by its first bytes alone: a short one would go unnoticed
    content = picture("BMP") if DECODES else sound_without_an_end
    size = len(content)
    given = told.format(size=size, last=size - 1, more=size + 9)
    part = sends(content[3000:6000], 206, Content_Range=given, ETag='"v1"')
    await bench.fetch(ready(host.puts("/a", breaks_off(content, 3000), part, sends(content))))
    assert [*bench.saved().values()] == [content]
    assert "range" not in host.asked[2].headers


async def test_a_range_shorter_than_it_says_starts_afresh(host: FileHost, bench: Bench) -> None:
    bitmap = picture("BMP")
    told = {"Content_Range": f"bytes 3000-{len(bitmap) - 1}/{len(bitmap)}", "ETag": '"v1"'}
    url = host.puts("/a.bmp", breaks_off(bitmap, 3000), sends(bitmap[3000:6000], 206, None, **told), sends(bitmap))
    await bench.fetch(ready(url))
    assert bench.saved() == {"images-00.bmp": bitmap}
    assert "range" not in host.asked[2].headers


async def test_a_part_of_a_file_that_nobody_asked_for_is_not_the_file(host: FileHost, bench: Bench) -> None:
    bitmap = picture("BMP")
    part = sends(bitmap[:3000], 206, Content_Range=f"bytes 0-2999/{len(bitmap)}")
    fetched = await bench.fetch(ready(host.puts("/a.bmp", part, sends(bitmap))))
    assert "another range" in fetched.waits[0].reason
    assert bench.saved() == {"images-00.bmp": bitmap}


@pytest.mark.parametrize("status", [204, 300, 304, 418, 500, 503])
async def test_an_answer_without_the_file_is_another_try(host: FileHost, bench: Bench, status: int) -> None:
    fetched = await bench.fetch(ready(host.puts("/a.png", says(head(status, {"Content-Length": "0"})), sends(PNG))))
    assert f"HTTP {status}" in fetched.waits[0].reason
    assert bench.saved() == {"images-00.png": PNG}


# ── it is not what it should be ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "empty"),
        (HTML, "web page"),
        (b'{"error": "expired"}', "JSON"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "error document"),
        (picture("JPEG")[: int(len(picture("JPEG")) * 0.9)], "truncated"),
        (PNG[:-200], "not a whole picture"),
        (PNG[:60] + bytes(len(PNG) - 60), "not a whole picture"),
        (picture("WEBP")[:-200], "not a whole picture"),
        (film()[:-100], "cut off"),
        (film()[: film().index(b"mdat") - 4], "no media"),
        (sound()[:-100], "cut off"),
        (b"AccessDenied: Request has expired", "error message"),
        (b"{}", "empty"),
    ],
    ids=[
        "empty",
        "page",
        "json",
        "xml",
        "cut jpeg",
        "cut png",
        "png of zeros",
        "cut webp",
        "cut mp4",
        "mp4 without media",
        "cut wav",
        "notice",
        "nothing in braces",
    ],
)
async def test_the_same_undecodable_bytes_twice_are_kept_and_the_row_failed_and_billed(
    host: FileHost, bench: Bench, content: bytes, named: str
) -> None:
    fetched = await bench.fetch(ready(host.puts("/a.png", sends(content, Content_Type="image/png"))))
    assert len(fetched.waits) == 1
    assert fetched.waits[0].expired  # the second time comes from a fresh link
    assert fetched.failed.billed is Billed.YES
    assert named in fetched.failed.reason
    (kept,) = bench.set_aside
    assert kept.read_bytes() == content
    assert kept.name in fetched.failed.reason
    assert bench.saved() == {}


@pytest.mark.parametrize(
    ("content", "extension", "checked"),
    [
        (picture_bomb(), "png", "container"),
        (animation_bomb(), "gif", "signature"),
        (picture("TGA"), "bin", "none"),
        (b"PK\x03\x04" + bytes(500), "zip", "signature"),
        (b"a caption of what can be seen", "txt", "none"),
    ],
    ids=["3600 megapixels", "3300 megapixels in 11 frames", "a kind nobody knows", "an archive", "a text"],
)
async def test_what_is_not_decoded_is_kept_at_once_and_says_so(
    host: FileHost, bench: Bench, content: bytes, extension: str, checked: str
) -> None:
    fetched = await bench.fetch(ready(host.puts("/a.png", sends(content))))
    assert fetched.waits == []
    assert bench.saved() == {f"images-00.{extension}": content}
    assert [file.checked for file in fetched.collected.saved] == [checked]


async def test_a_damaged_picture_is_fetched_again_and_kept_if_it_is_the_same(host: FileHost, bench: Bench) -> None:
    damaged = bytearray(picture(width=256, height=256))  # more than is held in memory
    damaged[len(damaged) // 2] ^= 0xFF
    small = bytearray(picture())
    small[len(small) // 2] ^= 0xFF
    urls = [host.puts("/a.png", sends(bytes(damaged))), host.puts("/b.png", sends(bytes(small)))]
    fetched = await bench.fetch(ready(*urls))
    assert fetched.waits
    assert bench.saved() == {"images-00.png": bytes(damaged), "images-01.png": bytes(small)}
    assert [file.checked for file in fetched.collected.saved] == ["signature", "signature"]
    assert bench.set_aside == []


async def test_a_picture_that_was_damaged_on_its_way_is_fetched_again(host: FileHost, bench: Bench) -> None:
    damaged = bytearray(PNG)
    damaged[len(damaged) // 2] ^= 0xFF
    fetched = await bench.fetch(ready(host.puts("/a.png", sends(bytes(damaged)), sends(PNG))))
    assert len(fetched.waits) == 1
    assert bench.saved() == {"images-00.png": PNG}
    assert [file.checked for file in fetched.collected.saved] == ["decoded"]


async def test_other_undecodable_bytes_are_another_try(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", sends(HTML), sends(HTML + b"<!-- 2 -->"), sends(b"{}"), sends(PNG))
    fetched = await bench.fetch(ready(url))
    assert len(fetched.waits) == 3
    assert bench.saved() == {"images-00.png": PNG}
    assert bench.set_aside == []


@pytest.mark.parametrize("media_type", ["application/octet-stream", "binary/octet-stream", "text/html", "video/mp4"])
async def test_a_good_picture_is_good_whatever_type_the_host_gives_it(
    host: FileHost, bench: Bench, media_type: str
) -> None:
    fetched = await bench.fetch(ready(host.puts("/a.bin", sends(PNG, Content_Type=media_type))))
    assert fetched.waits == []
    (file,) = fetched.collected.saved
    assert (file.name, file.media_type) == ("images-00.png", "image/png")


async def test_bytes_without_an_end_are_bounded_and_fail_the_second_time(host: FileHost, bench: Bench) -> None:
    bounded = bench.with_bounds(max_bytes=1_000_000)
    fetched = await bounded.fetch(ready(host.puts("/a.png", endless)))
    assert len(fetched.waits) == 1
    assert "more than 1000000 bytes, twice" in fetched.failed.reason
    assert fetched.failed.billed is Billed.YES


async def test_the_byte_bound_lets_the_last_byte_through_and_not_one_more(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", sends(PNG))
    assert isinstance((await bench.with_bounds(max_bytes=len(PNG) - 1).fetch(ready(url))).end, JobFailed)
    fetched = await bench.with_bounds(max_bytes=len(PNG)).fetch(ready(url, row_id="fits"))
    assert fetched.collected.saved[0].bytes == len(PNG)


@pytest.mark.parametrize(
    ("content", "name", "media_type", "size"),
    [
        (PNG, "images-00.png", "image/png", (64, 48)),
        (picture("JPEG"), "images-00.jpg", "image/jpeg", (64, 48)),
        (picture("WEBP"), "images-00.webp", "image/webp", (64, 48)),
        (picture("AVIF"), "images-00.avif", "image/avif", (64, 48)),
        (animation(), "images-00.gif", "image/gif", (8, 8)),
        (film(), "images-00.mp4", "video/mp4", (64, 48) if DECODES else (None, None)),
        (sound(), "images-00.wav", "audio/wav", (None, None)),
    ],
    ids=["png", "jpeg", "webp", "avif", "gif", "mp4", "wav"],
)
async def test_a_whole_file_gets_the_name_of_its_content_and_is_told_of_in_row_json(
    host: FileHost, bench: Bench, content: bytes, name: str, media_type: str, size: tuple[int | None, int | None]
) -> None:
    fetched = await bench.fetch(ready(host.puts("/a.dat", sends(content))))
    assert bench.saved() == {name: content}
    (file,) = json.loads((bench.folder.row("dune") / "row.json").read_text())["files"]
    assert file == {
        "name": name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "media_type": media_type,
        "width": size[0],
        "height": size[1],
        "checked": "decoded" if DECODES or media_type.startswith("image/") else "container",
        "blank": media_type == "image/gif",
    }
    assert [saved.sha256 for saved in fetched.collected.saved] == [file["sha256"]]


async def test_sound_and_video_that_were_not_decoded_say_so(host: FileHost, bench: Bench) -> None:
    rubbish = b"OggS" + bytes(range(256)) * 8  # known by its first bytes alone
    urls = [host.puts("/a.ogg", sends(rubbish)), host.puts("/b.mp4", sends(film_of_rubbish()))]
    fetched = await bench.fetch(ready(*urls))
    assert len(fetched.waits) == (1 if DECODES else 0)  # what cannot be played is fetched again, and kept
    assert [(file.media_type, file.checked) for file in fetched.collected.saved] == [
        ("audio/ogg", "signature"),
        ("video/mp4", "signature" if DECODES else "container"),
    ]
    assert bench.collector.not_decoded == 2
    told = json.loads((bench.folder.row("dune") / "row.json").read_text())
    assert [file["checked"] for file in told["files"]] == [file.checked for file in fetched.collected.saved]


@pytest.mark.skipif(not DECODES, reason="needs the Python package av (the extra `video`)")
@pytest.mark.parametrize("content", [film(), sound(), melody(1, 0.5, "a tune")])
async def test_with_the_extra_sound_and_video_are_decoded_to_the_end(
    host: FileHost, bench: Bench, content: bytes
) -> None:
    fetched = await bench.fetch(ready(host.puts("/a", sends(content))))
    assert [file.checked for file in fetched.collected.saved] == ["decoded"]
    assert bench.collector.not_decoded == 0


# ── the link leads elsewhere ────────────────────────────────────────────────────────────────────────────


async def test_a_redirect_to_a_good_place_is_followed(host: FileHost, bench: Bench) -> None:
    host.puts("/there.png", sends(PNG))
    await bench.fetch(ready(host.puts("/a.png", redirects("/there.png", 307))))
    assert bench.saved() == {"images-00.png": PNG}


async def test_five_redirects_are_followed_and_a_loop_is_left(host: FileHost, bench: Bench) -> None:
    for number in range(5):
        host.puts(f"/{number}", redirects(f"/{number + 1}"))
    host.puts("/5", sends(PNG))
    await bench.fetch(ready(host.url + "/0"))
    assert bench.saved() == {"images-00.png": PNG}
    host.asked.clear()
    fetched = await bench.fetch(ready(host.puts("/loop", redirects("/loop")), row_id="loop"), tries=1)
    assert isinstance(fetched.end, TryLater)
    assert "redirects" in fetched.end.reason
    assert len(host.asked) == 6
    assert bench.parts() == {}


PRIVATE = [
    "http://127.0.0.1:{port}/secret",
    "http://localhost:{port}/secret",
    "http://localhost.:{port}/secret",
    "http://files.localhost:{port}/secret",
    "http://127.1:{port}/secret",
    "http://2130706433:{port}/secret",
    "http://0.0.0.0:{port}/secret",
    "http://[::1]:{port}/secret",
    "http://[::ffff:127.0.0.1]:{port}/secret",
    "http://10.0.0.1/secret",
    "http://172.16.0.1/secret",
    "http://192.168.1.1/secret",
    "http://100.64.0.1/secret",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/secret",
    "http://[fd00::1]/secret",
]


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("redirected", [False, True], ids=["at once", "by a redirect"])
async def test_with_a_public_base_no_private_address_is_ever_asked(
    host: FileHost, public_bench: Bench, address: str, redirected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = host.url.rpartition(":")[2]
    private = address.format(port=port)
    url = host.puts("http://files.example/a.png", redirects(private)).removeprefix(host.url) if redirected else private
    host.puts("/secret", sends(PNG))
    if not redirected:
        monkeypatch.delenv("http_proxy")
    fetched = await public_bench.fetch(ready(url), tries=2)
    assert isinstance(fetched.end, TryLater), "an address we do not go to never fails a row that was paid for"
    assert {asked.target for asked in host.asked} == ({"http://files.example/a.png"} if redirected else set())
    assert public_bench.saved() == {}
    assert public_bench.parts() == {}


async def test_with_a_public_base_a_public_redirect_is_followed(host: FileHost, public_bench: Bench) -> None:
    host.puts("http://other.example/b.png", sends(PNG))
    host.puts("http://files.example/a.png", redirects("http://other.example/b.png"))
    await public_bench.fetch(ready("http://files.example/a.png"))
    assert public_bench.saved() == {"images-00.png": PNG}


async def test_no_request_to_a_file_host_carries_anything_that_could_be_a_key(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", sends(b"", 302, Location="/b.png", Set_Cookie="session=1"))
    host.puts("/b.png", sends(PNG))
    await bench.fetch(ready(url))
    assert len(host.asked) == 2
    for asked in host.asked:
        assert not {"authorization", "cookie", "referer"} & set(asked.headers)


async def test_a_link_is_asked_for_byte_for_byte(host: FileHost, bench: Bench) -> None:
    path = "/YWJj%3D/ZGVm%3D%2B/output/x%20y_output.png?sig=a%2Fb%2B"
    await bench.fetch(ready(host.puts(path, sends(PNG))))
    assert [asked.target for asked in host.asked] == [path]


# ── the link is dead or refused ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [404, 410])
async def test_a_file_is_gone_after_four_fresh_links_further_and_further_apart(
    host: FileHost, bench: Bench, status: int
) -> None:
    fetched = await bench.fetch(ready(host.puts("/a.png", sends(b"", status))))
    assert [wait.after_s for wait in fetched.waits] == [0.0, 30.0, 120.0, 600.0]  # the first may be an old link
    assert all(wait.expired for wait in fetched.waits)
    assert fetched.failed.billed is Billed.YES
    assert f"HTTP {status}" in fetched.failed.reason


async def test_a_file_that_comes_with_the_fourth_fresh_link_is_not_gone(host: FileHost, bench: Bench) -> None:
    dead = sends(b"", 404)
    fetched = await bench.fetch(ready(host.puts("/a.png", dead, dead, dead, dead, sends(PNG))))
    assert len(fetched.waits) == 4
    assert bench.saved() == {"images-00.png": PNG}


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_links_wait_and_never_fail(host: FileHost, bench: Bench, status: int) -> None:
    fetched = await bench.fetch(ready(host.puts("/a.png", sends(b"", status))), tries=30)
    assert isinstance(fetched.end, TryLater)
    assert [wait.after_s for wait in fetched.waits] == [0.0, 30.0, 120.0] + [600.0] * 26
    assert all(wait.expired for wait in fetched.waits)


# ── several files, and their names ──────────────────────────────────────────────────────────────────────


async def test_two_outputs_of_one_name_are_two_files(host: FileHost, bench: Bench) -> None:
    first, second = host.puts("/1/output.png", sends(PNG)), host.puts("/2/output.png", sends(OTHER))
    await bench.fetch(ready(first, second))
    assert bench.saved() == {"images-00.png": PNG, "images-01.png": OTHER}


@pytest.mark.parametrize(
    "key", ["../../../evil", "/etc/cron.d/x", "a/b", "a\\b", "..", ".hidden", "CON", "nul.png", "x\0y", "ü", "a" * 300]
)
async def test_a_key_never_becomes_a_path(host: FileHost, bench: Bench, key: str) -> None:
    await bench.fetch(ready((key, host.puts("/a.png", sends(PNG)))))
    (name,) = bench.saved()
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}-00\.png", name)
    outside = [path for path in bench.folder.path.parent.rglob("*.png") if path.parent != bench.folder.row("dune")]
    assert outside == []


async def test_no_name_that_a_host_gives_becomes_a_path(host: FileHost, bench: Bench) -> None:
    named = sends(PNG, Content_Disposition='attachment; filename="../../../evil.png"')
    await bench.fetch(ready(host.puts("/x/../../../evil.png", named)))
    assert bench.saved() == {"images-00.png": PNG}
    assert list(bench.folder.path.parent.rglob("evil*")) == []


async def test_keys_that_differ_only_by_case_or_were_replaced_share_no_name(host: FileHost, bench: Bench) -> None:
    keys = ["Image", "image", "../x", "output", "a/b"]
    contents = [picture(seed=number) for number in range(len(keys))]
    urls = [host.puts(f"/{number}.png", sends(content)) for number, content in enumerate(contents)]
    await bench.fetch(ready(*zip(keys, urls, strict=True)))
    saved = bench.saved()
    assert sorted(saved.values()) == sorted(contents)
    assert len({name.lower() for name in saved}) == len(keys)  # as macOS and Windows see it


async def test_what_is_whole_is_not_fetched_again_while_another_file_is_waited_for(
    host: FileHost, bench: Bench
) -> None:
    good = host.puts("/good.png", sends(PNG))
    late = host.puts("/late.png", sends(b"", 503), sends(b"", 503), sends(OTHER))
    await bench.fetch(ready(good, late))
    assert bench.saved() == {"images-00.png": PNG, "images-01.png": OTHER}
    assert [asked.target for asked in host.asked].count("/good.png") == 1


async def test_nothing_is_under_rows_until_every_file_is_whole(host: FileHost, bench: Bench) -> None:
    good, late = host.puts("/good.png", sends(PNG)), host.puts("/late.png", sends(b"", 503))
    await bench.fetch(ready(good, late), tries=3)
    assert list(bench.folder.rows.iterdir()) == []


async def test_an_earlier_attempts_files_move_aside_as_they_are(host: FileHost, bench: Bench) -> None:
    first = ready(host.puts("/1.png", sends(PNG)))
    await bench.fetch(first)
    await bench.fetch(ready(host.puts("/2.png", sends(OTHER)), n=2), earlier=(first,))
    assert bench.saved() == {"images-00.png": OTHER}
    kept = bench.folder.attempt("dune", 1)
    assert (kept / "images-00.png").read_bytes() == PNG
    assert (kept / "row.json").is_file()
    told = json.loads((bench.folder.row("dune") / "row.json").read_text())
    assert [attempt["n"] for attempt in told["attempts"]] == [1, 2]


async def test_row_json_tells_where_a_picture_came_from_without_a_secret(host: FileHost, bench: Bench) -> None:
    url = host.puts("/a.png", sends(PNG))
    signed = "https://in.example/a.png?X-Amz-Signature=s3cret&X-Amz-Expires=60"
    job = ready(url)._replace(input={"images": [signed]}, meta={"shoot": "7"}, cost_micro=40_000, submitted_at=5.0)
    await bench.fetch(job)
    text = (bench.folder.row("dune") / "row.json").read_text()
    told = json.loads(text)
    assert "s3cret" not in text
    promised = "row_id model input meta fingerprint request_id attempts times cost_usd files"
    assert set(promised.split()) <= set(told)
    assert (told["cost_usd"], told["meta"], told["request_id"]) == (0.04, {"shoot": "7"}, "id-1")
