"""What a way of coding a tile is worth: its bits, and how far what it shows is from the pixels
(docs/graphics.md has how the numbers were found)."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from picocodec.encoding.features import squares_of
from picocodec.format.container import LEVEL_STEPS

Bytes = NDArray[np.uint8]

# What of the price of all colours the fewer, or AV1, must save at least: pixels as they are have
# a worth of their own.
LEAST_SAVED = 0.2

# In thousandths, the level from which on pixels are asked for as they are: neither fewer colours
# nor AV1 take the place of what could be kept exactly.
EXACT_LEVEL = 900

# How many times what it is in a photo an error in a drawing is worth: noise shows on flat areas,
# and more so where it ends at the border of a tile that is drawn.
WORTH_IN_DRAWINGS = 8

# The level, 0 to 1, from which on every tile is tried: there AV1 is clearly better on most.
TOP_LEVEL = 0.7

# How many times the learned coding's bytes AV1 may take, up to `TOP_LEVEL` and at level 1: towards
# it the networks have little more to give, but AV1 has, and bytes count less and less beside looks.
MOST_BYTES, TOP_BYTES = 1.5, 3.0

# What `looks` was fitted to: a constant, by twice the bytes, by twice the error of contrast and by
# twice the squared errors. It is off by some 0.3: AV1 is taken where it is clearly better; and
# where it is not clearly worse for letters, which are read better so, and for the last tiles of a
# page that would be learned, since a page in one piece is better still. What a quick try finds
# worse by the last constant is not worth a careful one.
LOOKS, LOOKS_BY_BYTES, LOOKS_BY_CONTRAST, LOOKS_BY_ERRORS = 0.27, 0.85, 0.45, 0.49
CLEARLY_BETTER, NOT_WORSE, NOT_WORSE_FOR_A_PAGE, QUICK_SLACK = -0.2, 0.1, 0.2, 0.12
# Noise around letters shows on the grain of paper, where contrast does not tell it: AV1 is taken
# there, too, where bytes times squared errors are less than this part (2 dB) of the networks'.
# Quick tries are 1.7 dB worse in the mean.
MOST_ERROR, MOST_QUICK_ERROR = 0.63, 1.06
SLOWLY = 0.25  # the power of how far it is to the highest level, where errors alone count

# Deviations in squares of 8x8 pixels, in steps of 255, that are hardly seen to differ.
UNSEEN_CONTRAST = 2

# What `foreseen` was fitted to: a constant, by plainness, and by twice the bits of a pixel.
FORESEEN = -0.57, -0.165, -0.18

BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue (BT.601)


def price_of_errors(pixels: Bytes, decoded: Bytes, slope: float) -> float:
    """The bits that are worth spending to see `pixels` themselves instead of `decoded`; `slope` is
    what a mean squared error of 1 (of values 0 to 1) is worth in bits a pixel of a photo."""
    return float(WORTH_IN_DRAWINGS * slope * squared_errors(pixels, decoded).sum())


def squared_errors(pixels: Bytes, decoded: Bytes) -> NDArray[np.float32]:
    """The mean squared error of each pixel, of values 0 to 1; `mean(2)` takes far longer."""
    difference = pixels.astype(np.float32) - decoded
    sums: NDArray[np.float32] = np.einsum("ijk,ijk->ij", difference, difference)
    sums /= 3 * 255**2
    return sums


@dataclass(frozen=True)
class Priced:
    """A payload, and its price in bits, errors included."""

    payload: bytes = field(repr=False)
    price: float

    @property
    def is_exact(self) -> bool:
        return self.price == 8 * len(self.payload)


def to_beat(kept: Collection[Priced], level: int) -> float:
    """The price that AV1 must stay under for drawings that are kept so: theirs; less if they are
    exact, and so cost their bytes alone; and none at all where exact ones are asked for."""
    if level >= EXACT_LEVEL and any(drawing.is_exact for drawing in kept):
        return 0.0
    price = sum(drawing.price for drawing in kept)
    return (1 - LEAST_SAVED) * price if all(drawing.is_exact for drawing in kept) else price


def is_worth_a_try(plainness: float, bits: float, level: int) -> bool:
    """Whether a tile without letters, learned in so many bits a pixel, may be better as AV1, at a
    level in thousandths."""
    if level >= TOP_LEVEL * LEVEL_STEPS:
        return True
    return bits > 0 and foreseen(plainness, bits) < CLEARLY_BETTER


def foreseen(plainness: float, bits: float) -> float:
    """What to expect of `looks`: bits that noise does not explain are spent on structure, which AV1
    codes better."""
    constant, by_plainness, by_bits = FORESEEN
    return constant + by_plainness * plainness + by_bits * math.log2(bits)


def enough(level: int, has_letters: bool, is_among_last: bool = False) -> float:
    """What `looks` must be less than at a level in thousandths."""
    most = NOT_WORSE if has_letters else CLEARLY_BETTER
    if is_among_last:
        most = NOT_WORSE_FOR_A_PAGE
    return most * below_top(level) ** SLOWLY


def most_bytes(level: int) -> float:
    """How many times the learned coding's bytes AV1 may take at a level in thousandths."""
    return TOP_BYTES + (MOST_BYTES - TOP_BYTES) * below_top(level)


def below_top(level: int) -> float:
    """1 up to `TOP_LEVEL`, from there falling to 0 at the highest level."""
    return min((1 - level / LEVEL_STEPS) / (1 - TOP_LEVEL), 1.0)


def is_taken(
    times_bytes: float,
    times_contrast: float,
    times_squared: float,
    level: int,
    has_letters: bool,
    is_among_last: bool = False,
) -> bool:
    """Whether a tile is AV1 that has so many times the networks' bytes and errors."""
    if times_bytes > most_bytes(level):
        return False
    judged = looks(times_bytes, times_contrast, times_squared, level)
    if judged < enough(level, has_letters, is_among_last):
        return True
    share = below_top(level)
    return has_letters and times_bytes**share * times_squared < MOST_ERROR**share


def looks(times_bytes: float, times_contrast: float, times_squared: float, level: int) -> float:
    """How far a tile as AV1, of so many times the bytes, the error of contrast and the squared
    errors, is from itself beside what the networks make of it at the same bytes: the logarithm to
    base 2 of a geometric mean, that of LPIPS, DISTS and the root of squared errors. Towards the
    highest level both errors alone decide."""
    by_bytes = LOOKS + LOOKS_BY_BYTES * math.log2(times_bytes)
    by_errors = LOOKS_BY_CONTRAST * math.log2(times_contrast)
    by_errors += LOOKS_BY_ERRORS * math.log2(times_squared)
    return below_top(level) ** SLOWLY * by_bytes + by_errors


def contrast_error(pixels: Bytes, decoded: Bytes) -> float:
    """How much contrast is lost or made up: of squares of 8x8, the mean change of the logarithm of
    brightness's deviation; above 0."""
    ours, theirs = (np.log2(_deviations(p) + UNSEEN_CONTRAST) for p in (pixels, decoded))
    return float(np.abs(ours - theirs).mean()) + 1e-4


def squared_error(pixels: Bytes, decoded: Bytes) -> float:
    """The sum of squared errors; above 0."""
    return float(squared_errors(pixels, decoded).sum()) + 1e-9


def _deviations(pixels: Bytes) -> NDArray[np.float32]:
    """The standard deviation of brightness in each square; of all pixels, where there is none."""
    brightness = pixels.astype(np.float32) @ BRIGHTNESS
    squares = squares_of(brightness)
    return squares.std((2, 3)) if squares.size else brightness.std(keepdims=True)
