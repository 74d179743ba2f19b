"""Ways of coding a tile, or a few together, each with its cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

import numpy as np

from picocodec.coders import av1
from picocodec.coders.av1 import Av1Coder
from picocodec.coders.learned import LearnedCoder
from picocodec.coders.lossless import LosslessCoder
from picocodec.coders.protocol import Candidate
from picocodec.encoding import fitted
from picocodec.encoding.effort import Effort
from picocodec.encoding.features import Look
from picocodec.encoding.judge import Judge
from picocodec.encoding.rate import TOLERANCE
from picocodec.format.container import LEVEL_STEPS
from picocodec.format.pieces import CoderId, Piece
from picocodec.format.tiles import MARGIN, Tile
from picocodec.images.canvas import part, with_margin
from picocodec.images.picture import Pixels

# What is drawn and costs less without loss than by the networks stays exact from this level on.
EXACT_LEVEL = 900

# From this level on letters are copied from each other: below, blocks would show on the paper
# around them, since no loop filter smooths what has such copies.
COPYING_LEVEL = 500

QUICKEST = 9  # libaom's speed of a quick try, which takes a twentieth of the time of a careful one
FINEST_AV1 = 98  # libavif's quality; beyond, libaom is lossless
LEAST_OF_QUICK = 0.6  # what careful lossless coding takes of the bytes of a quick one, at least

# How many times the bits of a photo's pixel the networks spend on each pixel of a flat tile that is
# not as the one to its left, from which on it may be drawn: photos, flat where they are dark or
# white, take less.
FOR_A_CHANGE = 1.25

# Of a tile with its margin, what it owns; of an area without, all.
_WITHIN = {True: np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN], False: np.s_[:, :]}


@dataclass(frozen=True)
class Place:
    """A tile of a picture, what it looks like, and what its level has over the picture's, in
    thousandths."""

    tile: Tile
    look: Look
    offset: int


@dataclass(frozen=True)
class Area:
    """What a piece is to cover: its pixels, the rows and columns of tiles in them, and whether it
    is drawn, photographed text, or is to have a margin."""

    pixels: Tile
    is_drawn: bool
    is_text: bool
    margin: bool = False
    rows: int = 1
    columns: int = 1


class Way:
    """A way of coding an area: its piece, and its cost in bits, which is only known once it is
    asked for, since most tiles of photos are never decoded."""

    def __init__(self, piece: Piece, cost: Callable[[], float] | float) -> None:
        self.piece = piece
        self._cost = cost

    @property
    def is_judged(self) -> bool:
        """Whether its cost is known already."""
        return isinstance(self._cost, float)

    @property
    def cost(self) -> float:
        """In bits, by the judge of its level."""
        if not isinstance(self._cost, float):
            self._cost = float(self._cost())
        return self._cost


class Tries:
    """Codes parts of the picture `rgb` at its level in thousandths, in one way or another."""

    def __init__(self, rgb: Pixels, level: int, coder: LearnedCoder, effort: Effort) -> None:
        self.rgb, self.level, self.coder, self.effort = rgb, level, coder, effort
        self.judges = {letters: Judge(level, letters) for letters in (False, True)}
        self.speed = effort.av1 if av1.is_available() else None

    def learned(self, place: Place) -> Way:
        """A tile by the networks, at a level of its own."""
        level = min(max(self.level + place.offset, 0), LEVEL_STEPS)
        candidate = self.coder.encode(with_margin(self.rgb, place.tile), level)
        piece = Piece(candidate.payload, CoderId.LEARNED, level, margin=True)
        area = Area(place.tile, False, place.look.is_text, margin=True)
        return Way(piece, partial(self._cost, candidate, area))

    def _cost(self, candidate: Candidate, area: Area) -> float:
        own, shown = part(self.rgb, area.pixels), candidate.shown[_WITHIN[area.margin]]
        return self.judges[area.is_text].cost(len(candidate.payload), own, shown)

    def alone(self, place: Place, learned: Way, threads: int) -> Way:
        """The best way for a tile alone, the networks' being known; by so many threads."""
        best, look = learned, place.look
        spent = 8 * len(learned.piece.payload)
        is_drawn = look.flat and spent >= FOR_A_CHANGE * self._photo_bits * look.changes
        area = Area(place.tile, is_drawn, look.is_text, margin=not is_drawn)
        if is_drawn:
            best = self.exact(area, best)
            if best is not learned and self.level >= EXACT_LEVEL:
                return best
        if self._is_worth_av1(area, best, threads):
            best = self.as_av1(area, best, threads)
        if self._keeps_promises(area, best):
            return best
        # It breaks a promise: finer AV1 keeps it, or exact pixels do.
        quality = self._av1_quality
        while best.cost == math.inf and quality < FINEST_AV1:
            quality = (quality + FINEST_AV1 + 1) // 2
            best = self.as_av1(area, best, threads, quality)
        return self.exact(area, best)

    def _keeps_promises(self, area: Area, best: Way) -> bool:
        """Whether the best way so far does; few tiles of photos need be decoded to know."""
        judge = self.judges[area.is_text]
        if not judge.promises:
            return True
        easy = not best.is_judged and judge.is_easy(part(self.rgb, area.pixels))
        return easy or best.cost < math.inf

    def _is_worth_av1(self, area: Area, best: Way, threads: int) -> bool:
        """Whether a tile is to be tried as careful AV1. Of photos that are flat in part or may have
        letters most are better without, and a quick try says so in a twentieth of the time."""
        if self.speed is None or not (area.is_drawn or area.is_text or self.effort.photos):
            return False
        if self.effort.photos or best.cost == math.inf:
            return True
        most = fitted.QUICK_MAY_COST * best.cost
        coder = Av1Coder(self._av1_quality, threads, QUICKEST, self._told(area))
        quick = self._by_av1(area, coder)
        return quick is not None and 8 * len(quick.piece.payload) < most and quick.cost < most

    def exact(self, area: Area, best: Way) -> Way:
        """An area as it is, if that costs less than the best way so far."""
        pixels = part(self.rgb, area.pixels)
        quick = LosslessCoder(quick=True).encode(pixels)
        if LEAST_OF_QUICK * Judge.exact(len(quick.payload)) >= best.cost:
            return best
        payload = LosslessCoder().encode(pixels).payload
        piece = Piece(payload, CoderId.LOSSLESS, self.level, area.rows, area.columns)
        return min(best, Way(piece, Judge.exact(len(payload))), key=attrgetter("cost"))

    def as_av1(self, area: Area, best: Way, threads: int, quality: int | None = None) -> Way:
        """An area as AV1, if that costs less than the best way so far. `quality` is another one of
        libavif than the level's."""
        if self.speed is None:
            return best
        coder = Av1Coder(quality or self._av1_quality, threads, self.speed, self._told(area))
        way = self._by_av1(area, coder)
        if way is None or 8 * len(way.piece.payload) >= best.cost:
            return best
        return min(best, way, key=attrgetter("cost"))

    def _by_av1(self, area: Area, coder: Av1Coder) -> Way | None:
        candidate = coder.encode((with_margin if area.margin else part)(self.rgb, area.pixels))
        if candidate is None:
            return None
        extent = area.rows, area.columns, area.margin
        piece = Piece(candidate.payload, CoderId.AV1, self.level, *extent)
        return Way(piece, partial(self._cost, candidate, area))

    def filling(self, area: Area, most: int, threads: int) -> Piece | None:
        """An area in as many bytes as there may be: by the networks, where it is a tile, or as AV1,
        whichever is nearer to the pixels; None where neither is so small."""
        found = self._largest_av1(area, most, threads) if self.speed is not None else []
        if area.rows == area.columns == 1:
            found += self._largest_learned(area, most)
        own, judge = part(self.rgb, area.pixels), self.judges[area.is_text]

        def distortion(made: tuple[Piece, Candidate]) -> float:
            return judge.distortion(own, made[1].shown[_WITHIN[made[0].margin]])

        # What fills the size comes first: looks decide among those that do.
        full = [c for c in found if len(c[1].payload) >= (1 - TOLERANCE) * most] or found
        nearest = min(full, key=distortion, default=None)
        return nearest[0] if nearest else None

    def _largest_learned(self, area: Area, most: int) -> list[tuple[Piece, Candidate]]:
        pixels = with_margin(self.rgb, area.pixels)
        level, beyond, best = 0, LEVEL_STEPS + 1, None
        while level < beyond:
            middle = (level + beyond) // 2
            candidate = self.coder.encode(pixels, middle)
            if len(candidate.payload) <= most:
                best = Piece(candidate.payload, CoderId.LEARNED, middle, margin=True), candidate
                level = middle + 1
            else:
                beyond = middle
        return [best] if best else []

    def _largest_av1(self, area: Area, most: int, threads: int) -> list[tuple[Piece, Candidate]]:
        """By quality and, for what is between two of its steps, by finer means."""
        pixels = (with_margin if area.margin else part)(self.rgb, area.pixels)
        told = self._told(area)
        quality, beyond, fits = 1, FINEST_AV1 + 1, []
        while quality < beyond:
            middle = (quality + beyond) // 2
            candidate = Av1Coder(middle, threads, told=told).encode(pixels)
            if candidate is not None and len(candidate.payload) <= most:
                fits.append(candidate)
                quality = middle + 1
            else:
                beyond = middle
        for options in av1.FINE_STEPS:
            coder = Av1Coder(min(beyond, 99), threads, told={**told, **options})
            candidate = coder.encode(pixels)
            if candidate is not None and len(candidate.payload) <= most:
                fits.append(candidate)
        if not fits:
            return []
        best, extent = max(fits, key=_length), (area.rows, area.columns, area.margin)
        return [(Piece(best.payload, CoderId.AV1, self.level, *extent), best)]

    @property
    def _photo_bits(self) -> float:
        """What the networks spend on a pixel of photos, typically, at the level."""
        first, growth = fitted.BITS
        return first * growth ** (self.level / LEVEL_STEPS)

    @property
    def _av1_quality(self) -> int:
        """libavif's, for the level."""
        share = self.level / LEVEL_STEPS
        start, rise, bend = fitted.AV1_QUALITY
        return round(start + rise * share + bend * share**2)

    def _told(self, area: Area) -> Mapping[str, str]:
        """What libaom is told."""
        if area.is_drawn:
            return av1.DRAWING
        return av1.LETTERS if area.is_text and self.level >= COPYING_LEVEL else av1.USUAL


def _length(candidate: Candidate) -> int:
    return len(candidate.payload)
