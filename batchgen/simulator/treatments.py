"""What is done to an input picture: real edits that a prompt can name, and a seed can choose."""

import re
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from batchgen.simulator.scenery import Colour, Plane, fractal

Treatment = Callable[[Image.Image, np.random.Generator], Image.Image]


def _plane(image: Image.Image) -> Plane:
    return np.asarray(image, np.float32)


def _image(plane: Plane) -> Image.Image:
    return Image.fromarray(np.clip(plane, 0, 255).astype(np.uint8), "RGB")


def _toned(image: Image.Image, shadows: Colour, middle: Colour, lights: Colour, strength: float) -> Image.Image:
    """*image* drawn towards three colours by its brightness."""
    tones = ImageOps.colorize(ImageOps.grayscale(image), shadows, lights, middle)
    return Image.blend(image, tones, strength)


def _vignette(image: Image.Image, strength: float) -> Image.Image:
    w, h = image.size
    x = np.linspace(-1, 1, w, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    return _image(_plane(image) * (1 - strength * np.clip((x * x + y * y) / 2, 0, 1) ** 1.4)[..., None])


def _glow(image: Image.Image, strength: float) -> Image.Image:
    """Light that spills over its edges."""
    soft = image.filter(ImageFilter.GaussianBlur(max(image.size) / 60))
    return Image.blend(image, ImageChops.screen(image, soft), strength)


def night(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    cold = _toned(ImageEnhance.Color(image).enhance(0.55), (4, 8, 28), (38, 58, 118), (196, 212, 255), 0.72)
    dark = ImageEnhance.Brightness(cold).enhance(0.72)
    return _vignette(_glow(dark, 0.45), 0.55)


def sunset(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    warm = _plane(_toned(image, (40, 18, 56), (214, 104, 84), (255, 232, 178), 0.5))
    h, w = warm.shape[:2]
    x = np.arange(w, dtype=np.float32)[None, :] / w - float(rng.uniform(0.15, 0.85))
    y = np.arange(h, dtype=np.float32)[:, None] / h - 0.18
    light = np.exp(-(x * x * 2.2 + y * y * 3.0) / 0.16)[..., None]
    return _vignette(_image(warm + light * np.asarray((120, 74, 20), np.float32)), 0.35)


def snow(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    pale = _toned(ImageEnhance.Color(image).enhance(0.4), (50, 70, 104), (164, 184, 208), (255, 255, 255), 0.55)
    plane = _plane(ImageEnhance.Brightness(pale).enhance(1.1))
    w, h = image.size
    for size, share in ((1, 0.0014), (2, 0.0006), (4, 0.00012)):
        step = max(1, round(size * max(w, h) / 1400))
        flakes = (rng.random((h // step + 1, w // step + 1)) < share * step * step).astype(np.uint8) * 255
        layer = Image.fromarray(flakes, "L").resize((w, h), Image.Resampling.NEAREST)
        soft = np.asarray(layer.filter(ImageFilter.GaussianBlur(step * 0.6)), np.float32) / 255
        plane = plane + (255 - plane) * (soft * 0.95)[..., None]
    return _image(plane)


def autumn(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    warm = _toned(image, (48, 22, 20), (206, 118, 52), (255, 238, 200), 0.42)
    return _vignette(ImageEnhance.Color(warm).enhance(1.25), 0.3)


def spring(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    fresh = _toned(image, (24, 66, 62), (140, 190, 128), (255, 244, 240), 0.34)
    return _glow(ImageEnhance.Color(ImageEnhance.Brightness(fresh).enhance(1.05)).enhance(1.2), 0.3)


def _paper(w: int, h: int, rng: np.random.Generator) -> Plane:
    return 1 - 0.1 * fractal(rng, w, h, 220, 2)


def watercolour(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Flat washes with darker rims where the pigment dried, on rough paper, white at the borders."""
    w, h = image.size
    small = image.resize((max(8, w // 3), max(8, h // 3)), Image.Resampling.LANCZOS)
    washed = small.filter(ImageFilter.MedianFilter(7)).filter(ImageFilter.MedianFilter(5))
    washed = ImageEnhance.Color(washed.resize((w, h), Image.Resampling.BICUBIC)).enhance(1.45)
    edges = ImageOps.grayscale(washed).filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(1.5))
    rims = np.asarray(edges, np.float32) / 255
    bleed = 0.82 + 0.36 * (fractal(rng, w, h, 6, 4) - 0.5)
    wash = 255 - (255 - _plane(washed)) * bleed[..., None] * (1 + 2.2 * rims[..., None])
    x = np.minimum(np.arange(w), np.arange(w)[::-1])[None, :] / w
    y = np.minimum(np.arange(h), np.arange(h)[::-1])[:, None] / h
    edge = np.clip((np.minimum(x, y) - 0.035 + 0.06 * (fractal(rng, w, h, 14, 4) - 0.5)) * 40, 0, 1)
    painted = 252 + (wash - 252) * edge[..., None].astype(np.float32)
    return _image(painted * _paper(w, h, rng)[..., None])


def oil(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Short thick strokes that catch the light."""
    w, h = image.size
    small = image.resize((max(8, w // 3), max(8, h // 3)), Image.Resampling.LANCZOS)
    daubs = small.filter(ImageFilter.MedianFilter(7)).resize((w, h), Image.Resampling.BICUBIC)
    bend = max(w, h) / 90
    x = np.clip(np.arange(w)[None, :] + (fractal(rng, w, h, 60, 2) - 0.5) * bend * 2, 0, w - 1).astype(int)
    y = np.clip(np.arange(h)[:, None] + (fractal(rng, w, h, 60, 2) - 0.5) * bend * 2, 0, h - 1).astype(int)
    strokes = _plane(ImageEnhance.Color(daubs).enhance(1.4))[y, x]
    bristles = fractal(rng, w, h, 60, 2, stretch=2.5) + strokes.mean(axis=2) / 255
    relief = np.gradient(bristles, axis=0) + np.gradient(bristles, axis=1)
    return _image(strokes * (1 + np.clip(relief * 1.6, -0.12, 0.14))[..., None])


def sketch(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Pencil on warm paper."""
    w, h = image.size
    grey = ImageOps.autocontrast(ImageOps.grayscale(image), cutoff=1)
    soft = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(max(w, h) / 160))
    lines = np.asarray(grey, np.float32) / np.maximum(1, 255 - np.asarray(soft, np.float32))
    tone = np.clip(lines, 0, 1) ** 2.2 * (0.72 + 0.28 * np.asarray(grey, np.float32) / 255)
    tone = 1 - (1 - tone) * (0.75 + 0.5 * fractal(rng, w, h, 260, 1))
    ink, paper = np.asarray((52, 50, 58), np.float32), np.asarray((250, 245, 234), np.float32)
    return _image((ink + (paper - ink) * np.clip(tone, 0, 1)[..., None]) * _paper(w, h, rng)[..., None])


def vintage(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    faded = _toned(ImageEnhance.Color(image).enhance(0.6), (52, 38, 36), (172, 134, 92), (248, 232, 196), 0.5)
    grain = rng.normal(0, 7, (image.height, image.width, 1)).astype(np.float32)
    return _vignette(_image(_plane(faded) + grain), 0.5)


def monochrome(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    grey = ImageOps.autocontrast(ImageOps.grayscale(image), cutoff=1)
    return _vignette(ImageEnhance.Contrast(grey).enhance(1.12).convert("RGB"), 0.35)


DUOTONES: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((30, 20, 80), (220, 60, 120), (255, 220, 150)),
    ((8, 40, 70), (20, 140, 150), (246, 236, 190)),
    ((44, 10, 60), (90, 90, 220), (160, 250, 230)),
    ((20, 40, 30), (210, 120, 60), (255, 240, 220)),
)


def duotone(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _toned(ImageOps.autocontrast(image, cutoff=1), *DUOTONES[int(rng.integers(len(DUOTONES)))], 0.94)


def neon(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Edges that glow in two colours over a dark picture."""
    base = ImageEnhance.Brightness(_toned(image, (8, 4, 30), (60, 20, 110), (120, 190, 255), 0.8)).enhance(0.62)
    edges = ImageOps.grayscale(image).filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(2))
    shine = np.clip(np.asarray(edges, np.float32) * 2.4 / 255, 0, 1)[..., None]
    side = np.linspace(0, 1, image.width, dtype=np.float32)[None, :, None]
    colour = np.asarray((255, 40, 170), np.float32) * (1 - side) + np.asarray((40, 220, 255), np.float32) * side
    return _glow(_image(_plane(base) + shine * colour * 1.4), 0.5)


# Words of a prompt -> what they ask for; the first that occurs wins.
STYLES: tuple[tuple[tuple[str, ...], Treatment], ...] = (
    (("watercolor", "watercolour", "aquarelle"), watercolour),
    (("oil", "van gogh", "impasto", "impressionist", "painting"), oil),
    (("sketch", "pencil", "charcoal", "line art", "drawing", "ink"), sketch),
    (("cyberpunk", "neon", "synthwave"), neon),
    (("black and white", "monochrome", "noir"), monochrome),
    (("vintage", "retro", "film", "sepia", "polaroid", "analog"), vintage),
    (("duotone", "pop art", "poster", "risograph"), duotone),
)
HOURS: tuple[tuple[tuple[str, ...], Treatment], ...] = (
    (("night", "moon", "midnight", "starry"), night),
    (("sunset", "golden hour", "dusk", "sunrise", "dawn", "evening"), sunset),
    (("snow", "winter", "frost", "ice"), snow),
    (("autumn", "fall colors", "fall colours", "october"), autumn),
    (("spring", "blossom", "garden", "summer"), spring),
)
CHOSEN_BY_SEED = (sunset, autumn, watercolour, duotone, vintage, spring, oil, night)


def mentions(prompt: str, names: tuple[str, ...]) -> bool:
    """Whether *prompt* has one of *names* as words of its own: `watercolour` is no water, `snowy` is snow."""
    return re.search(rf"\b(?:{'|'.join(names)})(?:s|y|ed)?\b", prompt, re.IGNORECASE) is not None


def styled(image: Image.Image, prompt: str, rng: np.random.Generator) -> Image.Image:
    """*image* in the style that *prompt* names; as it is if it names none."""
    treat = next((treat for names, treat in STYLES if mentions(prompt, names)), None)
    return treat(image, rng) if treat else image


def treated(image: Image.Image, prompt: str, rng: np.random.Generator) -> Image.Image:
    """*image* as *prompt* wants it, or as the seed does if no word of it is known."""
    treat = next((treat for names, treat in (*STYLES, *HOURS) if mentions(prompt, names)), None)
    return (treat or CHOSEN_BY_SEED[int(rng.integers(len(CHOSEN_BY_SEED)))])(image, rng)
