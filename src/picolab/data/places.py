"""Where in a photo its tiles lie: anywhere, at several scales.

Skies, skin and blurred backgrounds are most of what people photograph. Tiles chosen for their
detail leave them out, and a network that has hardly seen them invents texture there.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picolab.data.choice import Seen
from picolab.data.photos import Photo
from picolab.data.tilefile import SIDE

SCALES = (1.0, 1.25, 1.8, 2.7, 4.0, 6.0)  # how much a photo is reduced for its tiles
FEW_SCALES, FEW_TILES = 2, 3  # of pages and drawings: letters are to be read
# Compression leaves traces, which reducing takes away: the least factor by the quality of a JPEG
# and by what is left of its blocks (`block_steps`).
CLEAN, FAIR = 93, 85
FAINT, PLAIN_TO_SEE = 0.25, 0.5
LEAST_REDUCED = {"clean": 1.0, "fair": 1.25, "poor": 1.8}
LEAST_WHOLE = 256  # pixels of the shorter side, of a picture too small for a whole tile
PLAIN, CLIPPED, PLAIN_SHARE = 3.0, 0.6, 0.1  # so many of the all but flat or burnt-out tiles stay


@dataclass(frozen=True)
class Place:
    """A part of a picture in its own pixels: `width` x `height` of the tile, `reduced_by` as much
    of the picture."""

    left: float
    top: float
    width: int
    height: int
    reduced_by: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        right = self.left + self.width * self.reduced_by
        return self.left, self.top, right, self.top + self.height * self.reduced_by


def least_reduced(seen: Seen, steps: float = 0.0) -> float:
    quality = seen.glance.quality
    if 0 < quality < FAIR or steps > PLAIN_TO_SEE:
        return LEAST_REDUCED["poor"]
    return LEAST_REDUCED["clean" if quality >= CLEAN and steps <= FAINT else "fair"]


def places(seen: Seen, limit: int, steps: float = 0.0) -> list[Place]:
    """At most so many places of a picture, drawn by its id alone; `steps` are those of its blocks.

    Each scale has a grid with play, so that its tiles do not overlap. Each place is drawn with a
    chance in proportion to its factor: there are far fewer of the coarse ones. A picture too small
    for any gives one, of itself as a whole.
    """
    rng = random.Random(f"places {seen.original.id}")
    width, height, least = seen.glance.width, seen.glance.height, least_reduced(seen, steps)
    scales = [factor for factor in SCALES if factor >= least]
    if seen.category != "natural":
        scales, limit = scales[:FEW_SCALES], min(limit, FEW_TILES)
    drawn = []
    for factor in scales:
        for place in _grid(width, height, factor, rng):
            # The least of exponential waiting times: drawing without putting back, by weight.
            drawn.append((-math.log(1 - rng.random()) / factor, place))
    if not drawn:
        return [_whole(width, height, least, rng)]
    drawn.sort(key=lambda entry: entry[0])
    return [place for _, place in drawn[:limit]]


def _grid(width: int, height: int, factor: float, rng: random.Random) -> Iterator[Place]:
    side = SIDE * factor
    columns, rows = int(width // side), int(height // side)
    for row in range(rows):
        for column in range(columns):
            left = column * side + (column + rng.random()) * (width - side * columns) / columns
            top = row * side + (row + rng.random()) * (height - side * rows) / rows
            left, top = min(left, width - side), min(top, height - side)
            if factor == 1.0:
                left, top = int(left), int(top)
            yield Place(left, top, SIDE, SIDE, factor)


def _whole(width: int, height: int, least: float, rng: random.Random) -> Place:
    factor = least if min(width, height) / least >= LEAST_WHOLE else 1.0
    across = max(1, min(SIDE, int(width / factor)))
    down = max(1, min(SIDE, int(height / factor)))
    left = rng.random() * (width - across * factor)
    top = rng.random() * (height - down * factor)
    if factor == 1.0:
        left, top = int(left), int(top)
    return Place(left, top, across, down, factor)


def cut(
    photo: Photo, seen: Seen, where: list[Place]
) -> Iterator[tuple[Place, NDArray[np.uint8], float]]:
    """Place, pixels uint8 `[height, width, 3]` and detail of each tile worth keeping."""
    rng = random.Random(f"plain {seen.original.id}")
    for place in where:
        part = photo.part(place.box, (place.width, place.height))
        grey = np.asarray(part.convert("L"), np.float32)
        stays = rng.random() < PLAIN_SHARE
        clipped = float(((grey <= 1) | (grey >= 254)).mean())
        if stays or (grey.std() >= PLAIN and clipped <= CLIPPED) or seen.category != "natural":
            yield place, np.asarray(part), detail(grey)


def detail(grey: NDArray[np.float32] | Image.Image) -> float:
    """Mean absolute Laplacian of brightness `[H, W]`: low is smooth."""
    x = np.asarray(grey, np.float32)
    if min(x.shape) < 3:
        return 0.0
    around = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]
    return float(np.abs(around - 4 * x[1:-1, 1:-1]).mean())
