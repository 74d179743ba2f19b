"""Tiles of photos that AV1 codes better than the networks: photographed and scanned text, and at
high qualities whatever has more detail than the latent holds (docs/graphics.md)."""

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

# The level, 0 to 1, from which on every tile is tried: there AV1 is better on three of ten that
# have no letters, at 0.9 on two of three.
TOP_LEVEL = 0.7

# libavif's quality at level 0, and what comes on top by the level, 0 to 1, and by its square: AV1
# takes about the learned coding's bytes there for tiles with letters.
AV1_QUALITY = 16, 90, -18

# The networks have little more to give from there on, but AV1 has: up to level 1 its quality rises
# by so much more, it may take so many times the learned coding's bytes, bytes count less and less
# beside errors, and it need not be so much better.
TOP_QUALITY, TOP_BYTES = 4, 3.0

# What AV1 smooths away is missed more than what networks get wrong: at the same bytes, its squared
# error must be less than this part (2 dB) of theirs to look better by LPIPS and DISTS; and less
# than half where there are no letters, or else quality is not monotonic where AV1 begins.
MOST_ERROR, MOST_ERROR_WITHOUT_LETTERS = 0.63, 0.5
MOST_BYTES = 1.5  # times the learned coding's, up to `TOP_LEVEL`

# A quick try, of a tenth of a careful one's time, is 1.7 dB worse in the mean. Of 180 tries of
# training tiles one whose quick one was not within 0.25 dB of the networks would have been taken.
QUICK_SPEED, MOST_QUICK_ERROR = 9, 1.06


def is_worth_a_try(has_letters: bool, level: int) -> bool:
    """Whether a tile may be better as AV1 in a picture of a level in thousandths."""
    return has_letters or level >= TOP_LEVEL * LEVEL_STEPS


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
    return round(lowest + rise * share + bend * share**2 + TOP_QUALITY * (1 - _below_top(level)))


def most_bytes(level: int) -> float:
    """How many times the learned coding's bytes AV1 may take at a level in thousandths."""
    return TOP_BYTES + (MOST_BYTES - TOP_BYTES) * _below_top(level)


def _below_top(level: int) -> float:
    """1 up to `TOP_LEVEL`, from there falling to 0 at the highest level."""
    return min((1 - level / LEVEL_STEPS) / (1 - TOP_LEVEL), 1.0)


def encode_av1_photo(
    pixels: Bytes,
    level: int,
    has_letters: bool,
    learned: bytes,
    decode: Callable[[bytes], Bytes],
    threads: int,
) -> bytes | None:
    """An AV1 stream of a tile with its margin, `[h + 8, w + 8, 3]`, if it is better than what the
    networks make of the tile at a level in thousandths, which `decode` makes `[h, w, 3]` of
    `learned`; by `threads` at once."""
    inner = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)
    to_beat = price(pixels[inner], decode(learned), learned, level)

    def better(speed: int, part: float) -> bytes | None:
        data = av1.encode_av1(pixels, quality_at(level), threads, speed)
        if data is None or len(data) > most_bytes(level) * len(learned):
            return None
        shown = av1.decode_av1(data, Tile(0, 0, *pixels.shape[:2]))[inner]
        return data if price(pixels[inner], shown, data, level) < part * to_beat else None

    if better(QUICK_SPEED, MOST_QUICK_ERROR) is None:
        return None
    enough = MOST_ERROR if has_letters else MOST_ERROR_WITHOUT_LETTERS
    return better(av1.SPEED, enough ** _below_top(level))


def price(pixels: Bytes, decoded: Bytes, data: bytes, level: int) -> float:
    """The bytes of a tile times its squared error: about where two codings take the same bytes,
    half the error takes twice as many. Towards the highest level it becomes the error alone."""
    return float(len(data) ** _below_top(level) * squared_errors(pixels, decoded).sum())
