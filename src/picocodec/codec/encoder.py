"""Picture to file: pixels -> y, z -> symbols -> bytes, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from picocodec.codec import tiles
from picocodec.codec.allocation import Look, level_offsets, look_at
from picocodec.codec.decoder import decode_symbols
from picocodec.codec.graphics import (
    EXACT_LEVEL,
    LEAST_SAVED,
    encode_drawn,
    encode_screen,
    has_few_colours,
    has_hard_steps,
    is_too_rich,
    may_be_exact,
    price_of_errors,
)
from picocodec.codec.metadata import chunks_of
from picocodec.codec.networks import DEFAULT_MODEL, Model, load_model
from picocodec.codec.pipeline import in_order, share
from picocodec.codec.rate import fill
from picocodec.codec.scale_decoder import Z_LIMIT
from picocodec.codec.tiles import Tile
from picocodec.format import container
from picocodec.image import Picture, Pixels

Progress = Callable[[int, int], None]

# Far beyond any symbol that a picture causes, and what an escape can hold with ease.
SYMBOL_LIMIT = 1 << 18

# Times the bytes of the learned coding: sizes must not leap where quality rises a little.
MOST_FOR_DRAWN = 3


def encode_picture(
    picture: Picture,
    level: int,
    model: str = DEFAULT_MODEL,
    threads: int = 0,
    progress: Progress | None = None,
) -> bytes:
    """A whole .pico file; `level` in thousandths, `progress` is told (tiles done, tiles in all)."""
    return _encoder(picture, model, threads, progress)(level)


def encode_to_size(
    picture: Picture,
    size: int,
    model: str = DEFAULT_MODEL,
    threads: int = 0,
    progress: Progress | None = None,
) -> bytes:
    """A .pico file of at most `size` bytes, and as near to it as `rate.fill` finds; raises
    `TargetTooSmall`."""
    height, width = picture.rgb.shape[:2]
    return fill(_encoder(picture, model, threads, progress), size, width * height)


def _encoder(
    picture: Picture, model: str, threads: int, progress: Progress | None
) -> Callable[[int], bytes]:
    """What makes a picture's file from a level."""
    height, width = picture.rgb.shape[:2]
    layout = tiles.layout(width, height)
    row_of_blocks = container.tiles_along(width) * container.BLOCK
    workers, threads_of_each = share(threads, len(layout))
    all_threads = workers * threads_of_each
    networks = load_model(model, threads_of_each)
    if all_threads > 1:
        networks.prepare("context")
    chunks = chunks_of(picture)
    looks = list(in_order(lambda tile: look_at(_owned(picture.rgb, tile)), layout, workers))
    places = list(zip(layout, looks, level_offsets(looks), strict=True))

    def encode(level: int) -> bytes:
        coded: list[CodedTile] = []

        def task(place: tuple[Tile, Look, int]) -> CodedTile:
            tile, look, offset = place
            drawn = _drawn(networks, picture.rgb, tile, level) if look.drawn else None
            return drawn or _photo(networks, picture.rgb, tile, level + offset)

        for tile in in_order(task, places, workers):
            coded.append(tile)
            if len(coded) % row_of_blocks == 0 or len(coded) == len(layout):
                _settle_last_blocks(
                    coded, layout, picture.rgb, level, networks.slope(level), all_threads
                )
            if progress:
                progress(len(coded), len(layout))
        modes = [(tile.mode, tile.level) for tile in coded]
        plain = container.MODE_LEARNED, level
        return container.write(
            width=width,
            height=height,
            level=level,
            model=networks.identity,
            tiles=[tile.data for tile in coded],
            chunks=chunks,
            tile_modes=None if all(mode == plain for mode in modes) else modes,
            gray=picture.gray,
            faded=sum(tile.mode == container.MODE_LEARNED for tile in coded) > 1,
        )

    return encode


@dataclass(frozen=True)
class CodedTile:
    """A tile's mode, its level, its data, its price in bits, errors included, the bytes that it may
    take as a drawing at most, what the networks make of its pixels, and whether it is surely part
    of a screen; no price and no pixels of a photo's, which is never taken for a drawing."""

    mode: int
    level: int
    data: bytes
    price: float | None = None
    most: int = 0
    decoded: NDArray[np.uint8] | None = field(default=None, repr=False)
    is_screen: bool = False


def _owned(rgb: Pixels, tile: Tile) -> NDArray[np.uint8]:
    return rgb[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]


def _photo(model: Model, rgb: Pixels, tile: Tile, level: int) -> CodedTile:
    """A tile learned, at the level nearest to `level` that there is."""
    level = min(max(level, 0), container.LEVEL_STEPS)
    return CodedTile(container.MODE_LEARNED, level, encode_tile(model, rgb, tile, level))


