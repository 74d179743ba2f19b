"""How the bits of a picture are shared among its tiles: smooth ones get a higher level.

A tile's LPIPS and DISTS fall with about the logarithm of its bytes, so that a byte is worth most
where there are few; and on paper, skin or sky nothing hides an error. docs/training.md has what
was measured.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.format.container import LEVEL_STEPS

# Bits of the gradient of a typical photo's tile, as `log_gradient` has them: such a one gets the
# picture's level.
TYPICAL = 3.7

# In thousandths of the level: for each halving of the gradient, and at most, either way. A tile's
# bytes grow as the gradient to the power 0.8.
FOR_EACH_BIT = 50
LEAST, MOST = -80, 120


def tile_level(pixels: NDArray[np.uint8], level: int) -> int:
    """The level, in thousandths, for a photo's tile `[h, w, 3]` in a picture of `level`."""
    offset = FOR_EACH_BIT * (TYPICAL - log_gradient(pixels))
    return min(max(level + round(min(max(offset, LEAST), MOST)), 0), LEVEL_STEPS)


def log_gradient(pixels: NDArray[np.uint8]) -> float:
    """The logarithm to base 2 of how much brightness differs on average between neighbours, the
    right and the lower one together, in steps of 255; at least -4, for a plain area."""
    brightness = np.asarray(Image.fromarray(pixels).convert("L"), np.int16)
    steps = sum(
        float(np.abs(np.diff(brightness, axis=axis)).mean())
        for axis in range(2)
        if brightness.shape[axis] > 1
    )
    return math.log2(max(steps, 1 / 16))
