"""Films and sounds, played to their end: the extra `video`."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchgen.collector.verify import Verified, verify
from tests.collector.media import sound
from tests.verify.files import saved

av: Any = pytest.importorskip("av", reason="needs the Python package av (the extra `video`)")


def noise(width: int, height: int, seed: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(width * height * 3))


def film(kind: str, *tracks: list[Image.Image], codec: str = "mpeg4") -> bytes:
    """A film with a track for each list of frames."""
    content = io.BytesIO()
    with av.open(content, "w", format=kind) as media:
        streams = []
        for frames in tracks:
            stream = media.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = *frames[0].size, "yuv420p"
            streams.append(stream)
        for stream, frames in zip(streams, tracks, strict=True):
            for frame in frames:
                media.mux(stream.encode(av.VideoFrame.from_image(frame)))
            media.mux(stream.encode())
    return content.getvalue()


def tune(kind: str, codec: str) -> bytes:
    """Some silence."""
    content = io.BytesIO()
    with av.open(content, "w", format=kind) as media:
        stream = media.add_stream(codec, rate=48_000)
        with av.open(io.BytesIO(sound())) as silence:
            resampler = av.AudioResampler(stream.format, stream.layout, 48_000)
            for frame in silence.decode(audio=0):
                for resampled in resampler.resample(frame):
                    media.mux(stream.encode(resampled))
        media.mux(stream.encode())
    return content.getvalue()


def with_cover(mp3: bytes, cover: bytes) -> bytes:
    """*mp3* with a picture to be shown while it is played, in a tag before it."""
    picture = b"\0image/png\0\3\0" + cover
    frame = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
    length = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + length + frame + mp3


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "output.part"


def seen(place: Path, content: bytes) -> Verified:
    place.write_bytes(content)
    return verify(place)


@pytest.mark.parametrize("kind", ["mp4", "mov", "matroska"])
def test_the_size_is_that_of_the_first_film(place: Path, kind: str) -> None:
    frames = [noise(96, 64, n) for n in range(3)]
    found = seen(place, film(kind, frames, [noise(48, 32, n) for n in range(3)]))
    assert (found.checked, found.width, found.height, found.blank) == ("decoded", 96, 64, False)


def test_a_film_of_one_colour_is_blank_and_one_that_shows_something_in_the_end_is_not(place: Path) -> None:
    black = [Image.new("RGB", (96, 64))] * 5
    assert seen(place, film("mp4", black)).blank
    assert not seen(place, film("mp4", [*black, noise(96, 64, 1)])).blank


@pytest.mark.parametrize(
    ("kind", "codec", "media_type"), [("mp4", "aac", "audio/mp4"), ("webm", "libopus", "audio/webm")]
)
def test_sound_alone_is_sound(place: Path, kind: str, codec: str, media_type: str) -> None:
    found = seen(place, tune(kind, codec))
    assert (found.media_type, found.checked, found.width, found.blank) == (media_type, "decoded", None, False)


def test_a_cover_is_no_size(place: Path) -> None:
    content = with_cover(tune("mp3", "libmp3lame"), saved(noise(64, 64, 1), "PNG"))
    with av.open(io.BytesIO(content)) as media:
        assert [stream.type for stream in media.streams] == ["audio", "video"]
    found = seen(place, content)
    assert (found.media_type, found.checked, found.width, found.height) == ("audio/mpeg", "decoded", None, None)


def test_a_film_whose_frames_are_larger_than_may_be_decoded_is_checked_by_its_container(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchgen.core.pictures.MOST_FILM_PIXELS", 96 * 64 - 1)
    found = seen(place, film("mp4", [noise(96, 64, 1)]))
    assert (found.checked, found.doubt) == ("container", "")
