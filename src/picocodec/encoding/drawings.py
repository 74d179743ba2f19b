"""How each drawing in a picture is kept: the lowest price among the learned coding, lossless WebP,
few colours and AV1, for a block of tiles together or for each alone (docs/graphics.md).

Together and AV1 go first: what they cost tells which of the other tries, far more of them, are in
vain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from picocodec.coders import av1
from picocodec.coders.av1 import Av1Coder
from picocodec.coders.lossless import LosslessCoder
from picocodec.coders.protocol import Bytes, Candidate
from picocodec.encoding.candidates import Coded, Drawing, joined, learned_tile
from picocodec.encoding.features import has_hard_steps, is_too_rich
from picocodec.encoding.judge import EXACT_LEVEL, LEAST_SAVED, Priced, price_of_errors, to_beat
from picocodec.encoding.palettes import (
    MOST_BANDS,
    PALETTES,
    Colours,
    bands,
    has_few_colours,
    posterised,
)
from picocodec.format.container import LEVEL_STEPS
from picocodec.format.pieces import LONGEST, CoderId, Piece
from picocodec.format.tiles import MARGIN, Tile, area_of, tiles_along
from picocodec.images.canvas import part
from picocodec.images.picture import Pixels
from picocodec.pipeline import in_order

# Times the bytes of the learned coding: sizes must not leap where quality rises a little.
MOST_FOR_DRAWN = 3

# What a careful try takes of the bytes of a quick one: at least, and three times in four more than.
OF_QUICK = 0.5, 0.75

# libavif's quality at levels 0 and 1000, on a line, and at most: within 2 % of the lowest price
# on pages that a browser rendered and charts, with and without photos.
AV1_QUALITIES = 22, 117
BEST_AV1_QUALITY = 95


INNER = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)  # of a tile with its margin


@dataclass(frozen=True)
class Group:
    """Drawings that are settled together: the rows and columns of tiles that make up an area."""

    members: Mapping[Tile, Coded]
    area: Tile
    rows: int = 1
    columns: int = 1

    @property
    def drawings(self) -> list[Drawing]:
        return [_drawing(coded) for coded in self.members.values()]

    @property
    def price(self) -> float:
        return math.fsum(drawing.price for drawing in self.drawings)

    @property
    def most(self) -> int:
        """The bytes that they may take together."""
        return sum(drawing.most for drawing in self.drawings)

    def with_most(self, most: int) -> Iterator[tuple[Tile, Coded]]:
        """Its members, each of which may take so many bytes, at least."""
        for tile, coded in self.members.items():
            drawing = _drawing(coded)
            yield tile, replace(coded, drawing=replace(drawing, most=max(drawing.most, most)))


class Drawings:
    """The drawings in `rgb` at a level, whose `slope` that of `price_of_errors` is; `workers` tiles
    at once, by `threads` each."""

    def __init__(
        self, rgb: Pixels, level: int, slope: float, workers: int = 1, threads: int = 1
    ) -> None:
        self.rgb, self.level, self.slope = rgb, level, slope
        self.workers, self.threads = workers, threads
        self.has_av1 = av1.is_available()

    def alone(self, tile: Tile, learned: Candidate) -> Coded | None:
        """A tile as the networks code it, if it may be kept as a drawing; whether it is, settling
        its block tells."""
        pixels, size = part(self.rgb, tile), len(learned.payload)
        most = MOST_FOR_DRAWN * size
        # An overexposed sky is flat, too: what is far from the bargain is not worth a careful try.
        quick = None if is_too_rich(pixels, most) else quick_size(pixels)
        if quick is not None and OF_QUICK[0] * quick > most and not has_few_colours(pixels):
            quick = None
        is_screen = self.has_av1 and has_hard_steps(pixels)
        if quick is None and not is_screen:
            return None
        price = 8 * size + price_of_errors(pixels, learned.shown[INNER], self.slope)
        return learned_tile(learned, self.level, Drawing(price, most, is_screen, quick))

    def settle_last_blocks(self, coded: list[Coded], layout: list[Tile]) -> None:
        """Choose for the last row of blocks of `coded`, a block being as many tiles as a piece may
        cover."""
        height, width = self.rgb.shape[:2]
        across, down = tiles_along(width), tiles_along(height)
        row = (len(coded) - 1) // across // LONGEST * LONGEST
        for column in range(0, across, LONGEST):
            rows, columns = min(LONGEST, down - row), min(LONGEST, across - column)
            first = row * across + column
            members = [first + r * across + c for r in range(rows) for c in range(columns)]
            drawings = [i for i in members if coded[i].drawing is not None]
            if len(drawings) == len(members) > 1:
                area = area_of(width, height, first, rows, columns)
                block = Group({layout[i]: coded[i] for i in members}, area, rows, columns)
                for i, tile in zip(members, self._settled(block), strict=True):
                    coded[i] = tile
                # What AV1 could not improve together it does not alone, but where that is learned.
                drawings = [i for i in drawings if coded[i].is_learned]
            apart = [Group({layout[i]: coded[i]}, layout[i]) for i in drawings]
            alone = in_order(self._settled, apart, self.workers)
            for i, [tile] in zip(drawings, alone, strict=True):
                coded[i] = tile

    def _settled(self, group: Group) -> list[Coded]:
        """A tile, or the tiles of a block: in one piece, which says once what repeats from tile to
        tile, or else each as it is best alone."""
        # A photo with an overexposed sky can be drawn, too, and AV1 would always have fewer errors.
        is_screen = any(drawing.is_screen for drawing in group.drawings)
        screen = drawn = None
        if is_screen and self.level < EXACT_LEVEL:
            screen = self._screen(group, group.price)
        if any(drawing.quick is not None for drawing in group.drawings):
            limit = min(group.price, screen.price / (1 - LEAST_SAVED)) if screen else group.price
            drawn = self._drawn(group, limit)
        best = screen
        if drawn and (not screen or screen.price >= to_beat([drawn], self.level)):
            best = drawn
        hoped = math.fsum(_hoped_price(drawing, self.level) for drawing in group.drawings)
        if best and best.price <= hoped:
            return self._joined(group, best, is_drawn=best is drawn)

        together = list(group.members.values())
        if len(together) > 1:
            together = self._drawn_apart(group, len(drawn.payload) if drawn else 0)
            if drawn and drawn.price >= math.fsum(_drawing(tile).price for tile in together):
                drawn = None
        kept = [drawn] if drawn else [Priced(t.payload, _drawing(t).price) for t in together]
        limit = to_beat(kept, self.level)
        if is_screen and self.level >= EXACT_LEVEL and limit:
            screen = self._screen(group, limit)
        if screen and screen.price < limit:
            return self._joined(group, screen, is_drawn=False)
        return self._joined(group, drawn, is_drawn=True) if drawn else together

    def _screen(self, group: Group, limit: float) -> Priced | None:
        """`encode_screen` of drawings in one piece."""
        threads = self.threads if len(group.members) == 1 else self.workers * self.threads
        pixels = part(self.rgb, group.area)
        return encode_screen(pixels, self.level, self.slope, group.most, limit, threads)

    def _drawn(self, group: Group, limit: float) -> Priced | None:
        """`encode_drawn` of drawings in one piece."""
        pixels, most = part(self.rgb, group.area), group.most
        learned = np.empty_like(pixels)
        for tile, coded in group.members.items():
            assert coded.learned is not None
            learned[tile.within(group.area)] = coded.learned.shown[INNER]
        quick = sum(math.inf if d.quick is None else d.quick for d in group.drawings)
        try_exact = OF_QUICK[0] * quick <= min(most, limit / 8)
        return encode_drawn(pixels, learned, self.level, self.slope, most, limit, try_exact)

    def _drawn_apart(self, group: Group, most: int) -> list[Coded]:
        """Each of a block's drawings by itself; what the block may take in one piece, `most` bytes,
        its tiles may share as they like."""
        return list(in_order(self._drawn_alone, group.with_most(most), self.workers))

    def _drawn_alone(self, alone: tuple[Tile, Coded]) -> Coded:
        """A tile as a drawing without loss or in few colours, if that has a lower price."""
        tile, coded = alone
        drawing = _drawing(coded)
        if drawing.quick is None:
            return coded
        drawn = self._drawn(Group({tile: coded}, tile), drawing.price)
        if drawn is None:
            return replace(coded, drawing=replace(drawing, quick=None))
        tried = replace(drawing, price=drawn.price, quick=None)
        return Coded(Piece(drawn.payload, CoderId.LOSSLESS, self.level), drawing=tried)

    def _joined(self, group: Group, best: Priced, is_drawn: bool) -> list[Coded]:
        """The tiles of a payload that has them all."""
        coder = CoderId.LOSSLESS if is_drawn else CoderId.AV1
        return joined(Piece(best.payload, coder, self.level, group.rows, group.columns))


def quick_size(pixels: Bytes) -> int:
    """The bytes of a quick lossless WebP stream of pixels; a careful one has `OF_QUICK` of them."""
    return len(LosslessCoder(quick=True).encode(pixels).payload)


def encode_drawn(
    pixels: Bytes,
    learned: Bytes,
    level: int,
    slope: float,
    most: int,
    limit: float,
    try_exact: bool = True,
) -> Priced | None:
    """A tile's or block's pixels without loss, as they are (with `try_exact`) or in fewer colours:
    what has the lowest price that is below `limit` and takes at most `most` bytes, if any does.
    `learned` is what the networks make of them at `level`, whose `slope` that of `price_of_errors`
    is."""
    best: Priced | None = None
    palettes: Colours | None = None
    if try_exact:
        exact = LosslessCoder().encode(pixels).payload
        if len(exact) <= most and 8 * len(exact) < limit:
            best = Priced(exact, 8 * len(exact))
            limit = (1 - LEAST_SAVED) * best.price
    for colours in PALETTES if level < EXACT_LEVEL and has_few_colours(pixels) else ():
        palettes = palettes or Colours(pixels)
        reduced = palettes.reduced_to(colours)
        errors = price_of_errors(pixels, reduced, slope)
        if (
            errors >= limit
            or OF_QUICK[0] * quick_size(reduced) > most
            or posterised(pixels, reduced, learned)
            or bands(pixels, reduced) > MOST_BANDS * colours
        ):
            break
        payload = LosslessCoder().encode(reduced).payload
        price = 8 * len(payload) + errors
        if len(payload) <= most and price < limit:
            best, limit = Priced(payload, price), price
    return best


def encode_screen(
    pixels: Bytes, level: int, slope: float, most: int, limit: float, threads: int
) -> Priced | None:
    """A drawing's pixels as AV1, by `threads` at once, if its price is below `limit` and it takes
    at most `most` bytes."""
    low, high = AV1_QUALITIES
    quality = min(round(low + (high - low) * level / LEVEL_STEPS), BEST_AV1_QUALITY)
    screen = Av1Coder(quality, threads, told=av1.SCREEN).encode(pixels)
    if screen is None or len(screen.payload) > most or 8 * len(screen.payload) >= limit:
        return None
    price = 8 * len(screen.payload) + price_of_errors(pixels, screen.shown, slope)
    return Priced(screen.payload, price) if price < limit else None


def _drawing(coded: Coded) -> Drawing:
    assert coded.drawing is not None
    return coded.drawing


def _hoped_price(drawing: Drawing, level: int) -> float:
    """What to hope for, without another try, of a drawing by itself; where all is kept exactly,
    nothing of what the networks make of it, which depends on quality, as sizes there must not."""
    if drawing.quick is None:
        return drawing.price
    exact = OF_QUICK[1] * 8 * drawing.quick
    return exact if level >= EXACT_LEVEL else min(drawing.price, exact)
