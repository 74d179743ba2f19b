"""Pictures that are hard for a learned codec, made by script and in the public domain: what weights
are to be looked at on before they are released.

    python examples/hard_pictures.py build/hard    # a PNG file of each

Each function gives uint8 `[height, width, 3]`, the same every time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pixels = NDArray[np.uint8]
HEIGHT, WIDTH = 576, 1024  # more than one tile of 504 pixels, so that there are seams


def dark_gradient(height: int = HEIGHT, width: int = WIDTH, seed: int = 1) -> Pixels:
    """Dusk: a slow gradient of dark blues, with less noise than a step of its values. Blotches of
    colour and a seam at x = 504 show here first."""
    y, x = np.mgrid[0:height, 0:width]
    fall, across = y / height, x / width
    colours = np.stack([6 + 14 * fall, 8 + 16 * fall, 18 + 30 * (1 - fall)], 2)
    colours *= (0.8 + 0.4 * across)[:, :, None]
    return _with_noise(colours, 0.6, seed)


def night(height: int = HEIGHT, width: int = WIDTH, seed: int = 2) -> Pixels:
    """A street at night at a high ISO number: lamps with halos, dark walls, and noise that grows
    with the light and is coarse, as denoising cameras leave it. A weave shows on the walls."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    light = np.full((height, width, 3), (9.0, 10.0, 14.0))
    for _ in range(9):
        top, left = rng.uniform(0.1, 0.6) * height, rng.uniform(0, width)
        far = np.hypot(y - top, x - left) / rng.uniform(15, 45)
        light += (170 / (1 + far**2))[:, :, None] * rng.uniform((0.9, 0.6, 0.3), (1, 0.8, 0.6))
    walls = ((x // 160 + 2 * (y > 0.62 * height)) % 3)[:, :, None]
    light *= 0.5 + 0.25 * walls
    noise = rng.normal(0, 1, light.shape)
    coarse = _blurred(noise, 1.1) * 2.2 + 0.5 * noise
    return _bytes(light + coarse * (3 + 0.5 * np.sqrt(light.clip(0))))


def code_on_paper(height: int = HEIGHT, width: int = WIDTH, seed: int = 3) -> Pixels:
    """A matrix code printed on white paper, photographed a little from the side. Pepper shows on
    the paper. The code says nothing: its cells are drawn by lot, with three corners as QR has."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 2, (33, 33)).astype(bool)
    for top, left in ((0, 0), (0, 26), (26, 0)):
        cells[max(top - 1, 0) : top + 8, max(left - 1, 0) : left + 8] = False
        cells[top : top + 7, left : left + 7] = True
        cells[top + 1 : top + 6, left + 1 : left + 6] = False
        cells[top + 2 : top + 5, left + 2 : left + 5] = True
    side = 2 * height
    paper = Image.new("L", (2 * width, side), 238)
    code = Image.fromarray(np.where(cells, 28, 238).astype(np.uint8))
    size = int(0.66 * side) // 33 * 33
    paper.paste(code.resize((size, size), Image.Resampling.NEAREST), (int(0.3 * width), side // 6))
    corners = (0, 0, 0.03 * width, side, 1.95 * width, 0.98 * side, 2 * width, 0.02 * side)
    seen = paper.transform(
        (width, height), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC
    ).filter(ImageFilter.GaussianBlur(0.8))
    y, x = np.mgrid[0:height, 0:width]
    shade = 1 - 0.18 * (x / width) - 0.1 * (y / height) ** 2
    colours = np.asarray(seen, np.float64)[:, :, None] * shade[:, :, None] * (1.0, 0.985, 0.95)
    return _with_noise(colours, 1.8, seed)


def colour_halftone(height: int = HEIGHT, width: int = WIDTH, seed: int = 4) -> Pixels:
    """A scanned print: dots of cyan, magenta and yellow at their angles, behind a soft picture."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    out = np.empty((height, width, 3))
    for channel, (angle, period) in enumerate(((15, 61), (75, 83), (0, 47))):
        turn = np.deg2rad(angle)
        u = (x * np.cos(turn) + y * np.sin(turn)) / 5
        v = (y * np.cos(turn) - x * np.sin(turn)) / 5
        dots = (np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v)) / 4 + 0.5
        tone = 0.5 + 0.42 * np.sin(x / period) * np.cos(y / (period + 20))
        out[:, :, channel] = ((tone - dots) * 5 + 0.5).clip(0, 1)
    return _with_noise(24 + 210 * out, 1.5, seed)


def signs_at_night(height: int = HEIGHT, width: int = WIDTH, seed: int = 5) -> Pixels:
    """Lit letters before darkness: sharp strokes beside the slowest of gradients."""
    image = Image.fromarray(dark_gradient(height, width, seed))
    draw = ImageDraw.Draw(image)
    for i, colour in enumerate(("#ffcf6b", "#7fd0ff", "#ff7a6b")):
        draw.text((60 + 40 * i, 80 + 150 * i), "OPEN ALL NIGHT", colour, font_size=70)
    glow = np.asarray(image.filter(ImageFilter.GaussianBlur(9)), np.float64)
    sharp = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float64)
    return _with_noise(np.maximum(sharp, 0.7 * glow), 1.2, seed)


PICTURES: dict[str, Callable[[], Pixels]] = {
    function.__name__: function
    for function in (dark_gradient, night, code_on_paper, colour_halftone, signs_at_night)
}


def _with_noise(colours: NDArray[np.float64], amount: float, seed: int) -> Pixels:
    return _bytes(colours + np.random.default_rng(seed).normal(0, amount, colours.shape))


def _bytes(colours: NDArray[np.float64]) -> Pixels:
    return colours.round().clip(0, 255).astype(np.uint8)


def _blurred(values: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """By a small Gaussian kernel, around the edges."""
    reach = np.arange(-4, 5)
    kernel = np.exp(-(reach**2) / (2 * radius**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        values = sum(k * np.roll(values, int(r), axis) for k, r in zip(kernel, reach, strict=True))
    return values


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/hard"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in PICTURES.items():
        Image.fromarray(make()).save(folder / f"{name}.png")
        print(folder / f"{name}.png")
