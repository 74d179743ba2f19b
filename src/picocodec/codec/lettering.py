"""Tiles of photographed and scanned text, which networks code badly and AV1 well
(docs/graphics.md)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from picocodec.codec import av1
from picocodec.codec.graphics import squared_errors
from picocodec.codec.tiles import MARGIN, Tile
from picocodec.format.container import LEVEL_STEPS

Bytes = NDArray[np.uint8]

# In squares of 8x8 pixels whose brightness differs by so much, the share of pixels within a fifth
# of that from the darkest or the brightest, from which on a tile may have letters; and the part
# of its squares that must be such: with fewer AV1 gained nothing in training tiles.
TWO_TONED_SHARE = 0.55
SQUARE, CONTRAST, LEAST_STRONG = 8, 48, 0.05

# libavif's quality at level 0, and what comes on top by the level, 0 to 1, and by its square: AV1
# takes about the learned coding's bytes there for such tiles.
AV1_QUALITY = 16, 90, -18

# What AV1 smooths away is missed more than what networks get wrong: at the same bytes, its squared
# error must be less than this part (2 dB) of theirs to look better by LPIPS and DISTS.
MOST_ERROR = 0.63
MOST_BYTES = 1.5  # times the learned coding's


def has_letters(brightness: Bytes) -> bool:
    """Whether a tile of such brightness `[h, w]` may have letters, and is worth a try."""
    return two_toned_share(brightness) >= TWO_TONED_SHARE


def two_toned_share(brightness: Bytes) -> float:
    """Of the pixels `[h, w]` in squares of strong contrast, those that are nearly as dark as the
    darkest or as bright as the brightest of their square; 0 where there are few such squares."""
    down, across = (side // SQUARE for side in brightness.shape)
    squares = brightness[: down * SQUARE, : across * SQUARE]
    squares = squares.reshape(down, SQUARE, across, SQUARE).transpose(0, 2, 1, 3)
    low, high = squares.min((2, 3)), squares.max((2, 3))
    strong = high - low >= CONTRAST
    if np.count_nonzero(strong) < max(1, LEAST_STRONG * strong.size):
        return 0.0
    squares, low, high = squares[strong], low[strong, None, None], high[strong, None, None]
    margin = (high - low) // 5
    return float(((squares <= low + margin) | (squares >= high - margin)).mean())


def quality_at(level: int) -> int:
    """libavif's quality for such a tile at a level in thousandths."""
    lowest, rise, bend = AV1_QUALITY
    share = level / LEVEL_STEPS
    return round(lowest + rise * share + bend * share**2)


def encode_lettered(
    pixels: Bytes, level: int, learned: bytes, decode: Callable[[bytes], Bytes], threads: int
) -> bytes | None:
    """An AV1 stream of a tile with its margin, `[h + 8, w + 8, 3]`, if it is better than what the
    networks make of the tile at a level in thousandths, which `decode` makes `[h, w, 3]` of
    `learned`; by `threads` at once."""
    data = av1.encode_av1(pixels, quality_at(level), threads)
    if data is None or len(data) > MOST_BYTES * len(learned):
        return None
    inner = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)
    shown = av1.decode_av1(data, Tile(0, 0, *pixels.shape[:2]))
    limit = MOST_ERROR * price(pixels[inner], decode(learned), learned)
    return data if price(pixels[inner], shown[inner], data) < limit else None


def price(pixels: Bytes, decoded: Bytes, data: bytes) -> float:
    """The bytes of a tile times its squared error: about where two codings take the same bytes,
    half the error takes twice as many."""
    return len(data) * float(squared_errors(pixels, decoded).sum())
