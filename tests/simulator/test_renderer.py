"""Drawn outputs: the exact size, the row's own pictures, the same on every day, marked as what they are."""

import base64
import io
import wave
from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image

from batchgen.simulator.catalog import Catalogue
from batchgen.simulator.renderer import MARK, Order, drawn
from tests.simulator.client import Start

CATALOGUE = Catalogue()
SEEDREAM = "bytedance/seedream-4-0/edit-sequential"
FLUX = "blackforestlabs/flux-2/flash/text-to-image"


def order(submitted: Mapping[str, Any], index: int = 0, media_type: str = "image/png", model_id: str = FLUX) -> Order:
    return Order(model_id, submitted, CATALOGUE.models[model_id].properties, index, media_type)


def inlined(colour: tuple[int, int, int]) -> str:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("size", ["square", "portrait_16_9", "landscape_4_3"])
def test_a_picture_has_exactly_the_size_asked_for(size: str) -> None:
    expected = {"square": (512, 512), "portrait_16_9": (576, 1024), "landscape_4_3": (1024, 768)}[size]
    assert Image.open(io.BytesIO(drawn(order({"prompt": "hills", "image_size": size})))).size == expected


def test_equal_requests_give_equal_bytes_and_other_seeds_and_indexes_do_not() -> None:
    small = {"prompt": "a lake", "seed": 1, "width": 120, "height": 80}
    assert drawn(order(small)) == drawn(order(small))
    others = {drawn(order({**small, "seed": 2})), drawn(order(small, index=1)), drawn(order({**small, "prompt": "x"}))}
    assert len(others | {drawn(order(small))}) == 4


@pytest.mark.parametrize(
    ("prompt"),
    [
        "watercolour",
        "oil painting",
        "pencil sketch",
        "neon",
        "monochrome",
        "vintage",
        "duotone",
        "night",
        "sunset",
        "snow",
    ],
)
def test_every_treatment_works_at_every_size(prompt: str) -> None:
    for width, height in ((16, 16), (333, 77)):
        submitted = {"images": [inlined((200, 80, 40))] * 3, "text": prompt, "width": width, "height": height}
        picture = Image.open(io.BytesIO(drawn(order(submitted, model_id=SEEDREAM))))
        assert picture.size == (width, height)


def test_the_picture_is_made_from_the_rows_own_input() -> None:
    def mean(colour: tuple[int, int, int]) -> tuple[float, float, float]:
        submitted = {"images": [inlined(colour)], "text": "spring", "width": 200, "height": 200}
        picture = Image.open(io.BytesIO(drawn(order(submitted, model_id=SEEDREAM)))).convert("RGB")
        pixel = picture.crop((40, 40, 160, 160)).resize((1, 1)).getpixel((0, 0))
        assert isinstance(pixel, tuple)
        return pixel[0], pixel[1], pixel[2]

    red, blue = mean((220, 30, 30)), mean((30, 30, 220))
    assert red[0] > red[2]
    assert blue[2] > blue[0]


@pytest.mark.parametrize("uri", ["data:image/png;base64,AAAA", "data:nonsense", "https://example.com/a.png", "ftp://x"])
def test_an_input_that_cannot_be_shown_still_gives_a_picture(uri: str) -> None:
    submitted = {"images": [uri], "text": "你好 a dune", "width": 200, "height": 120}
    assert Image.open(io.BytesIO(drawn(order(submitted, model_id=SEEDREAM)))).size == (200, 120)


def test_every_picture_says_in_its_metadata_that_it_is_no_real_generation() -> None:
    submitted = {"prompt": "a lake", "seed": 5, "width": 64, "height": 64}
    png = Image.open(io.BytesIO(drawn(order(submitted))))
    assert (png.info["Comment"], png.info["Seed"], png.info["Prompt"]) == (MARK, "5", "a lake")
    for media_type in ("image/jpeg", "image/webp"):
        picture = Image.open(io.BytesIO(drawn(order(submitted, media_type=media_type))))
        assert picture.get_format_mimetype() == media_type
        assert picture.getexif()[0x010E] == MARK


def test_the_strip_at_the_foot_is_darker_than_the_picture_and_carries_light_letters() -> None:
    picture = Image.open(io.BytesIO(drawn(order({"prompt": "sea, day", "width": 800, "height": 600})))).convert("L")
    strip = picture.crop((0, 600 - 28, 800, 600))
    lowest, highest = strip.getextrema()
    assert isinstance(lowest, int | float)
    assert isinstance(highest, int | float)
    assert lowest < 110
    assert highest > 180


def test_a_film_is_an_mp4_whose_frames_lie_where_its_index_says() -> None:
    film = drawn(order({"prompt": "a lake", "width": 64, "height": 36}, media_type="video/mp4"))
    assert film[4:12] == b"ftypisom"
    at = film.index(b"stco") + 12
    first = int.from_bytes(film[at : at + 4], "big")
    at = film.index(b"stsz") + 12
    size = int.from_bytes(film[at + 4 : at + 8], "big")
    frame = Image.open(io.BytesIO(film[first : first + size]))
    frame.load()
    assert (frame.format, frame.size) == ("JPEG", (64, 36))


def test_a_tune_is_a_wav_of_the_length_asked_for() -> None:
    with wave.open(io.BytesIO(drawn(order({"tags": "jazz", "duration": 2}, media_type="audio/wav")))) as tune:
        assert tune.getnframes() / tune.getframerate() == 2


async def test_a_drawn_output_is_served_with_the_sum_the_ledger_has_and_inputs_on_loopback_are_used(
    start: Start,
) -> None:
    client = await start(draw="full")
    source = (await client.links(await client.accepted(image_size="2048:2048 (1:1)")))[0]
    body = {"prompt": "snow", "image_urls": [source], "aspect_ratio": "1:1", "output_format": "jpeg"}
    accepted = await client.api("POST", "/v1/models/qwen/qwen-image-2.1/edit", json=body)
    link = (await client.result(accepted.json["request_id"])).json["output"]["image"]
    file = await client.download(link)
    assert (link[-4:], file.headers["Content-Type"]) == (".jpg", "image/jpeg")
    assert Image.open(io.BytesIO(file.body)).size == (1024, 1024)
    output = (await client.ledger())["charged"][1]["outputs"][0]
    assert (output["bytes"], output["media_type"]) == (len(file.body), "image/jpeg")
    assert file.headers["ETag"]
