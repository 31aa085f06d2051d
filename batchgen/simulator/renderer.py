"""Draws an output from the request itself: its pictures, its words, its seed. No clock and no chance."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps, PngImagePlugin

from batchgen.simulator.motion import mp4
from batchgen.simulator.pictures import Input, inputs
from batchgen.simulator.scenery import MOODS, SCENES, scene
from batchgen.simulator.sizes import requested_s, requested_size
from batchgen.simulator.sound import melody
from batchgen.simulator.treatments import mentions, styled, treated

MARK = "REHEARSAL - not a real generation"
WORKING_PIXELS = 1_600_000
PROMPT_FIELDS = ("prompt", "text", "tags", "lyrics")
LARGEST_FRAME = 640
FRAMES, FRAMES_PER_S = 24, 12

SCENE_WORDS = (
    ("city", ("city", "street", "skyline", "tokyo", "new york", "building", "urban", "cyberpunk", "neon")),
    ("sea", ("sea", "ocean", "beach", "coast", "ship", "boat", "wave", "island", "lighthouse", "harbour")),
    ("lake", ("lake", "river", "reflection", "fjord", "pond", "water")),
    ("dunes", ("dune", "desert", "sand", "sahara", "mars")),
    ("forest", ("forest", "wood", "tree", "jungle", "fir", "fox", "deer")),
    ("mountains", ("mountain", "hill", "alps", "valley", "peak", "landscape", "castle")),
    ("abstract", ("abstract", "pattern", "texture", "logo", "product", "bottle", "portrait", "fluid")),
)
MOOD_WORDS = (
    ("aurora", ("aurora", "northern light")),
    ("night", ("night", "moon", "midnight", "star", "starry", "dark", "neon", "cyberpunk")),
    ("sunset", ("sunset", "dusk", "golden hour", "evening")),
    ("dawn", ("dawn", "sunrise", "morning", "mist", "fog", "foggy")),
    ("winter", ("winter", "snow", "ice", "frost")),
    ("autumn", ("autumn", "october", "harvest")),
    ("spring", ("spring", "blossom", "flower", "garden")),
    ("desert", ("desert", "dune", "sand")),
    ("day", ("day", "noon", "summer", "blue sky")),
)


@dataclass(frozen=True)
class Order:
    """One output to draw: which of the request's outputs, and as which media type."""

    model_id: str
    submitted: Mapping[str, Any]
    properties: Mapping[str, Any]
    index: int
    media_type: str

    @cached_property
    def series_seed(self) -> int:
        """What all outputs of the request share: everything it says."""
        return _hash(self.model_id, self.submitted)

    @cached_property
    def seed(self) -> int:
        """What this output hangs on: the request, and which of its outputs it is."""
        return _hash(self.series_seed, self.index)

    @property
    def prompt(self) -> str:
        return next((str(self.submitted[name]) for name in PROMPT_FIELDS if self.submitted.get(name)), "")

    @property
    def shown_seed(self) -> str:
        return str(self.submitted.get("seed", "none"))


