"""Tiles of photos that look better as AV1: photographed and scanned text, rendered scenes, and at
high qualities whatever has more detail than the latent holds (docs/graphics.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picocodec.coders import av1
from picocodec.encoding.judge import (
    MOST_QUICK_ERROR,
    QUICK_SLACK,
    below_top,
    contrast_error,
    enough,
    is_taken,
    looks,
    most_bytes,
    squared_error,
)
from picocodec.format.container import LEVEL_STEPS
from picocodec.format.tiles import MARGIN, Tile

Bytes = NDArray[np.uint8]


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

# The networks have little more to give from `TOP_LEVEL` on, but AV1 has: up to level 1 its quality
# rises by so much more.
TOP_QUALITY = 4
NEARLY = 0.9  # the share of the most bytes to aim at: a quick try is off by up to a tenth

# What a tile without letters gets as AV1, in times of the learned coding's bytes: looks must not
# fall where it changes codec and quality rises.
MORE_BYTES = 1.1

INNER = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)  # of a tile with its margin


@dataclass(frozen=True)
class Av1Photo:
    """A tile as AV1: its stream, libavif's quality, and the sum of squared errors."""

    stream: bytes
    quality: int
    squared: float


def quality_at(level: int) -> int:
    """libavif's quality for a typical tile at a level in thousandths."""
    lowest, rise, bend = AV1_QUALITY
    share = level / LEVEL_STEPS
    return round(lowest + rise * share + bend * share**2 + TOP_QUALITY * (1 - below_top(level)))


def quality_for(level: int, has_letters: bool, quick: int, learned: int) -> int:
    """The same for a tile that takes so many bytes in a quick try, and in the learned coding; what
    follows from that counts less and less towards the highest level. Letters, which are read by
    their edges, get the usual one, or what takes nearly the most bytes that there may be."""
    usual, size = quality_at(level), round(quick / QUICK_BYTES)
    if has_letters:
        most = round(NEARLY * most_bytes(level) * learned)
        return min(usual, quality_for_bytes(usual, size, most))
    change = quality_for_bytes(usual, size, round(MORE_BYTES * learned)) - usual
    return usual + round(below_top(level) * change)


def quality_for_bytes(quality: int, size: int, wanted: int) -> int:
    """libavif's quality for so many bytes, where `quality` takes `size`."""
    change = FOR_TWICE_THE_BYTES * math.log2(wanted / size)
    return min(max(quality + round(min(max(change, -MOST_CHANGE), MOST_CHANGE)), 1), MOST_QUALITY)


def told_at(level: int, has_letters: bool) -> Mapping[str, str]:
    """What libaom is told of a tile at a level in thousandths."""
    return av1.LETTERS if has_letters and level >= COPYING_LEVEL * LEVEL_STEPS else av1.USUAL


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
    most, share = enough(level, has_letters, is_among_last), below_top(level)
    # A careful one of other bytes has more or less of errors instead: half of them remain.
    is_hopeless = looks(math.sqrt(quick[1]), *quick[2:], level) > most + QUICK_SLACK
    if is_hopeless and not (has_letters and quick[1] ** share * quick[3] < MOST_QUICK_ERROR):
        return None
    quality = quality_for(level, has_letters, len(quick[0].stream), len(learned))
    careful = coded(quality, told_at(level, has_letters))
    if careful is None or not is_taken(*careful[1:], level, has_letters, is_among_last):
        return None
    return careful[0]


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
    is_better = (len(stream) / size) ** below_top(level) * times_squared < 1
    return stream if is_better else None
