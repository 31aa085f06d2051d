"""A whole file of any kind is kept as what it is; only nothing, an error page and a provable cut are no output."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from batchgen.collector.verify import Undecodable, Verified, identify, verify
from tests.collector.media import film, picture, sound
from tests.verify.files import (
    archive,
    box,
    glb,
    heif,
    matroska,
    mp4,
    png_with,
    saved,
    stl,
    streamed_wav,
)

DECODES = find_spec("av") is not None
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="9" height="9"/></svg>'
OBJ = b"# a cube\nmtllib cube.mtl\no cube\nv 1.0 1.0 -1.0\nv 1.0 -1.0 -1.0\nf 1 2 3\n"


@pytest.fixture
def looked_at(tmp_path: Path) -> Path:
    return tmp_path / "output.part"


def seen(path: Path, content: bytes) -> Verified:
    path.write_bytes(content)
    return verify(path)


@pytest.mark.parametrize(
    ("content", "media_type", "extension", "checked"),
    [
        (png_with(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(bytes(3 << 20))), "image/png", "png", "decoded"),
        (png_with(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(3 << 20))), "image/png", "png", "decoded"),
        (png_with(b"iCCP", b"profile\0\0" + zlib.compress(bytes(3 << 20))), "image/png", "png", "decoded"),
        (png_with(b"tEXt", b"a\0b", right_checksum=False), "image/png", "png", "decoded"),
        (png_with(b"caBX", b"signed", right_checksum=False), "image/png", "png", "decoded"),
        (picture() + b"more", "image/png", "png", "decoded"),
        (picture()[:-12], "image/png", "png", "decoded"),
        (picture("JPEG") + bytes(100), "image/jpeg", "jpg", "decoded"),
        (SVG, "image/svg+xml", "svg", "signature"),
        (b'<?xml version="1.0"?>\n<!-- drawn -->\n<!DOCTYPE svg>' + SVG, "image/svg+xml", "svg", "signature"),
        (saved(Image.new("RGB", (16, 16)), "JPEG2000"), "image/jp2", "jp2", "signature"),
        (b"\xff\x0a" + bytes(100), "image/jxl", "jxl", "signature"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100), "image/jxl", "jxl", "signature"),
        (heif(b"heic", b"mif1", b"heic"), "image/heic", "heic", "container"),
        (heif(b"mif1", b"mif1", b"heic"), "image/heic", "heic", "container"),
        (box(b"ftyp", b"heic", bytes(4)) + box(b"mdat", bytes(100)), "image/heic", "heic", "signature"),
        (b"8BPS\0\1" + bytes(100), "image/vnd.adobe.photoshop", "psd", "signature"),
        (b"\x76\x2f\x31\x01" + bytes(100), "image/x-exr", "exr", "signature"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "image/vnd.radiance", "hdr", "signature"),
        (b"P6\n2 2\n255\n" + bytes(12), "image/x-portable-anymap", "pnm", "signature"),
        (b"RF64\xff\xff\xff\xffWAVEds64" + bytes(300), "audio/wav", "wav", "signature"),
        (b"FORM\0\0\1\0AIFFCOMM" + bytes(300), "audio/aiff", "aiff", "signature"),
        (b"\xff\xf1\x50\x80" * 300, "audio/aac", "aac", "signature"),
        (b"\xff\xf9\x50\x80" * 300, "audio/aac", "aac", "signature"),
        (b"\xff\xe3\x90\x64" + bytes(500), "audio/mpeg", "mp3", "signature"),
        (b"\xff\xfa\x90\x64" + bytes(500), "audio/mpeg", "mp3", "signature"),
        (b"\xff\xf2\x90\x64" + bytes(500), "audio/mpeg", "mp3", "signature"),
        (b"#!AMR\n" + bytes(100), "audio/amr", "amr", "signature"),
        (b"fLaC" + bytes(200), "audio/flac", "flac", "signature"),
        (b"MThd" + bytes(200), "audio/midi", "mid", "signature"),
        ((b"\x47" + bytes(187)) * 50, "video/mp2t", "ts", "signature"),
        (b"\0\0\1\xba" + bytes(500), "video/mpeg", "mpg", "signature"),
        (glb(), "model/gltf-binary", "glb", "container"),
        (b'{"asset": {"version": "2.0"}, "scenes": []}', "model/gltf+json", "gltf", "signature"),
        (OBJ, "model/obj", "obj", "signature"),
        (stl(), "model/stl", "stl", "signature"),
        (b"solid cube\n facet normal 0 0 1\n", "model/stl", "stl", "signature"),
        (b"ply\nformat ascii 1.0\n", "model/x-ply", "ply", "signature"),
        (b"Kaydara FBX Binary  \0\x1a\0" + bytes(100), "application/vnd.autodesk.fbx", "fbx", "signature"),
        (archive("scene.usdc"), "model/vnd.usdz+zip", "usdz", "signature"),
        (archive("a.png"), "application/zip", "zip", "signature"),
        (b"PK\5\6" + bytes(18), "application/zip", "zip", "signature"),
        (b"%PDF-1.7\n" + bytes(100), "application/pdf", "pdf", "signature"),
        (b'{"objects": [{"label": "dune", "box": [1, 2, 3, 4]}]}', "application/json", "json", "none"),
        (b'{"message": "a dune at dusk", "type": "caption"}', "application/json", "json", "none"),
        (b"1\n00:00:00,000 --> 00:00:01,000\nhello\n", "application/x-subrip", "srt", "signature"),
        (b"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n", "text/vtt", "vtt", "signature"),
        ("Eine Düne, 500 m hoch, im Abendlicht.".encode(), "text/plain", "txt", "none"),
        (b"\x7fELF" + bytes(range(256)), "application/octet-stream", "bin", "none"),
    ],
)
def test_a_whole_file_of_any_kind_is_kept_as_what_it_is(
    looked_at: Path, content: bytes, media_type: str, extension: str, checked: str
) -> None:
    found = seen(looked_at, content)
    assert (found.media_type, found.extension, found.checked) == (media_type, extension, checked)


@pytest.mark.parametrize("stated_bytes", [0, 0x7FFFFFFF, 0x7FFFF000, 2_000_000_000, 0xFFFFFFFF])
def test_sound_that_was_written_as_it_came_states_no_length_and_is_whole(looked_at: Path, stated_bytes: int) -> None:
    found = seen(looked_at, streamed_wav(stated_bytes))
    assert (found.media_type, found.checked) == ("audio/wav", "decoded" if DECODES else "signature")


@pytest.mark.parametrize("trailing", [bytes(3), bytes(8), b"\0\0\1\0junk", b"a signature of some kind"])
def test_bytes_after_the_last_box_do_no_harm(looked_at: Path, trailing: bytes) -> None:
    found = seen(looked_at, film() + trailing)
    assert (found.media_type, found.checked) == ("video/mp4", "decoded" if DECODES else "signature")


@pytest.mark.parametrize(
    ("content", "media_type", "extension"),
    [
        (mp4(b"vide", b"soun"), "video/mp4", "mp4"),
        (mp4(b"soun"), "audio/mp4", "m4a"),
        (mp4(b"soun", brand=b"qt  "), "audio/mp4", "m4a"),
        (mp4(b"soun", brand=b"M4A "), "audio/mp4", "m4a"),
        (mp4(b"vide", brand=b"3gp5"), "video/3gpp", "3gp"),
        (box(b"wide") + box(b"mdat", bytes(50)) + box(b"moov", bytes(50)), "video/quicktime", "mov"),
        (box(b"styp", b"msdh", bytes(4)) + box(b"moof", bytes(50)) + box(b"mdat", bytes(50)), "video/mp4", "mp4"),
        (matroska(b"webm", 1, 2), "video/webm", "webm"),
        (matroska(b"webm", 2), "audio/webm", "webm"),
        (matroska(b"matroska", 1, 2), "video/x-matroska", "mkv"),
        (matroska(b"matroska", 2), "audio/x-matroska", "mka"),
    ],
)
def test_what_a_film_holds_tells_whether_it_is_one(
    looked_at: Path, content: bytes, media_type: str, extension: str
) -> None:
    looked_at.write_bytes(content)
    found = identify(looked_at)
    assert (found.media_type, found.extension, found.checked) == (media_type, extension, "container")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n \n",
        bytes(4000),
        b"null",
        b"<!DOCTYPE html><html><body>denied</body></html>",
        b"\xef\xbb\xbf<html>",
        b"<head><title>502</title></head>",
        b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>',
        b"<ErrorResponse><Error/></ErrorResponse>",
        b'<s:Fault xmlns:s="x"/>',
        b'{"error": "expired"}',
        b'{"errors": [{"code": 7}]}',
        b'{"error_code": 404001, "error_message": "gone"}',
        b'{"detail": "Not Found"}',
        b'{"statusCode": 403, "message": "Signature does not match"}',
        b"404 page not found\n",
        b"upstream connect error or disconnect/reset before headers. reset reason: overflow",
        b"Access denied",
        b"The link has expired.",
    ],
)
def test_nothing_and_pages_that_say_why_are_no_output(looked_at: Path, content: bytes) -> None:
    with pytest.raises(Undecodable):
        seen(looked_at, content)


@pytest.mark.parametrize(
    "content",
    [
        picture()[:-200],
        picture("JPEG")[:-2],
        picture("JPEG")[:-500],
        picture("WEBP")[:-1],
        picture("GIF")[:-40],
        picture("AVIF")[:-100],
        picture("TIFF")[:-3000],
        picture("BMP")[:-100],
        sound()[:-1],
        streamed_wav(16_000),  # states more than there is, and is no stream
        film()[:-1],
        film()[: film().index(b"moov") - 4],
        heif(b"heic")[:-1],
        heif(b"avif")[:-1],
        box(b"ftyp", b"heic", bytes(4)),
        matroska(b"webm", 1)[:-1],
        glb()[:-1],
        SVG[:-3],
        mp4(b"vide")[: -len(bytes(500))],
    ],
)
def test_a_file_that_ends_before_it_says_is_no_output(looked_at: Path, content: bytes) -> None:
    with pytest.raises(Undecodable, match=r"cut off|truncated"):
        seen(looked_at, content)


def test_a_damaged_file_may_be_the_output_and_is_told_of_without_a_path(looked_at: Path) -> None:
    damaged = bytearray(picture())
    damaged[len(damaged) // 2] ^= 0xFF
    found = seen(looked_at, bytes(damaged))
    assert (found.media_type, found.checked) == ("image/png", "signature")
    assert "cannot be decoded" in found.doubt
    assert str(looked_at.parent) not in found.doubt
    assert "0x" not in found.doubt


def test_a_path_on_stdin_is_answered_with_what_the_file_is(looked_at: Path) -> None:
    looked_at.write_bytes(SVG)
    asked = f"{json.dumps(str(looked_at))}\n{json.dumps(str(looked_at) + '.absent')}\n"
    ended = subprocess.run(
        [sys.executable, "-m", "batchgen.collector.verify"], input=asked, capture_output=True, text=True, check=True
    )
    there, absent = map(json.loads, ended.stdout.splitlines())
    assert there["verified"]["media_type"] == "image/svg+xml"
    assert "failed" in absent