def _drawn(model: Model, rgb: Pixels, tile: Tile, level: int) -> CodedTile | None:
    """A tile as a drawing, if it may be one: kept, or learned at the picture's own level like the
    drawings around it if that has the lower price."""
    pixels = _owned(rgb, tile)
    learned = encode_tile(model, rgb, tile, level)
    most = MOST_FOR_DRAWN * len(learned)
    # An overexposed sky is flat, too: what is far from the bargain is not worth a careful try.
    is_hopeful = not is_too_rich(pixels, most)
    try_exact = is_hopeful and may_be_exact(pixels, most)
    is_plain = try_exact or (is_hopeful and has_few_colours(pixels))
    is_screen = has_hard_steps(pixels)
    if not is_plain and not is_screen:
        return None
    z, symbols = decode_symbols(model, learned, tile, level)
    decoded = tiles.own(model.synthesise(symbols, z, level, model.realism), tile)
    slope = model.slope(level)
    price = 8 * len(learned) + price_of_errors(pixels, decoded, slope)
    drawn = encode_drawn(pixels, decoded, level, slope, most, try_exact) if is_plain else None
    if drawn and drawn[1] < price:
        return CodedTile(container.MODE_LOSSLESS, level, *drawn, most, decoded, is_screen)
    return CodedTile(container.MODE_LEARNED, level, learned, price, most, decoded, is_screen)


def _settle_last_blocks(
    coded: list[CodedTile],
    layout: list[Tile],
    rgb: Pixels,
    level: int,
    slope: float,
    threads: int,
) -> None:
    """Keep blocks of drawings in one piece, and screens among photos as AV1, where that has the
    lower price. Of `coded` these are the last row of blocks, whose decoded pixels are let go: a
    whole drawing's would be as large as the picture."""
    height, width = rgb.shape[:2]
    columns, rows = container.tiles_along(width), container.tiles_along(height)
    row = (len(coded) - 1) // columns // container.BLOCK * container.BLOCK
    for column in range(0, columns, container.BLOCK):
        first = row * columns + column
        members = tiles.members_of_block(first, columns, rows)
        drawings = [i for i in members if coded[i].price is not None]
        joined = None
        if len(members) == len(drawings) > 1:
            b = tiles.block(width, height, row, column)
            joined = _joined({layout[i]: coded[i] for i in members}, b, rgb, level, slope, threads)
            # What AV1 could not improve together it does not alone, but where that is learned.
            drawings = [i for i in drawings if coded[i].mode == container.MODE_LEARNED]
        if joined:
            for i in members:
                coded[i] = joined if i == first else replace(joined, data=b"")
        else:
            for i in (i for i in drawings if coded[i].is_screen):
                pixels, alone = _owned(rgb, layout[i]), coded[i]
                limit = _to_beat([alone], level)
                screen = encode_screen(pixels, level, slope, alone.most, limit, threads)
                if screen:
                    coded[i] = CodedTile(container.MODE_AV1, level, screen[0])
        for i in members:
            coded[i] = replace(coded[i], decoded=None)


def _joined(
    members: dict[Tile, CodedTile], b: Tile, rgb: Pixels, level: int, slope: float, threads: int
) -> CodedTile | None:
    """The drawings of a block in one piece, which says once what repeats from tile to tile, if that
    has a lower price than they have alone."""
    pixels = _owned(rgb, b)
    most = sum(tile.most for tile in members.values())
    price = sum(tile.price or 0.0 for tile in members.values())
    best = None
    # Without loss it is worth a try where one was taken for it alone.
    if any(tile.mode == container.MODE_LOSSLESS for tile in members.values()):
        learned = np.empty_like(pixels)
        for tile, alone in members.items():
            assert alone.decoded is not None
            learned[tile.within(b)] = alone.decoded
        drawn = encode_drawn(pixels, learned, level, slope, most)
        if drawn and drawn[1] < price:
            best = CodedTile(container.MODE_BLOCK, level, *drawn)
    # A photo with an overexposed sky can be drawn, too, and AV1 would always have fewer errors.
    if not any(tile.is_screen for tile in members.values()):
        return best
    limit = _to_beat([best] if best else members.values(), level)
    screen = encode_screen(pixels, level, slope, most, limit, threads)
    return CodedTile(container.MODE_AV1_BLOCK, level, *screen) if screen else best


def _to_beat(kept: Collection[CodedTile], level: int) -> float:
    """The price that AV1 must stay under for drawings: theirs; less if they are exact, and so cost
    their bytes alone; and none at all where exact ones are asked for."""
    exact = [tile.price == 8 * len(tile.data) for tile in kept]
    if level >= EXACT_LEVEL and any(exact):
        return 0.0
    price = sum(tile.price or 0.0 for tile in kept)
    return (1 - LEAST_SAVED) * price if all(exact) else price


def encode_tile(model: Model, rgb: Pixels, tile: Tile, level: int) -> bytes:
    """The entropy-coded data of one tile in the learned mode."""
    y, z_float = model.analyse(tiles.cut(rgb, tile), level)
    z = np.rint(z_float[0]).clip(-Z_LIMIT, Z_LIMIT).astype(np.int32)
    indices = model.y_indices_of_tile(tile, z, level)
    coded = indices >= model.skip_below
    symbols = model.quantise(y, z, coded, level).clip(-SYMBOL_LIMIT, SYMBOL_LIMIT)
    return model.coder.encode([(z, model.z_indices(level, tile.z_shape)), (symbols, indices)])