def _hash(*about: Any) -> int:
    text = json.dumps(about, sort_keys=True, ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def drawn(order: Order) -> bytes:
    """The file of *order*: a picture of exactly the size asked for, a short MP4, or a WAV."""
    if order.media_type == "audio/wav":
        return melody(order.seed, requested_s(order.submitted, order.properties), MARK)
    if order.media_type == "video/mp4":
        return _film(order)
    size = requested_size(order.submitted, order.properties)
    return _encoded(_captioned(_picture(order, *size), order), order)


def _picture(order: Order, width: int, height: int) -> Image.Image:
    given = list(inputs(order.submitted, order.properties))
    rng = np.random.default_rng(order.seed)
    shrink = min(1.0, (WORKING_PIXELS / (width * height)) ** 0.5)
    size = (max(8, round(width * shrink)), max(8, round(height * shrink)))
    shown = [one for one in given if one.picture is not None]
    if shown:
        first = shown[(order.index // 4) % len(shown)]
        image = treated(_framed(first, size, order.index, rng), order.prompt, rng)
    else:
        first = None
        image = styled(_scenery(order, *size), order.prompt, rng)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return _with_labels(_with_prints(image, [one for one in shown if one is not first]), given)


def _scenery(order: Order, width: int, height: int) -> Image.Image:
    """A place that the prompt names, or else one that all outputs of the request have in common."""
    series = np.random.default_rng(order.series_seed)
    by_chance = SCENES[int(series.integers(len(SCENES) - 1))], list(MOODS)[int(series.integers(len(MOODS)))]
    kind = next((kind for kind, names in SCENE_WORDS if mentions(order.prompt, names)), by_chance[0])
    mood = next((mood for mood, names in MOOD_WORDS if mentions(order.prompt, names)), by_chance[1])
    return scene(width, height, order.seed, kind, MOODS[mood])


def _framed(one: Input, size: tuple[int, int], index: int, rng: np.random.Generator) -> Image.Image:
    """The input filling *size*; each further output of a request looks closer, and elsewhere."""
    assert one.picture is not None
    closer = 1.0 + 0.22 * (index % 4) + float(rng.uniform(0, 0.06))
    picture = one.picture
    w, h = picture.size
    box_w, box_h = w / closer, h / closer
    left, top = (w - box_w) * float(rng.uniform(0.25, 0.75)), (h - box_h) * float(rng.uniform(0.2, 0.6))
    cropped = picture.crop((round(left), round(top), max(1, round(left + box_w)), max(1, round(top + box_h))))
    return ImageOps.fit(cropped, size, Image.Resampling.LANCZOS, centering=(0.5, 0.42))


def _with_prints(image: Image.Image, others: list[Input]) -> Image.Image:
    """Further input pictures as small prints with a white border and a shadow, along the right side."""
    side = max(24, min(image.size) // 5)
    margin = side // 5
    for place, one in enumerate(others[:3]):
        assert one.picture is not None
        photo = ImageOps.fit(one.picture, (side, side), Image.Resampling.LANCZOS)
        framed = ImageOps.expand(photo, border=max(2, side // 18), fill=(250, 248, 242)).convert("RGBA")
        turned = framed.rotate(6 - 5 * place, expand=True, resample=Image.Resampling.BICUBIC)
        x = image.width - turned.width - margin
        y = margin + place * (side + margin)
        if y + turned.height > image.height * 0.9:
            break
        shade = Image.new("RGBA", turned.size, (0, 0, 0, 130))
        soft = turned.getchannel("A").filter(ImageFilter.GaussianBlur(margin / 3))
        image.paste(shade, (x + margin // 5, y + margin // 4), ImageOps.scale(soft, 1.0).point(lambda a: a * 0.55))
        image.paste(turned, (x, y), turned)
    return image


def _plain(text: str) -> str:
    """*text* in one line, in the letters the built-in font has."""
    return "".join(letter for letter in " ".join(text.split()) if " " <= letter <= "ſ").strip()


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "...") > room:
        text = text[: -max(1, len(text) // 12)]
    return text.rstrip() + "..." if text else ""


def _with_labels(image: Image.Image, given: list[Input]) -> Image.Image:
    """Name the inputs that could not be shown, in the upper left corner."""
    missing = [_plain(one.name) for one in given if one.picture is None]
    if not missing:
        return image
    size = max(9, round(min(image.size) * 0.02))
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(image, "RGBA")
    for line, name in enumerate(missing[:6]):
        text = _fitting(f"input not fetched: {name}", font, image.width * 0.7)
        x, y = size, size + line * round(size * 2.1)
        box = (x, y, x + font.getlength(text) + size * 1.4, y + size * 1.75)
        draw.rounded_rectangle(box, radius=size * 0.6, fill=(12, 14, 24, 150))
        draw.text((x + size * 0.7, y + size * 0.3), text, font=font, fill=(255, 255, 255, 225))
    return image


def _captioned(image: Image.Image, order: Order) -> Image.Image:
    """A dark strip along the bottom that says what this is, and of what."""
    w, h = image.size
    size = max(8, round(min(w, h) * 0.024))
    strip = round(size * 2.2)
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(image, "RGBA")
    draw.rectangle((0, h - strip, w, h), fill=(10, 12, 20, 168))
    draw.line((0, h - strip, w, h - strip), fill=(255, 255, 255, 60))
    y = h - strip + size * 0.5
    head = _fitting(MARK, font, w - 2 * size)
    draw.text((size, y), head, font=font, fill=(255, 214, 120, 255))
    x = size + font.getlength(head + "   ")
    rest = _fitting(f"seed {order.shown_seed}   #{order.index + 1}   {_plain(order.prompt)}", font, w - x - size)
    draw.text((x, y), rest, font=font, fill=(255, 255, 255, 220))
    return image


def _encoded(image: Image.Image, order: Order) -> bytes:
    """*image* as the file type asked for, saying in its metadata what it is."""
    notes = {"Comment": MARK, "Model": order.model_id, "Seed": order.shown_seed, "Prompt": order.prompt[:2000]}
    file = io.BytesIO()
    if order.media_type == "image/png":
        png = PngImagePlugin.PngInfo()
        for name, text in {**notes, "Software": "batchgen rehearsal"}.items():
            png.add_itxt(name, text) if name == "Prompt" else png.add_text(name, text)
        image.save(file, "PNG", pnginfo=png, compress_level=1)
        return file.getvalue()
    exif = Image.Exif()
    exif[0x010E] = MARK  # ImageDescription
    exif[0x0131] = "batchgen rehearsal"  # Software
    if order.media_type == "image/jpeg":
        image.save(file, "JPEG", quality=90, exif=exif, comment=json.dumps(notes).encode())
    else:
        image.save(file, "WEBP", quality=88, exif=exif, method=2)
    return file.getvalue()


def _film(order: Order) -> bytes:
    """Two seconds that move slowly into the picture, at most 640 pixels on a side."""
    width, height = requested_size(order.submitted, order.properties)
    shrink = min(1.0, LARGEST_FRAME / max(width, height))
    size = (max(16, round(width * shrink / 2) * 2), max(16, round(height * shrink / 2) * 2))
    still = _picture(order, size[0] * 2, size[1] * 2)
    frames = []
    for number in range(FRAMES):
        inset = 0.12 * number / FRAMES
        box = (
            still.width * inset / 2,
            still.height * inset / 2,
            still.width * (1 - inset / 2),
            still.height * (1 - inset / 2),
        )
        frame = _captioned(still.resize(size, Image.Resampling.BILINEAR, box=box), order)
        file = io.BytesIO()
        frame.save(file, "JPEG", quality=84)
        frames.append(file.getvalue())
    return mp4(frames, size, FRAMES_PER_S, f"{MARK} - {order.model_id} - output {order.index}")
