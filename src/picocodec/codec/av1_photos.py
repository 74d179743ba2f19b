"""Tiles of photos that look better as AV1: photographed and scanned text, what is soft, and at high
qualities whatever has more detail than the latent holds (docs/graphics.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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

# The level, 0 to 1, from which on every tile is tried: there AV1 is clearly better on a third of
# those that have no letters, at 0.5 on one in seven.
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
# less beside looks. Where every tile is tried, half the time is worth 1 % of the bytes, but for
# letters, where it would be 4 to 8 %.
TOP_QUALITY, TOP_BYTES, TOP_SPEED = 4, 3.0, 7
MOST_BYTES = 1.5  # times the learned coding's, up to `TOP_LEVEL`

# What `looks` was fitted to on training tiles: a constant, by twice the bytes, and by twice the
# error of contrast. It is off by some 0.4: AV1 is taken where it is clearly better, and letters,
# which are read better so, where it is not clearly worse; copied ones look better than it says.
# What a quick try finds clearly worse is not worth a careful one.
LOOKS, LOOKS_BY_BYTES, LOOKS_BY_CONTRAST = 0.5, 1.75, 1.0
ENOUGH, ENOUGH_WITH_LETTERS, ENOUGH_COPIED, MOST_OF_QUICK = -0.3, 0.2, 0.5, 0.6
# Noise around letters shows, and is a squared error: AV1 is taken there, too, where bytes times
# that are less than this part (2 dB) of the networks'. Quick tries are 1.7 dB worse in the mean.
MOST_ERROR, MOST_QUICK_ERROR = 0.63, 1.06
SLOWLY = 0.25  # the power of how far it is to the highest level, where nothing else counts

# Deviations in squares of 8x8 pixels, in steps of 255, that are hardly seen to differ.
UNSEEN_CONTRAST = 2

# What `foreseen` was fitted to, of 60 training tiles: by level and its square; and by `Detail`,
# and by that times the level. Below `TOP_LEVEL` only what is below the last is worth the time.
FORESEEN_BY_LEVEL = 3.018, -4.621, 0.816
FORESEEN_BY_DETAIL = (1.093, -0.595), (0.619, -1.845), (-0.481, 1.078)
FORESEEN_TO_TRY = -0.2

BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue (BT.601)


@dataclass(frozen=True)
class Detail:
    """Of a tile's brightness, all logarithms to base 2: how much it differs from pixel to pixel
    as noise does, rather than as blurred edges do; and how much within squares of 8x8, in the mean
    and in the mean of squares."""

    sharpness: float
    contrast: float
    strong_contrast: float


def detail_of(brightness: Bytes) -> Detail:
    """Of brightness `[h, w]`, from two columns on; smaller tiles have none."""
    if brightness.shape[1] < 3:
        return Detail(0.0, 0.0, 0.0)
    step = np.diff(brightness.astype(np.int16), axis=1)
    bend = np.abs(np.diff(step, axis=1)).mean()
    low, high = (part.astype(np.float32) for part in _ends(_squares(brightness)))
    contrast = high - low if low.size else np.zeros(1, np.float32)
    return Detail(
        math.log2((bend + 0.05) / (np.abs(step).mean() + 0.05)),
        math.log2(contrast.mean() + 1),
        math.log2(np.square(contrast).mean() + 1),
    )


def is_worth_a_try(detail: Detail, level: int) -> bool:
    """Whether a tile without letters may be better as AV1, at a level in thousandths."""
    return level >= TOP_LEVEL * LEVEL_STEPS or foreseen(detail, level) < FORESEEN_TO_TRY


def foreseen(detail: Detail, level: int) -> float:
    """What to expect of `looks` at a level in thousandths."""
    share = level / LEVEL_STEPS
    known = detail.sharpness, detail.contrast, detail.strong_contrast
    constant, rise, bend = FORESEEN_BY_LEVEL
    sums = constant + rise * share + bend * share**2
    for value, (weight, by_level) in zip(known, FORESEEN_BY_DETAIL, strict=True):
        sums += (weight + by_level * share) * value
    return sums


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
    follows from that counts less and less towards the highest level, and not for letters, which are
    read by their edges, whatever these cost."""
    usual = quality_at(level)
    if has_letters:
        return usual
    change = quality_for_bytes(usual, round(quick / QUICK_BYTES), learned) - usual
    return usual + round(_below_top(level) * change)


