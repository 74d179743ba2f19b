"""Tiles of photos that look better as AV1: photographed and scanned text, rendered scenes, and at
high qualities whatever has more detail than the latent holds (docs/graphics.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from picocodec.coders import av1
from picocodec.coders.av1 import Av1Coder
from picocodec.coders.protocol import Bytes, Candidate
from picocodec.encoding.candidates import Av1Photo, Coded, Place
from picocodec.encoding.judge import (
    MOST_QUICK_ERROR,
    QUICK_SLACK,
    below_top,
    contrast_error,
    enough,
    is_taken,
    is_worth_a_try,
    looks,
    most_bytes,
    squared_error,
)
from picocodec.format.container import LEVEL_STEPS
from picocodec.format.pieces import CoderId, Piece
from picocodec.format.tiles import MARGIN, Tile
from picocodec.images.canvas import part, with_margin
from picocodec.images.picture import Pixels
from picocodec.pipeline import in_order

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
class Trial:
    """A tile as AV1, and its bytes and both errors in times of the networks'."""

    photo: Av1Photo
    bytes: float
    contrast: float
    squared: float


class Photos:
    """The tiles of the photos in `rgb` at a level: by the networks, or as AV1 where that looks
    better.

    With `letters_only`, none but tiles that may have letters are tried; `workers` tiles at once,
    by `threads` each.
    """

    def __init__(
        self,
        rgb: Pixels,
        level: int,
        letters_only: bool = False,
        workers: int = 1,
        threads: int = 1,
    ) -> None:
        self.rgb, self.level, self.letters_only = rgb, level, letters_only
        self.workers, self.threads = workers, threads

    def best(self, place: Place, coded: Coded) -> Coded:
        """A learned tile, or what is better."""
        look, tile = place.look, place.tile
        assert coded.piece is not None
        bits = 8 * len(coded.piece.payload) / (tile.width * tile.height)
        worth = look.lettered or (
            not self.letters_only and is_worth_a_try(look.plainness, bits, coded.piece.level)
        )
        return self._tried_as_av1(place, coded) if worth else coded

    def page(self, places: Sequence[Place], coded: Sequence[Coded]) -> bytes | None:
        """All tiles of a page, most of which may have letters, as one AV1 photo, where half of them
        and more are AV1 already, and the others are not clearly worse so."""
        lettered = sum(place.look.lettered for place in places)
        are_av1 = sum(tile.photo is not None for tile in coded)
        if 2 * lettered <= len(coded) or 2 * are_av1 < len(coded):
            return None
        if not all(tile.has_margin for tile in coded):
            return None
        photos = in_order(self._part_of_page, zip(places, coded, strict=True), self.workers)
        parts = [photo for photo in photos if photo is not None]
        if len(parts) < len(coded):
            return None
        pixels = part(self.rgb, Tile(0, 0, *self.rgb.shape[:2]))
        return encode_av1_page(pixels, self.level, parts, self.workers * self.threads)

    def _part_of_page(self, tile: tuple[Place, Coded]) -> Av1Photo | None:
        place, coded = tile
        return coded.photo or self._tried_as_av1(place, coded, True).photo

    def _tried_as_av1(self, place: Place, coded: Coded, is_among_last: bool = False) -> Coded:
        if not av1.is_available():
            return coded
        assert coded.learned is not None and coded.piece is not None
        photo = encode_av1_photo(
            with_margin(self.rgb, place.tile),
            coded.piece.level,
            place.look.lettered,
            coded.learned,
            self.threads,
            is_among_last,
        )
        if photo is None:
            return coded
        piece = Piece(photo.stream, CoderId.AV1, self.level, margin=True)
        return Coded(piece, photo=photo)


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


class Rivals:
    """AV1 beside what the networks make of a tile, whose `pixels` have its margin."""

    def __init__(self, pixels: Bytes, learned: Candidate, threads: int) -> None:
        self.pixels, self.own, self.threads = pixels, pixels[INNER], threads
        shown = learned.shown[INNER]
        self.size = len(learned.payload)
        self.contrast = contrast_error(self.own, shown)
        self.squared = squared_error(self.own, shown)

    def tried(self, quality: int, told: Mapping[str, str], speed: int = av1.SPEED) -> Trial | None:
        """The tile as AV1, where that can be made."""
        candidate = Av1Coder(quality, self.threads, speed, told).encode(self.pixels)
        if candidate is None:
            return None
        shown = candidate.shown[INNER]
        photo = Av1Photo(candidate.payload, quality, squared_error(self.own, shown))
        return Trial(
            photo,
            bytes=len(candidate.payload) / self.size,
            contrast=contrast_error(self.own, shown) / self.contrast,
            squared=photo.squared / self.squared,
        )


def encode_av1_photo(
    pixels: Bytes,
    level: int,
    has_letters: bool,
    learned: Candidate,
    threads: int,
    is_among_last: bool = False,
) -> Av1Photo | None:
    """A tile with its margin, `[h + 8, w + 8, 3]`, as AV1 if that looks better than what the
    networks make of it at a level in thousandths, or not clearly worse if the tile `is_among_last`
    of a page; by `threads` at once."""
    if not learned.payload:
        return None
    rivals = Rivals(pixels, learned, threads)
    quick = rivals.tried(quality_at(level), av1.USUAL, QUICK_SPEED)
    if quick is None:
        return None
    most, share = enough(level, has_letters, is_among_last), below_top(level)
    # A careful one of other bytes has more or less of errors instead: half of them remain.
    hope = looks(math.sqrt(quick.bytes), quick.contrast, quick.squared, level)
    is_noisy = has_letters and quick.bytes**share * quick.squared < MOST_QUICK_ERROR
    if hope > most + QUICK_SLACK and not is_noisy:
        return None
    quality = quality_for(level, has_letters, len(quick.photo.stream), rivals.size)
    careful = rivals.tried(quality, told_at(level, has_letters))
    if careful is None:
        return None
    times = careful.bytes, careful.contrast, careful.squared
    return careful.photo if is_taken(*times, level, has_letters, is_among_last) else None


def encode_av1_page(
    pixels: Bytes, level: int, parts: Sequence[Av1Photo], threads: int
) -> bytes | None:
    """The stream of a picture with letters `[h, w, 3]` in one piece, if its bytes times squared
    errors are fewer than those of its tiles as AV1, `parts`, at a level in thousandths; towards the
    highest the errors alone."""
    size = sum(len(part.stream) for part in parts)
    quality = round(sum(part.quality * len(part.stream) for part in parts) / size)
    coder = Av1Coder(quality, threads, told=told_at(level, has_letters=True))
    page = coder.encode(pixels)
    if page is None:
        return None
    times_squared = squared_error(pixels, page.shown) / sum(part.squared for part in parts)
    is_better = (len(page.payload) / size) ** below_top(level) * times_squared < 1
    return page.payload if is_better else None
