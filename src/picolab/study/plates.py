"""Plates for colour vision: a digit of dots that some eyes cannot tell from the dots around it.

Figure and ground differ along the line of colours that a kind of dichromat confuses: only the
light that its missing cones would catch differs, and every dot has a brightness of its own, so that
brightness gives nothing away. The cones are those of Vienot, Brettel and Mollon (1999) for sRGB.
The plates are generated, not printed and not calibrated: they screen raters of a study, and are no
medical test.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from picolab.evaluation.peers.protocol import Picture

SIDE = 320
KINDS = ("control", "protan", "deutan")
DIGITS = "23456789"
CONTRAST = 0.6  # of the largest difference along the line that fits into sRGB
SURROUND = 119
GAP = 0.8  # pixels between two dots

LMS = np.array(
    [
        [17.8824, 43.5161, 4.11935],
        [3.45565, 27.1554, 3.86714],
        [0.0299566, 0.184309, 1.46709],
    ]
)
"""Linear RGB to the responses of long, middle and short cones."""
MISSING = {"protan": 0, "deutan": 1}
GROUND = np.array([0.30, 0.26, 0.14])  # linear RGB, a dull sand


@dataclass(frozen=True)
class Plate:
    """`pixels` `[SIDE, SIDE, 3]` uint8; `digit` is what eyes of all kinds (control) or eyes with
    all cones see."""

    kind: str
    digit: str
    pixels: Picture


def make(kind: str, digit: str, seed: int) -> Plate:
    """One plate of `KINDS`; the same seed gives the same dots. Raises `ValueError` for no kind."""
    if kind not in KINDS:
        raise ValueError(f"no plate is called {kind}; there are {', '.join(KINDS)}")
    rng = np.random.default_rng(seed)
    inside = _mask(digit)
    figure, ground = colours(kind)
    scale = 4
    canvas = Image.new("RGB", (SIDE * scale, SIDE * scale), (SURROUND,) * 3)
    draw = ImageDraw.Draw(canvas)
    for x, y, radius in _dots(rng):
        colour = figure if inside[int(y), int(x)] else ground
        shade = colour * rng.uniform(0.65, 1.2)
        box = [
            scale * (x - radius),
            scale * (y - radius),
            scale * (x + radius),
            scale * (y + radius),
        ]
        draw.ellipse(box, fill=tuple(int(v) for v in encode(shade)))
    pixels = np.array(canvas.resize((SIDE, SIDE), Image.Resampling.BOX))
    return Plate(kind, digit, pixels)


def colours(kind: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of figure and ground, linear RGB `[3]` in 0 to 0.8, before each dot's own brightness."""
    if kind == "control":  # brightness and all cones differ
        return np.array([0.62, 0.30, 0.05]), np.array([0.10, 0.13, 0.16])
    line = np.linalg.inv(LMS)[:, MISSING[kind]]
    line = line / np.abs(line).max()
    # The largest step both ways that stays in sRGB with the brightest shade, 1.2.
    steps = []
    for sign in (1, -1):
        up = np.where(line * sign > 0, (0.8 - GROUND) / np.abs(line), GROUND / np.abs(line))
        steps.append(float(up.min()))
    step = CONTRAST * min(steps)
    return GROUND + step * line, GROUND - step * line


def encode(linear: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Linear RGB in 0 to 1 to sRGB of 8 bits."""
    clipped = np.clip(linear, 0, 1)
    curve = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return np.rint(curve * 255).astype(np.uint8)


@cache
def _mask(digit: str) -> NDArray[np.bool_]:
    """`[SIDE, SIDE]`: where the digit is."""
    image = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=SIDE * 0.78)
    draw.text((SIDE / 2, SIDE / 2), digit, 255, font=font, anchor="mm", stroke_width=10)
    return np.array(image) > 127


def _dots(rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Circles within the plate that do not touch: x, y, radius, the large ones first."""
    placed = np.zeros((0, 3))
    for radius, tries in ((8.5, 500), (6.5, 1200), (4.8, 2500), (3.4, 5000), (2.4, 5000)):
        points = rng.uniform(4, SIDE - 4, (tries, 2))
        points = points[np.hypot(*(points - SIDE / 2).T) + radius < SIDE / 2 - 4]
        if len(placed):
            gaps = np.hypot(*(points[:, None] - placed[:, :2]).transpose(2, 0, 1)) - placed[:, 2]
            points = points[gaps.min(1) > radius + GAP]
        near = np.hypot(*(points[:, None] - points).transpose(2, 0, 1)) <= 2 * radius + GAP
        kept: list[int] = []
        free = np.ones(len(points), bool)
        for number in range(len(points)):
            if free[number]:
                kept.append(number)
                free &= ~near[number]
        circles = np.column_stack([points[kept], np.full(len(kept), radius)])
        placed = np.vstack([placed, circles])
    return [(float(x), float(y), float(radius)) for x, y, radius in placed]
