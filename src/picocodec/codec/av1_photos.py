"""Tiles of photos that look better as AV1: photographed and scanned text, rendered scenes, and at
high qualities whatever has more detail than the latent holds (docs/graphics.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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

# The level, 0 to 1, from which on every tile is tried: there AV1 is clearly better on most.
TOP_LEVEL = 0.7

# libavif's quality at level 0, and what comes on top by the level, 0 to 1, and by its square: AV1
# takes about the learned coding's bytes there for tiles with letters. A quick try tells how many it
# takes for this one, `QUICK_BYTES` times those of a careful one; so much of quality, at most, makes
# up for what is more or less, each doubling being worth `FOR_TWICE_THE_BYTES`.
AV1_QUALITY = 16, 90, -18
QUICK_SPEED, QUICK_BYTES = 9, 1.08
FOR_TWICE_THE_BYTES, MOST_CHANGE, MOST_QUALITY = 16, 24, 95

# The level, 0 to 1, from which on letters are copied from each other: below, blocks would show on
# the paper around them, since no loop filter smooths what has such copies.
COPYING_LEVEL = 0.5

# The networks have little more to give from there on, but AV1 has: up to level 1 its quality rises
# by so much more, it may take so many times the learned coding's bytes, and bytes count less and
# less beside looks.
TOP_QUALITY, TOP_BYTES = 4, 3.0
MOST_BYTES = 1.5  # times the learned coding's, up to `TOP_LEVEL`
NEARLY = 0.9  # the share of the most bytes to aim at: a quick try is off by up to a tenth

# What a tile without letters gets as AV1, in times of the learned coding's bytes: looks must not
# fall where it changes codec and quality rises.
MORE_BYTES = 1.1

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

INNER = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)  # of a tile with its margin

BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue (BT.601)


@dataclass(frozen=True)
class Av1Photo:
    """A tile as AV1: its stream, libavif's quality, and the sum of squared errors."""

    stream: bytes
    quality: int
    squared: float


def plainness_of(brightness: Bytes) -> float:
    """How much of brightness `[h, w]` is free of noise: of its squares of 2x2 pixels, those whose
    two diagonals differ by at most a step of 255 in sum; the logarithm to base 2, at least -10."""
    steps = np.diff(np.diff(brightness.astype(np.int16), axis=0), axis=1)
    share = float((np.abs(steps) <= 1).mean()) if steps.size else 1.0
    return math.log2(max(share, 2**-10))


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


def has_letters(brightness: Bytes) -> bool:
    """Whether a tile of such brightness `[h, w]` may have letters, and is worth a try."""
    return two_toned_share(brightness) >= TWO_TONED_SHARE


def two_toned_share(brightness: Bytes) -> float:
    """Of the pixels `[h, w]` in squares of strong contrast, those that are nearly as dark as the
    darkest or as bright as the brightest of their square; 0 where there are few such squares."""
    squares = _squares(brightness)
    low, high = _ends(squares)
    strong = high - low >= CONTRAST
    if np.count_nonzero(strong) < max(1, LEAST_STRONG * strong.size):
        return 0.0
    squares, low, high = squares[strong], low[strong, None, None], high[strong, None, None]
    margin = (high - low) // 5
    return float(((squares <= low + margin) | (squares >= high - margin)).mean())