def quality_for_bytes(quality: int, size: int, wanted: int) -> int:
    """libavif's quality for so many bytes, where `quality` takes `size`."""
    change = FOR_TWICE_THE_BYTES * math.log2(wanted / size)
    return min(max(quality + round(min(max(change, -MOST_CHANGE), MOST_CHANGE)), 1), MOST_QUALITY)


def told_at(level: int, has_letters: bool) -> Mapping[str, str]:
    """What libaom is told of a tile at a level in thousandths."""
    return av1.LETTERS if has_letters and level >= COPYING_LEVEL * LEVEL_STEPS else av1.USUAL


def enough(level: int, has_letters: bool) -> float:
    """What `looks` must be less than at a level in thousandths."""
    most = ENOUGH_WITH_LETTERS if has_letters else ENOUGH
    if told_at(level, has_letters) is av1.LETTERS:
        most = ENOUGH_COPIED
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
) -> bytes | None:
    """An AV1 stream of a tile with its margin, `[h + 8, w + 8, 3]`, if it looks better than what
    the networks make of the tile at a level in thousandths, which `decode` makes `[h, w, 3]` of
    `learned`; by `threads` at once."""
    if not learned:
        return None
    inner = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)
    own, shown = pixels[inner], decode(learned)
    contrast, squared = contrast_error(own, shown), squared_errors(own, shown).sum()

    def coded(
        quality: int, speed: int, told: Mapping[str, str]
    ) -> tuple[bytes, float, float, float] | None:
        """The stream, and its bytes and both errors in times of the networks'."""
        data = av1.encode_av1(pixels, quality, threads, speed, told)
        if data is None:
            return None
        shown = av1.decode_av1(data, Tile(0, 0, *pixels.shape[:2]))[inner]
        times_squared = float(squared_errors(own, shown).sum() / max(squared, 1e-9))
        times_contrast = contrast_error(own, shown) / contrast
        return data, len(data) / len(learned), times_contrast, times_squared

    quick = coded(quality_at(level), QUICK_SPEED, av1.USUAL)
    if quick is None:
        return None
    below_top = _below_top(level)
    # A careful one of other bytes has more or less of errors instead: half of them remain.
    hopeless = looks(math.sqrt(quick[1]), quick[2], level) > MOST_OF_QUICK
    if hopeless and not (has_letters and quick[1] ** below_top * quick[3] < MOST_QUICK_ERROR):
        return None
    is_one_of_many = level >= TOP_LEVEL * LEVEL_STEPS and not has_letters
    speed = TOP_SPEED if is_one_of_many else av1.SPEED
    quality = quality_for(level, has_letters, len(quick[0]), len(learned))
    careful = coded(quality, speed, told_at(level, has_letters))
    if careful is None or careful[1] > most_bytes(level):
        return None
    is_better = looks(careful[1], careful[2], level) < enough(level, has_letters)
    if has_letters:
        is_better |= careful[1] ** below_top * careful[3] < MOST_ERROR**below_top
    return careful[0] if is_better else None


def looks(times_bytes: float, times_error: float, level: int) -> float:
    """How far a tile as AV1, of so many times the bytes and the error of contrast, is from itself
    by LPIPS and DISTS, beside what the networks make of it at the same bytes: the logarithm to base
    2. Towards the highest level the contrast alone decides."""
    by_bytes = LOOKS + LOOKS_BY_BYTES * math.log2(times_bytes)
    return _below_top(level) ** SLOWLY * by_bytes + LOOKS_BY_CONTRAST * math.log2(times_error)


def contrast_error(pixels: Bytes, decoded: Bytes) -> float:
    """How much contrast is lost or made up: of squares of 8x8, the mean change of the logarithm of
    brightness's deviation; above 0."""
    ours, theirs = (np.log2(_deviations(p) + UNSEEN_CONTRAST) for p in (pixels, decoded))
    return float(np.abs(ours - theirs).mean()) + 1e-4


def _deviations(pixels: Bytes) -> NDArray[np.float32]:
    """The standard deviation of brightness in each square; of all pixels, where there is none."""
    brightness = pixels.astype(np.float32) @ BRIGHTNESS
    squares = _squares(brightness)
    return squares.std((2, 3)) if squares.size else brightness.std(keepdims=True)
