"""What texture is made of: the noise that a decoder's networks are given.

Integers all the way to the last step, and nothing but a position in the picture goes in, so that
every decoder gives its networks the same numbers, whatever part of a picture it decodes
(docs/format.md, section 8).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

STEP = 8  # pixels to one position
_MEAN = 510  # of the sum of four random bytes ...
_DEVIATION = math.sqrt(21845)  # ... and the root of its variance


def noise(
    channels: int, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)
) -> NDArray[np.float32]:
    """About normal numbers of mean 0 and variance 1, `[1, channels, *shape]`, for the positions
    from `corner` (row, column; not negative) of the picture on."""
    rows, columns = (
        np.arange(first, first + count, dtype=np.uint32)
        for first, count in zip(corner, shape, strict=True)
    )
    of_channel = _mixed(np.arange(1, channels + 1, dtype=np.uint32))
    of_row = _mixed(of_channel[:, None] + rows)
    hashes = _mixed(of_row[:, :, None] + columns)
    pairs = (hashes & 0x00FF00FF) + (hashes >> 8 & 0x00FF00FF)
    sums = (pairs & 0xFFFF) + (pairs >> 16)
    return ((sums.astype(np.float32) - _MEAN) / np.float32(_DEVIATION))[None]


def _mixed(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """A hash of each number, modulo 2**32; changes `x`."""
    x ^= x >> 16
    x *= np.uint32(0x7FEB352D)
    x ^= x >> 15
    x *= np.uint32(0x846CA68B)
    x ^= x >> 16
    return x