def _squares(brightness: NDArray[Any]) -> NDArray[Any]:
    """Squares `[n, m, 8, 8]` of pixels `[h, w]`, without what is left at the end."""
    down, across = (side // SQUARE for side in brightness.shape)
    squares = brightness[: down * SQUARE, : across * SQUARE]
    return squares.reshape(down, SQUARE, across, SQUARE).transpose(0, 2, 1, 3)


def _ends(squares: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The darkest and the brightest of each square."""
    return squares.min((2, 3)), squares.max((2, 3))


def quality_at(level: int) -> int:
    """libavif's quality for a typical tile at a level in thousandths."""
    lowest, rise, bend = AV1_QUALITY
    share = level / LEVEL_STEPS
    return round(lowest + rise * share + bend * share**2 + TOP_QUALITY * (1 - _below_top(level)))


def quality_for(level: int, has_letters: bool, quick: int, learned: int) -> int:
    """The same for a tile that takes so many bytes in a quick try, and in the learned coding; what
    follows from that counts less and less towards the highest level. Letters, which are read by
    their edges, get the usual one, or what takes nearly the most bytes that there may be."""
    usual, size = quality_at(level), round(quick / QUICK_BYTES)
    if has_letters:
        most = round(NEARLY * most_bytes(level) * learned)
        return min(usual, quality_for_bytes(usual, size, most))
    change = quality_for_bytes(usual, size, round(MORE_BYTES * learned)) - usual
    return usual + round(_below_top(level) * change)


def quality_for_bytes(quality: int, size: int, wanted: int) -> int:
    """libavif's quality for so many bytes, where `quality` takes `size`."""
    change = FOR_TWICE_THE_BYTES * math.log2(wanted / size)
    return min(max(quality + round(min(max(change, -MOST_CHANGE), MOST_CHANGE)), 1), MOST_QUALITY)


def told_at(level: int, has_letters: bool) -> Mapping[str, str]:
    """What libaom is told of a tile at a level in thousandths."""
    return av1.LETTERS if has_letters and level >= COPYING_LEVEL * LEVEL_STEPS else av1.USUAL


def enough(level: int, has_letters: bool, is_among_last: bool = False) -> float:
    """What `looks` must be less than at a level in thousandths."""
    most = NOT_WORSE if has_letters else CLEARLY_BETTER
    if is_among_last:
        most = NOT_WORSE_FOR_A_PAGE
    return most * _below_top(level) ** SLOWLY


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
    is_among_last: bool = False,
) -> Av1Photo | None:
    """A tile with its margin, `[h + 8, w + 8, 3]`, as AV1 if that looks better than what the
    networks make of the tile at a level in thousandths, which `decode` makes `[h, w, 3]` of
    `learned`, or not clearly worse if the tile `is_among_last` of a page; by `threads` at once."""
    if not learned:
        return None
    own, shown = pixels[INNER], decode(learned)
    contrast, squared = contrast_error(own, shown), squared_error(own, shown)

    def coded(
        quality: int, told: Mapping[str, str], speed: int = av1.SPEED
    ) -> tuple[Av1Photo, float, float, float] | None:
        """The photo, and its bytes and both errors in times of the networks'."""
        stream = av1.encode_av1(pixels, quality, threads, speed, told)
        if stream is None:
            return None
        shown = av1.decode_av1(stream, Tile(0, 0, *pixels.shape[:2]))[INNER]
        photo = Av1Photo(stream, quality, squared_error(own, shown))
        times = contrast_error(own, shown) / contrast, photo.squared / squared
        return photo, len(stream) / len(learned), *times

    quick = coded(quality_at(level), av1.USUAL, QUICK_SPEED)
    if quick is None:
        return None
    most, below_top = enough(level, has_letters, is_among_last), _below_top(level)
    # A careful one of other bytes has more or less of errors instead: half of them remain.
    is_hopeless = looks(math.sqrt(quick[1]), *quick[2:], level) > most + QUICK_SLACK
    if is_hopeless and not (has_letters and quick[1] ** below_top * quick[3] < MOST_QUICK_ERROR):
        return None
    quality = quality_for(level, has_letters, len(quick[0].stream), len(learned))
    careful = coded(quality, told_at(level, has_letters))
    if careful is None or not is_taken(*careful[1:], level, has_letters, is_among_last):
        return None
    return careful[0]


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
    below_top = _below_top(level)
    return has_letters and times_bytes**below_top * times_squared < MOST_ERROR**below_top


def encode_av1_page(
    pixels: Bytes, level: int, parts: Sequence[Av1Photo], threads: int
) -> bytes | None:
    """The stream of a picture with letters `[h, w, 3]` in one piece, if its bytes times squared
    errors are fewer than those of its tiles as AV1, `parts`, at a level in thousandths; towards the
    highest the errors alone."""
    size = sum(len(part.stream) for part in parts)
    quality = round(sum(part.quality * len(part.stream) for part in parts) / size)
    stream = av1.encode_av1(pixels, quality, threads, told=told_at(level, has_letters=True))
    if stream is None:
        return None
    shown = av1.decode_av1(stream, Tile(0, 0, *pixels.shape[:2]))
    times_squared = squared_error(pixels, shown) / sum(part.squared for part in parts)
    is_better = (len(stream) / size) ** _below_top(level) * times_squared < 1
    return stream if is_better else None


def looks(times_bytes: float, times_contrast: float, times_squared: float, level: int) -> float:
    """How far a tile as AV1, of so many times the bytes, the error of contrast and the squared
    errors, is from itself beside what the networks make of it at the same bytes: the logarithm to
    base 2 of a geometric mean, that of LPIPS, DISTS and the root of squared errors. Towards the
    highest level both errors alone decide."""
    by_bytes = LOOKS + LOOKS_BY_BYTES * math.log2(times_bytes)
    by_errors = LOOKS_BY_CONTRAST * math.log2(times_contrast)
    by_errors += LOOKS_BY_ERRORS * math.log2(times_squared)
    return _below_top(level) ** SLOWLY * by_bytes + by_errors


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
    squares = _squares(brightness)
    return squares.std((2, 3)) if squares.size else brightness.std(keepdims=True)
