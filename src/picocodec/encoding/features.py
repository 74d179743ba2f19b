"""Every cheap look at a tile's pixels: what tells which ways of coding it are worth a try."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.encoding.judge import SQUARE

Bytes = NDArray[np.uint8]


# Of all pixels of a tile, those that equal their left neighbour, from which on it is worth a try:
# noise leaves a photo far fewer.
FLAT_SHARE = 0.3

FEW_COLOURS = 64

# In squares of 8x8 pixels whose brightness differs by so much, the share of pixels within a fifth
# of that from the darkest or the brightest, from which on a tile may have letters.
TWO_TONED_SHARE = 0.55
CONTRAST = 48


@dataclass(frozen=True)
class Look:
    """Whether a tile is flat, as drawings are, the logarithm of its gradient (`log_gradient`), and
    whether it may have letters; beside that, how many of its pixels are not as the one to their
    left."""

    flat: bool
    gradient: float
    lettered: bool = False
    changes: int = field(default=0, compare=False)

    @property
    def is_text(self) -> bool:
        """Whether it is photographed, or scanned, and may have letters."""
        return self.lettered and not self.flat


def look_at(pixels: NDArray[np.uint8]) -> Look:
    """What a tile's pixels `[h, w, 3]` look like."""
    brightness = np.asarray(Image.fromarray(pixels).convert("L"))
    changes = count_changes(pixels)
    flat = _is_flat(pixels, changes) or has_few_colours(pixels)
    return Look(flat, log_gradient(brightness), has_letters(brightness), changes)


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


def is_flat(pixels: Bytes) -> bool:
    """Whether a tile's pixels `[h, w, 3]` look drawn rather than photographed."""
    return _is_flat(pixels, count_changes(pixels))


def _is_flat(pixels: Bytes, changes: int) -> bool:
    pairs = pixels.shape[0] * (pixels.shape[1] - 1)
    return pairs > 0 and pairs - changes >= FLAT_SHARE * pairs


def count_changes(pixels: Bytes) -> int:
    """How many pixels of `[h, w, 3]` are not as the one to their left."""
    equal = _all_equal(pixels[:, 1:], pixels[:, :-1])
    return equal.size - int(np.count_nonzero(equal))


def has_few_colours(pixels: Bytes) -> bool:
    """Whether pixels, every fourth row and column of them, are of a palette: dithered or halftone,
    they may be drawn and hardly any equal its neighbour."""
    r, g, b = (pixels[::4, ::4, c].astype(np.uint32) for c in range(3))
    return bool(np.unique(r << 16 | g << 8 | b).size <= min(FEW_COLOURS, r.size / 4))


def _all_equal(a: Bytes, b: Bytes) -> NDArray[np.bool_]:
    """Where pixels are equal in all colours; `all(2)` takes eight times as long."""
    equal = a == b
    return equal[:, :, 0] & equal[:, :, 1] & equal[:, :, 2]


def has_letters(brightness: Bytes) -> bool:
    """Whether a tile of such brightness `[h, w]` may have letters, and is worth a try."""
    return two_toned_share(brightness) >= TWO_TONED_SHARE


def two_toned_share(brightness: Bytes) -> float:
    """Of the pixels `[h, w]` in squares of strong contrast, those that are nearly as dark as the
    darkest or as bright as the brightest of their square; 0 where there is no such square."""
    down, across = (side // SQUARE for side in brightness.shape)
    whole = brightness[: down * SQUARE, : across * SQUARE]
    squares = whole.reshape(down, SQUARE, across, SQUARE).transpose(0, 2, 1, 3)
    low, high = squares.min((2, 3)), squares.max((2, 3))
    strong = high - low >= CONTRAST
    if not strong.any():
        return 0.0
    squares, low, high = squares[strong], low[strong, None, None], high[strong, None, None]
    margin = (high - low) // 5
    return float(((squares <= low + margin) | (squares >= high - margin)).mean())
