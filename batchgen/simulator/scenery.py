"""Landscapes and abstracts from nothing but a seed and a mood, in colours that go together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.floating[Any]]
Colour = tuple[int, int, int]
WORKING_PIXELS = 900_000  # painted at this size and enlarged: soft edges suit mist, and it stays under half a second


@dataclass(frozen=True)
class Mood:
    """Colours of one hour or season: the sky from top to horizon, the light, the ground from far to near."""

    sky: tuple[Colour, Colour, Colour]
    light: Colour
    far: Colour
    near: Colour
    stars: float = 0.0
    sun_height: float = 0.62


MOODS = {
    "sunset": Mood(
        ((38, 33, 92), (201, 78, 104), (255, 186, 110)), (255, 226, 166), (160, 84, 118), (28, 20, 48), 0.15, 0.86
    ),
    "dawn": Mood(
        ((92, 138, 190), (236, 180, 178), (255, 226, 190)), (255, 242, 214), (150, 148, 182), (48, 62, 92), 0, 0.8
    ),
    "day": Mood(
        ((58, 128, 200), (128, 188, 228), (220, 236, 238)), (255, 252, 232), (126, 164, 190), (36, 84, 78), 0, 0.35
    ),
    "night": Mood(((6, 10, 34), (20, 34, 84), (62, 88, 144)), (226, 234, 255), (44, 62, 112), (6, 10, 24), 1.0, 0.32),
    "winter": Mood(
        ((104, 140, 180), (176, 200, 220), (236, 234, 236)), (255, 250, 240), (178, 194, 214), (84, 106, 136), 0, 0.55
    ),
    "autumn": Mood(
        ((118, 154, 176), (222, 196, 158), (246, 222, 178)), (255, 236, 190), (190, 130, 88), (92, 40, 26), 0, 0.6
    ),
    "spring": Mood(
        ((110, 176, 214), (190, 222, 222), (250, 238, 218)), (255, 250, 224), (150, 190, 160), (46, 96, 66), 0, 0.5
    ),
    "aurora": Mood(((4, 8, 26), (10, 40, 62), (32, 104, 104)), (200, 255, 220), (28, 66, 84), (3, 8, 18), 0.8, 0.3),
    "desert": Mood(
        ((40, 96, 150), (232, 172, 128), (255, 216, 160)), (255, 240, 200), (214, 138, 92), (122, 54, 38), 0, 0.68
    ),
}
SCENES = ("mountains", "lake", "sea", "dunes", "forest", "city", "abstract")


def scene(width: int, height: int, seed: int, kind: str, mood: Mood) -> Image.Image:
    """A picture of exactly *width* x *height*; equal arguments give equal pixels."""
    shrink = min(1.0, (WORKING_PIXELS / (width * height)) ** 0.5)
    w, h = max(8, round(width * shrink)), max(8, round(height * shrink))
    rng = np.random.default_rng(seed)
    pixels = _abstract(rng, w, h, mood) if kind == "abstract" else _landscape(rng, w, h, kind, mood)
    grain = rng.normal(0.0, 1.6, (h, w, 1)).astype(np.float32)  # hides the steps of wide gradients
    image = Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8), "RGB")
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.LANCZOS)


def _landscape(rng: np.random.Generator, w: int, h: int, kind: str, mood: Mood) -> Plane:
    sun = (float(rng.uniform(0.22, 0.78)), mood.sun_height + float(rng.uniform(-0.1, 0.05)))
    horizon = {"sea": 0.56, "lake": 0.62, "city": 0.68}.get(kind, 1.0)
    land_h = max(4, round(h * horizon))
    pixels = _sky(rng, w, land_h, mood, sun)
    if kind in ("mountains", "lake"):
        _ridges(rng, pixels, mood, layers=6, top=0.42 if kind == "mountains" else 0.56, rough=0.62)
    elif kind == "forest":
        _ridges(rng, pixels, mood, layers=5, top=0.5, rough=0.5, trees=True)
    elif kind == "dunes":
        _dunes(rng, pixels, mood)
    elif kind == "city":
        _skyline(rng, pixels, mood)
    else:
        _ridges(rng, pixels, mood, layers=2, top=0.94, rough=0.45, depth=0.05)
    return pixels if land_h >= h else _above_water(rng, pixels, h, mood, sun[0])


def _mix(a: Colour | Plane, b: Colour | Plane, t: float | Plane) -> Plane:
    first, second = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return np.asarray(first + (second - first) * t, np.float32)


def fractal(rng: np.random.Generator, w: int, h: int, cells: float, octaves: int, stretch: float = 1.0) -> Plane:
    """Smooth noise in [0, 1], *cells* bumps across the width, drawn out sideways by *stretch*."""
    total = np.zeros((h, w), np.float32)
    weight, sum_of_weights = 1.0, 0.0
    for _ in range(octaves):
        across, down = max(2, round(cells)), max(2, round(cells * stretch * h / w))
        grid = Image.fromarray(rng.random((min(down, h) + 1, min(across, w) + 1), np.float32))
        total += weight * np.asarray(grid.resize((w, h), Image.Resampling.BICUBIC))
        sum_of_weights += weight
        weight, cells = weight * 0.5, cells * 2
    return np.asarray(np.clip(total / sum_of_weights, 0, 1), np.float32)


def _sky(rng: np.random.Generator, w: int, h: int, mood: Mood, sun: tuple[float, float]) -> Plane:
    down = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    upper = _mix(mood.sky[0], mood.sky[1], np.clip(down / 0.55, 0, 1))
    pixels = np.repeat(_mix(upper, mood.sky[2], np.clip((down - 0.35) / 0.5, 0, 1) ** 1.3), w, axis=1)
    x = np.arange(w, dtype=np.float32)[None, :] - sun[0] * w
    y = np.arange(h, dtype=np.float32)[:, None] - sun[1] * h * 0.8
    away = np.sqrt(x * x + y * y) / max(w, h)
    if mood.stars:
        _stars(rng, pixels, mood.stars)
    if mood is MOODS["aurora"]:
        _aurora(rng, pixels)
    glow = 0.55 * np.exp(-((away / 0.16) ** 1.2)) + 0.25 * np.exp(-((away / 0.42) ** 2))
    pixels = _mix(pixels, mood.light, glow[..., None])
    clouds = np.clip((fractal(rng, w, h, 3, 5, stretch=3.2) - 0.52) * 3.2, 0, 1) * (1 - mood.stars * 0.7)
    lit = _mix(mood.sky[2], mood.light, np.clip(1.2 - away * 2.4, 0, 1)[..., None])
    pixels = _mix(pixels, lit, (clouds * 0.6)[..., None])
    radius = 0.034 if mood.stars < 0.5 else 0.026
    disc = np.clip((radius - away) * max(w, h) / 1.5, 0, 1)
    return _mix(pixels, _mix(mood.light, (255, 255, 255), 0.5), (disc * 0.95)[..., None])


def _stars(rng: np.random.Generator, pixels: Plane, share: float) -> None:
    h, w = pixels.shape[:2]
    count = int(w * h * 0.0007 * share)
    x, y = rng.integers(0, w, count), (rng.random(count) ** 1.4 * h * 0.75).astype(int)
    shine = (rng.random(count) ** 3 * 190 * share + 25).astype(np.float32)[:, None]
    pixels[y, x] = np.minimum(255, pixels[y, x] + shine)


def _aurora(rng: np.random.Generator, pixels: Plane) -> None:
    h, w = pixels.shape[:2]
    y = np.arange(h, dtype=np.float32)[:, None] / h
    for colour, base in (((70, 255, 170), 0.46), ((110, 160, 255), 0.36), ((210, 110, 230), 0.28)):
        foot = base + 0.16 * (fractal(rng, w, 2, 4, 3)[0] - 0.5)
        folds = 0.45 + 0.9 * fractal(rng, w, 2, 26, 2)[0] * fractal(rng, w, 2, 5, 2)[0]
        above = np.clip(foot[None, :] - y, 0, 1)
        curtain = np.exp(-above / 0.12) * (above > 0) * np.clip(above / 0.015, 0, 1) * folds[None, :]
        pixels += curtain[..., None] * np.asarray(colour, np.float32) * 0.75


def _ridge_line(rng: np.random.Generator, w: int, rough: float) -> Plane:
    """One line of heights around 0, within about 1, rougher with *rough*."""
    line = np.zeros(w, np.float32)
    cells, weight = float(rng.uniform(1.5, 3.0)), 1.0
    while cells < w / 3:
        knots = rng.uniform(-1, 1, round(cells) + 4)
        at = np.linspace(0, round(cells) + 2, w)
        left = at.astype(int)
        t = at - left
        if cells < 9:  # broad forms are round, fine ones are rock
            t = t * t * (3 - 2 * t)
        line += (weight * (knots[left] * (1 - t) + knots[left + 1] * t)).astype(np.float32)
        cells, weight = cells * 2.1, weight * rough * 0.78
    return line


def _ridges(
    rng: np.random.Generator,
    pixels: Plane,
    mood: Mood,
    *,
    layers: int,
    top: float,
    rough: float,
    trees: bool = False,
    depth: float = 0.13,
) -> None:
    """Ranges one before the other, each fading into the mist at its foot."""
    h, w = pixels.shape[:2]
    y = np.arange(h, dtype=np.float32)[:, None]
    for layer in range(layers):
        t = (layer + 1) / layers
        line = (top + (1.0 - top) * 0.85 * t**1.15 - depth * (1.1 - 0.5 * t) * _ridge_line(rng, w, rough)) * h
        if trees and layer > 0:
            line -= _treetops(rng, w, h * 0.028 * (0.5 + 1.6 * t))
        mask = np.clip(y - line[None, :] + 0.5, 0, 1)
        body = _mix(mood.far, mood.near, t**1.25)
        body = _mix(mood.sky[2], body, 0.38 + 0.62 * t)
        mist = np.clip((y - line[None, :]) / (h * 0.24), 0, 1) * (1 - t) * 0.8
        shade = _mix(np.broadcast_to(body, pixels.shape), mood.sky[2], mist[..., None])
        pixels += (shade - pixels) * mask[..., None]


def _treetops(rng: np.random.Generator, w: int, tall: float) -> Plane:
    """Heights of a row of firs."""
    line = np.zeros(w, np.float32)
    x = np.arange(w, dtype=np.float32)
    for centre in np.arange(0, w, max(2.0, tall * 0.34)):
        size = tall * float(rng.uniform(0.45, 1.15))
        middle = float(centre + rng.uniform(-0.2, 0.2) * tall)
        left, right = max(0, int(middle - size)), min(w, int(middle + size) + 2)
        away = np.abs(x[left:right] - middle)
        line[left:right] = np.maximum(line[left:right], size - away * 3.4)
    return line


def _dunes(rng: np.random.Generator, pixels: Plane, mood: Mood) -> None:
    """Sand with a lit and a shaded side, and wind ripples close by."""
    h, w = pixels.shape[:2]
    y = np.arange(h, dtype=np.float32)[:, None]
    layers = 5
    for layer in range(layers):
        t = (layer + 1) / layers
        line = (0.5 + 0.4 * t**1.2) * h - (0.05 + 0.06 * t) * h * _ridge_line(rng, w, 0.12)
        slope = np.gradient(line) / (0.0006 * w)
        lit = np.clip(0.5 + slope * 0.22, 0, 1)[None, :]
        below = np.clip((y - line[None, :]) / (h * (0.12 + 0.18 * t)), 0, 1)
        ripple = np.sin((y - line[None, :]) * (0.5 - 0.22 * t) + 5 * fractal(rng, w, h, 4, 2)) * 0.035 * t
        light = np.clip(lit * (1 - below * 0.5) + 0.28 * below + ripple, 0, 1)
        bright = _mix(_mix(mood.light, mood.far, 0.55), mood.sky[2], 0.35 * (1 - t))
        sand = _mix(_mix(mood.far, mood.near, 0.25 + 0.6 * t), bright, light[..., None])
        mask = np.clip(y - line[None, :] + 0.5, 0, 1)
        pixels += (sand - pixels) * mask[..., None]


def _skyline(rng: np.random.Generator, pixels: Plane, mood: Mood) -> None:
    """Towers in three rows; the dark hours have lights in the windows."""
    h, w = pixels.shape[:2]
    dark = float(np.mean(mood.sky[1])) < 130
    for row in range(3):
        t = (row + 1) / 3
        body = _mix(mood.sky[2], _mix(mood.far, mood.near, t), 0.35 + 0.6 * t)
        x = -int(rng.integers(0, 20))
        while x < w:
            wide = int(w * rng.uniform(0.022, 0.06))
            tall = h * (0.2 + 0.5 * float(rng.beta(1.6, 3.2)) - 0.04 * row)
            left, right, top = max(0, x), min(w, x + wide), int(h - tall)
            if right > left:
                pixels[top:, left:right] = _mix(body, mood.sky[2], 0.25 * (1 - t))
                edge = max(1, wide // 9)
                pixels[top:, left : min(right, left + edge)] = _mix(body, mood.light, 0.22)
                _windows(rng, pixels[top + 4 :, left + edge + 1 : right - 2], mood, (0.42 if dark else 0.12) * t)
            x += wide + int(rng.integers(0, max(2, w // 90)))


def _windows(rng: np.random.Generator, wall: Plane, mood: Mood, share: float) -> None:
    high, wide = wall.shape[0] // 6, wall.shape[1] // 5
    if high < 1 or wide < 1:
        return
    lit = (rng.random((high, wide)) < share).astype(np.float32) * rng.uniform(0.4, 0.95, (high, wide))
    panes = np.kron(lit, np.pad(np.ones((3, 3)), ((0, 3), (0, 2)))).astype(np.float32)
    part = wall[: panes.shape[0], : panes.shape[1]]
    part += (np.asarray(_mix(mood.light, (255, 206, 120), 0.6)) - part) * panes[: part.shape[0], :, None]


def _above_water(rng: np.random.Generator, land: Plane, h: int, mood: Mood, sun_x: float) -> Plane:
    """*land* on top of its own reflection, broken by waves that grow towards the front."""
    land_h, w = land.shape[:2]
    water_h = h - land_h
    t = np.linspace(0, 1, water_h, dtype=np.float32)[:, None]
    waves = fractal(rng, w, water_h, 7, 4, stretch=14.0) - 0.5
    rows = land_h - 1 - np.clip(t * land_h * 0.98 + waves * (4 + 60 * t) * land_h / 700, 0, land_h - 1)
    columns = np.clip(np.arange(w)[None, :] + waves * (6 + 34 * t) * w / 1200, 0, w - 1)
    mirrored = land[rows.astype(int), columns.astype(int)]
    water = _mix(mirrored, _mix(mood.near, mood.sky[0], 0.5), (0.2 + 0.34 * t)[..., None])
    x = np.arange(w, dtype=np.float32)[None, :] / w - sun_x
    path = np.exp(-((x / (0.035 + 0.11 * t)) ** 2)) * (1 - 0.5 * t)
    glitter = np.clip((fractal(rng, w, water_h, 22, 3, stretch=9.0) - 0.5) * 7, 0, 1) * path
    water = _mix(water, mood.light, np.clip(glitter * 0.85, 0, 1)[..., None])
    return np.concatenate([land, water])


def _abstract(rng: np.random.Generator, w: int, h: int, mood: Mood) -> Plane:
    """Flowing bands: noise bent by noise, run through the mood's colours, with light along the folds."""
    bend_x, bend_y = fractal(rng, w, h, 2, 3), fractal(rng, w, h, 2, 3)
    base = fractal(rng, w, h, 3, 4)
    y = np.clip(np.arange(h)[:, None] + (bend_y - 0.5) * h * 0.9, 0, h - 1).astype(int)
    x = np.clip(np.arange(w)[None, :] + (bend_x - 0.5) * w * 0.9, 0, w - 1).astype(int)
    flow = base[y, x] * 1.4 + bend_x * 0.5
    stops = np.asarray([mood.near, mood.far, mood.sky[1], mood.sky[2], mood.light, mood.sky[0]], np.float32)
    at = (flow - flow.min()) / max(1e-6, float(np.ptp(flow))) * (len(stops) - 1.001)
    left = at.astype(int)
    bands = _mix(stops[left], stops[left + 1], (at - left)[..., None])
    slope_y, slope_x = np.gradient(flow)
    light = np.clip(0.5 + (slope_x + slope_y) * w * 0.06, 0, 1)[..., None]
    return np.asarray(bands * (0.72 + 0.46 * light), np.float32)
