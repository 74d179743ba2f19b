"""How each drawing in a picture is kept: the lowest price among the learned coding, lossless WebP,
few colours and AV1, for a block of tiles together or for each alone (docs/graphics.md).

Together and AV1 go first: what they cost tells which of the other tries, far more of them, are in
vain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from picocodec.coders import av1
from picocodec.coders.lossless import encode_lossless
from picocodec.encoding.features import has_hard_steps, is_too_rich
from picocodec.encoding.judge import EXACT_LEVEL, LEAST_SAVED, price_of_errors, to_beat
from picocodec.encoding.palettes import (
    MOST_BANDS,
    PALETTES,
    Colours,
    bands,
    has_few_colours,
    posterised,
)
from picocodec.encoding.photos import Av1Photo
from picocodec.format import container, tiles
from picocodec.format.container import LEVEL_STEPS
from picocodec.format.tiles import BLOCK, Tile, tiles_along
from picocodec.images.canvas import part
from picocodec.images.picture import Pixels
from picocodec.pipeline import in_order

Bytes = NDArray[np.uint8]


# Times the bytes of the learned coding: sizes must not leap where quality rises a little.
MOST_FOR_DRAWN = 3

# What a careful try takes of the bytes of a quick one: at least, and three times in four more than.
OF_QUICK = 0.5, 0.75

# libavif's quality at levels 0 and 1000, on a line, and at most: within 2 % of the lowest price
# on pages that a browser rendered and charts, with and without photos.
AV1_QUALITIES = 22, 117
BEST_AV1_QUALITY = 95


@dataclass(frozen=True)
class CodedTile:
    """A tile's mode, level and data; of a photo as AV1, what it is; and what is to know of a
    drawing until its block is settled: its price in bits, errors included (None for a photo), the
    bytes that it may take at most, what the networks make of its pixels, whether it is surely part
    of a screen, and the bytes of a quick try without loss (None where no careful one is worth
    it)."""

    mode: int
    level: int
    data: bytes
    photo: Av1Photo | None = field(default=None, repr=False)
    price: float | None = None
    most: int = 0
    decoded: NDArray[np.uint8] | None = field(default=None, repr=False)
    is_screen: bool = False
    quick: int | None = None


class Drawings:
    """The drawings in `rgb` at a level, whose `slope` that of `price_of_errors` is; `workers` tiles
    at once, by `threads` each."""

    def __init__(
        self, rgb: Pixels, level: int, slope: float, workers: int = 1, threads: int = 1
    ) -> None:
        self.rgb, self.level, self.slope = rgb, level, slope
        self.workers, self.threads = workers, threads
        self.has_av1 = av1.is_available()

    def alone(
        self, tile: Tile, learned: bytes, decode: Callable[[bytes], NDArray[np.uint8]]
    ) -> CodedTile | None:
        """A tile that the networks code as `learned`, if it may be kept as a drawing; whether it
        is, settling its block tells."""
        pixels = part(self.rgb, tile)
        most = MOST_FOR_DRAWN * len(learned)
        # An overexposed sky is flat, too: what is far from the bargain is not worth a careful try.
        quick = None if is_too_rich(pixels, most) else quick_size(pixels)
        if quick is not None and OF_QUICK[0] * quick > most and not has_few_colours(pixels):
            quick = None
        is_screen = self.has_av1 and has_hard_steps(pixels)
        if quick is None and not is_screen:
            return None
        decoded = decode(learned)
        return CodedTile(
            container.MODE_LEARNED,
            self.level,
            learned,
            price=8 * len(learned) + price_of_errors(pixels, decoded, self.slope),
            most=most,
            decoded=decoded,
            is_screen=is_screen,
            quick=quick,
        )

    def settle_last_blocks(self, coded: list[CodedTile], layout: list[Tile]) -> None:
        """Choose for the last row of blocks of `coded`, and let its decoded pixels go: a whole
        drawing's would be as large as the picture."""
        height, width = self.rgb.shape[:2]
        columns, rows = tiles_along(width), tiles_along(height)
        row = (len(coded) - 1) // columns // BLOCK * BLOCK
        for column in range(0, columns, BLOCK):
            members = tiles.members_of_block(row * columns + column, columns, rows)
            drawings = [i for i in members if coded[i].price is not None]
            if len(drawings) == len(members) > 1:
                b = tiles.block(width, height, row, column)
                settled = self._settled({layout[i]: coded[i] for i in members}, b)
                for i, tile in zip(members, settled, strict=True):
                    coded[i] = tile
                # What AV1 could not improve together it does not alone, but where that is learned.
                drawings = [i for i in drawings if coded[i].mode == container.MODE_LEARNED]

            def settle_alone(i: int) -> CodedTile:
                return self._settled({layout[i]: coded[i]}, layout[i])[0]

            for i, tile in zip(
                drawings, in_order(settle_alone, drawings, self.workers), strict=True
            ):
                coded[i] = tile
            for i in members:
                coded[i] = replace(coded[i], decoded=None)

    def _settled(self, members: dict[Tile, CodedTile], place: Tile) -> list[CodedTile]:
        """The drawings that make up `place`, a tile or a block: in one piece, which says once what
        repeats from tile to tile, or else each as it is best alone."""
        together: Collection[CodedTile] = members.values()
        price = _price(together)
        # A photo with an overexposed sky can be drawn, too, and AV1 would always have fewer errors.
        is_screen = any(tile.is_screen for tile in together)
        screen = None
        if is_screen and self.level < EXACT_LEVEL:
            screen = self._screen(members, place, price)
        drawn = None
        if any(tile.quick is not None for tile in together):
            limit = min(price, screen[1] / (1 - LEAST_SAVED)) if screen else price
            drawn = self._drawn(members, place, limit)
        best = screen
        if drawn and (not screen or screen[1] >= to_beat([_size(drawn)], self.level)):
            best = drawn
        if best and best[1] <= math.fsum(_hoped_price(tile, self.level) for tile in together):
            return self._joined(members, best, is_drawn=best is drawn)

        if len(members) > 1:
            # What the block may take in one piece, its tiles may share as they like.
            most = len(drawn[0]) if drawn else 0
            apart = [(tile, replace(m, most=max(m.most, most))) for tile, m in members.items()]
            together = list(in_order(lambda item: self._drawn_alone(*item), apart, self.workers))
            if drawn and drawn[1] >= _price(together):
                drawn = None
        kept = [_size(drawn)] if drawn else [(_price([t]), len(t.data)) for t in together]
        limit = to_beat(kept, self.level)
        if is_screen and self.level >= EXACT_LEVEL and limit:
            screen = self._screen(members, place, limit)
        if screen and screen[1] < limit:
            return self._joined(members, screen, is_drawn=False)
        return self._joined(members, drawn, is_drawn=True) if drawn else list(together)

    def _screen(
        self, members: dict[Tile, CodedTile], place: Tile, limit: float
    ) -> tuple[bytes, float] | None:
        """`encode_screen` of drawings in one piece."""
        most = sum(tile.most for tile in members.values())
        threads = self.threads if len(members) == 1 else self.workers * self.threads
        pixels = part(self.rgb, place)
        return encode_screen(pixels, self.level, self.slope, most, limit, threads)

    def _drawn(
        self, members: dict[Tile, CodedTile], place: Tile, limit: float
    ) -> tuple[bytes, float] | None:
        """`encode_drawn` of drawings in one piece."""
        pixels = part(self.rgb, place)
        learned = np.empty_like(pixels)
        for tile, alone in members.items():
            assert alone.decoded is not None
            learned[tile.within(place)] = alone.decoded
        most = sum(tile.most for tile in members.values())
        quick = sum(math.inf if tile.quick is None else tile.quick for tile in members.values())
        try_exact = OF_QUICK[0] * quick <= min(most, limit / 8)
        return encode_drawn(pixels, learned, self.level, self.slope, most, limit, try_exact)

    def _drawn_alone(self, tile: Tile, alone: CodedTile) -> CodedTile:
        """A tile as a drawing without loss or in few colours, if that has a lower price."""
        if alone.quick is None:
            return alone
        tried = replace(alone, quick=None)
        drawn = self._drawn({tile: alone}, tile, _price([alone]))
        if drawn is None:
            return tried
        return replace(tried, mode=container.MODE_LOSSLESS, data=drawn[0], price=drawn[1])

    def _joined(
        self, members: Collection[Tile], stream: tuple[bytes, float], is_drawn: bool
    ) -> list[CodedTile]:
        """The tiles of a stream that has them all: its data lies with the first."""
        if len(members) == 1:
            mode = container.MODE_LOSSLESS if is_drawn else container.MODE_AV1
        else:
            mode = container.MODE_BLOCK if is_drawn else container.MODE_AV1_BLOCK
        first = CodedTile(mode, self.level, stream[0], price=stream[1])
        return [first, *[replace(first, data=b"")] * (len(members) - 1)]


