"""Pictures are decoded within bounds, and measured by one rule: as their first frame is shown."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from batchgen.collector.verify import verify
from batchgen.core import pictures
from tests.collector.media import animation_bomb, picture, picture_bomb
from tests.verify.files import canvas, saved

NOISE = Image.frombytes("RGB", (64, 48), random.Random(3).randbytes(64 * 48 * 3))
BLACK = Image.new("RGB", (64, 48))


@pytest.mark.parametrize(
    "content",
    [picture_bomb(12_000, 12_000), canvas(6_000, 6_000), canvas(16_383, 16_383), animation_bomb()],
    ids=["a PNG of 144 megapixels", "a WebP of 36 megapixels", "the largest WebP", "a GIF of 300 megapixels a frame"],
)
def test_what_says_it_is_larger_than_may_be_decoded_is_not(content: bytes) -> None:
    with pytest.raises(pictures.TooLarge):
        pictures.decode(io.BytesIO(content))


def test_no_memory_is_taken_for_a_canvas_before_its_size_is_judged(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(canvas(16_383, 16_383))
    code = (  # VmHWM, since the peak of getrusage begins with what the parent process held
        "import sys\nfrom pathlib import Path\nfrom batchgen.collector.verify import verify\n"
        "verify(Path(sys.argv[1]))\n"
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM:')))"
    )
    if sys.platform != "linux":
        pytest.skip("memory is counted in other units there")
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True, check=True
    )
    assert int(ended.stdout) < 200_000  # kilobytes


def test_all_frames_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.frombytes("RGB", (64, 48), random.Random(n).randbytes(64 * 48 * 3)) for n in range(5)]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        film = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        monkeypatch.setattr(pictures, "_MOST_PIXELS_OF_ALL_FRAMES", 5 * 64 * 48)
        assert pictures.decode(io.BytesIO(film)).width == 64
        monkeypatch.setattr(pictures, "_MOST_PIXELS_OF_ALL_FRAMES", 5 * 64 * 48 - 1)
        with pytest.raises(pictures.TooLarge):
            pictures.decode(io.BytesIO(film))


def test_a_later_page_is_bounded_by_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = saved(NOISE, "TIFF", save_all=True, append_images=[Image.new("RGB", (640, 480))])
    monkeypatch.setattr(pictures, "_MOST_MEMORY_BYTES", 4 * 64 * 48)
    with pytest.raises(pictures.TooLarge):
        pictures.decode(io.BytesIO(pages))


def test_what_is_judged_too_large_is_judged_at_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(picture_bomb())
    began = time.process_time()
    assert verify(tmp_path / "a").checked == "container"
    assert time.process_time() - began < 5


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(("orientation", "size"), [(1, (64, 48)), (3, (64, 48)), (6, (48, 64)), (8, (48, 64))])
def test_the_size_is_that_of_the_picture_as_it_is_shown(kind: str, orientation: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    seen = pictures.decode(io.BytesIO(saved(NOISE, kind, exif=exif)))
    assert (seen.width, seen.height) == size


@pytest.mark.parametrize("kind", ["MPO", "TIFF"])
def test_of_several_pictures_the_first_is_measured(kind: str) -> None:
    smaller = NOISE.resize((16, 8))
    seen = pictures.decode(io.BytesIO(saved(NOISE, kind, save_all=True, append_images=[smaller])))
    assert (seen.width, seen.height) == (64, 48)


@pytest.mark.parametrize(
    ("content", "blank"),
    [
        (saved(BLACK, "PNG"), True),
        (saved(BLACK, "JPEG"), True),
        (saved(BLACK, "WEBP"), True),
        (saved(Image.new("RGB", (64, 48), (128, 130, 9)), "JPEG"), True),
        (saved(Image.new("P", (64, 48), 7), "GIF"), True),
        (saved(Image.new("I;16", (64, 48), 700), "PNG"), True),
        (saved(Image.new("F", (64, 48), 0.5), "TIFF"), True),
        (saved(Image.new("1", (64, 48)), "PNG"), True),
        (saved(Image.merge("RGBA", (*NOISE.split(), Image.new("L", (64, 48)))), "PNG"), True),
        (saved(Image.merge("RGBA", (*BLACK.split(), NOISE.split()[0])), "PNG"), False),
        (saved(NOISE, "PNG"), False),
        (saved(NOISE.convert("1"), "PNG"), False),
        (saved(NOISE.convert("I"), "TIFF"), False),
        (saved(BLACK, "GIF", save_all=True, append_images=[NOISE]), False),
        (saved(BLACK, "WEBP", save_all=True, append_images=[NOISE], lossless=True), False),
    ],
)
def test_a_picture_of_one_colour_is_blank(content: bytes, blank: bool) -> None:
    assert pictures.decode(io.BytesIO(content)).blank is blank


def test_one_pixel_that_differs_is_something_to_see() -> None:
    nearly = BLACK.copy()
    nearly.putpixel((5, 5), (0, 3, 0))
    assert not pictures.decode(io.BytesIO(saved(nearly, "PNG"))).blank


def test_what_the_decoder_says_of_a_file_is_not_handed_on() -> None:
    for content in (b"", b"nothing", picture()[:20]):
        with pytest.raises((pictures.Damaged, pictures.CutOff)) as caught:
            pictures.decode(io.BytesIO(content))
        assert "0x" not in str(caught.value)


# ── as they are shown ───────────────────────────────────────────────────────────────────────────────────


def shown(content: bytes, side: int = 64) -> Image.Image:
    small = pictures.as_shown(io.BytesIO(content), side)
    assert small.mode == "RGB"
    return small


def grey(small: Image.Image, place: tuple[int, int]) -> float:
    value = small.convert("L").getpixel(place)
    assert not isinstance(value, tuple)
    assert value is not None
    return value


def ramp(mode: str, highest: float) -> Image.Image:
    """Dark on the left, light on the right."""
    values = Image.new("F", (64, 8))
    values.putdata([x / 63 * highest for _ in range(8) for x in range(64)])
    return values if mode == "F" else values.convert("I") if mode == "I" else values.convert("I").convert(mode)


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (ramp("I;16", 65535), "PNG"),
        (ramp("I;16", 65535), "TIFF"),
        (ramp("I", 65535), "TIFF"),
        (ramp("I", 1_000_000), "TIFF"),
        (ramp("F", 1.0), "TIFF"),
        (ramp("F", 400.0), "TIFF"),
    ],
)
def test_deep_pictures_are_scaled_from_black_to_white(picture: Image.Image, kind: str) -> None:
    small = shown(saved(picture, kind))
    assert grey(small, (0, 4)) < 10
    assert 110 < grey(small, (32, 4)) < 146
    assert grey(small, (63, 4)) > 245


def test_sixteen_bits_that_are_dark_are_shown_dark() -> None:
    assert grey(shown(saved(ramp("I;16", 6553), "PNG")), (63, 4)) == pytest.approx(25, abs=2)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white_whatever_colour_is_hidden_there(mode: str) -> None:
    clear = Image.new("RGBA", (64, 48), (200, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 32, 48))
    small = shown(saved(clear.convert(mode), "PNG"))
    assert small.getpixel((60, 24)) == (255, 255, 255)
    assert grey(small, (4, 24)) < 10


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_picture_is_turned_as_it_asks_for(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # its right side is what was the top
    halves = Image.new("RGB", (64, 48), "white")
    halves.paste("black", (0, 0, 64, 24))
    small = shown(saved(halves, kind, exif=exif))
    assert small.size == (48, 64)
    assert grey(small, (44, 32)) < 30
    assert grey(small, (4, 32)) > 225


def test_colours_of_another_space_are_brought_into_that_of_screens() -> None:
    from PIL import ImageCms

    screens = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # A space in which what is called red looks green, and the other way round.
    swapped = screens.replace(b"rXYZ", b"?XYZ").replace(b"gXYZ", b"rXYZ").replace(b"?XYZ", b"gXYZ")
    for mode, alpha in (("RGB", ()), ("RGBA", (255,))):
        plain = Image.new(mode, (64, 48), (60, 200, 60, *alpha))
        seen = [shown(saved(plain, "PNG", icc_profile=profile)) for profile in (None, screens, swapped, b"none")]
        red = [small.split()[0].getpixel((9, 9)) for small in seen]
        assert red == [60, 60, pytest.approx(200, abs=3), 60]


def test_a_picture_that_is_too_large_to_decode_is_not_shown_either() -> None:
    with pytest.raises(pictures.TooLarge):
        pictures.as_shown(io.BytesIO(canvas(16_383, 16_383)), 64)
