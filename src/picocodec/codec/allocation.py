"""How the bits of a picture are shared among its tiles: smooth ones get a higher level.

A tile's LPIPS and DISTS fall with about the logarithm of its bytes, so that a byte is worth most
where there are few; and on paper, skin or sky nothing hides an error. docs/training.md has what
was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.codec.av1_photos import has_letters, plainness_of
from picocodec.codec.graphics import is_flat

# In thousandths of the level: for each halving of the gradient, and at most, either way.
FOR_EACH_BIT = 50
LEAST, MOST = -80, 120


@dataclass(frozen=True)
class Look:
    """Whether a tile looks drawn, the logarithm of its gradient (`log_gradient`), whether it may
    have letters, and its plainness (`plainness_of`)."""

    drawn: bool
    gradient: float
    lettered: bool = False
    plainness: float = 0.0


def look_at(pixels: NDArray[np.uint8]) -> Look:
    """What a tile's pixels `[h, w, 3]` look like."""
    brightness = np.asarray(Image.fromarray(pixels).convert("L"))
    return Look(
        is_flat(pixels), log_gradient(brightness), has_letters(brightness), plainness_of(brightness)
    )


def level_offsets(looks: Sequence[Look]) -> list[int]:
    """What each tile of a picture, taken as a photo, has over the picture's level, in thousandths.

    The mean one of those that look like photos has nothing, so that a quality means the same for
    a soft picture and a sharp one.
    """
    photos = [look.gradient for look in looks if not look.drawn]
    if not photos:
        return [0] * len(looks)
    typical = sum(photos) / len(photos)
    offsets = (FOR_EACH_BIT * (typical - look.gradient) for look in looks)
    return [round(min(max(offset, LEAST), MOST)) for offset in offsets]


def log_gradient(brightness: NDArray[np.uint8]) -> float:
    """The logarithm to base 2 of how much brightness `[h, w]` differs on average between
    neighbours, the right and the lower one together, in steps of 255; at least -4, for a plain
    area."""
    steps = sum(
        float(np.abs(np.diff(brightness.astype(np.int16), axis=axis)).mean())
        for axis in range(2)
        if brightness.shape[axis] > 1
    )
    return math.log2(max(steps, 1 / 16))