def quick_size(pixels: Bytes) -> int:
    """The bytes of a quick lossless WebP stream of pixels; a careful one has `OF_QUICK` of them."""
    return len(encode_lossless(pixels, quick=True))


def encode_drawn(
    pixels: Bytes,
    learned: Bytes,
    level: int,
    slope: float,
    most: int,
    limit: float,
    try_exact: bool = True,
) -> tuple[bytes, float] | None:
    """A lossless WebP stream of a tile's or block's pixels, as they are (with `try_exact`) or in
    fewer colours, and its price in bits, errors included: the lowest that is below `limit` and
    takes at most `most` bytes, if any does. `learned` is what the learned coding makes of them at
    `level`, whose `slope` that of `price_of_errors` is."""
    best: tuple[bytes, float] | None = None
    palettes: Colours | None = None
    if try_exact:
        data = encode_lossless(pixels)
        if len(data) <= most and 8 * len(data) < limit:
            best = data, 8 * len(data)
            limit = (1 - LEAST_SAVED) * best[1]
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
        data = encode_lossless(reduced)
        price = 8 * len(data) + errors
        if len(data) <= most and price < limit:
            best, limit = (data, price), price
    return best


def encode_screen(
    pixels: Bytes, level: int, slope: float, most: int, limit: float, threads: int
) -> tuple[bytes, float] | None:
    """An AV1 stream of a drawing's pixels and its price in bits, errors included, if that is below
    `limit` and it takes at most `most` bytes; by `threads` at once."""
    low, high = AV1_QUALITIES
    quality = min(round(low + (high - low) * level / LEVEL_STEPS), BEST_AV1_QUALITY)
    data = av1.encode_av1(pixels, quality, threads, told=av1.SCREEN)
    if data is None or len(data) > most or 8 * len(data) >= limit:
        return None
    decoded = av1.decode_av1(data, Tile(0, 0, *pixels.shape[:2]))
    price = 8 * len(data) + price_of_errors(pixels, decoded, slope)
    return (data, price) if price < limit else None


def _size(stream: tuple[bytes, float]) -> tuple[float, int]:
    data, price = stream
    return price, len(data)


def _price(drawings: Collection[CodedTile]) -> float:
    return math.fsum(tile.price or 0.0 for tile in drawings)


def _hoped_price(drawing: CodedTile, level: int) -> float:
    """What to hope for, without another try, of a drawing by itself; where all is kept exactly,
    nothing of what the networks make of it, which depends on quality, as sizes there must not."""
    price = drawing.price or 0.0
    if drawing.quick is None:
        return price
    exact = OF_QUICK[1] * 8 * drawing.quick
    return exact if level >= EXACT_LEVEL else min(price, exact)
