"""Picture to file: pixels -> y, z -> symbols -> bytes, tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from picocodec.codec import av1, tiles
from picocodec.codec.allocation import Look, level_offsets, look_at
from picocodec.codec.av1_photos import (
    Av1Photo,
    encode_av1_page,
    encode_av1_photo,
    is_worth_a_try,
)
from picocodec.codec.decoder import decode_symbols
from picocodec.codec.drawings import CodedTile, Drawings
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

# AV1 knows 64 qualities. Where fewer tiles than this would share its steps, a file that must fill a
# size has it for letters only.
LEAST_TILES_TO_FILL = 9


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
    encode = _encoder(picture, model, threads, progress, filling=True)
    return fill(encode, size, width * height)


def _encoder(
    picture: Picture,
    model: str,
    threads: int,
    progress: Progress | None,
    filling: bool = False,
) -> Callable[[int], bytes]:
    """What makes a picture's file from a level; `filling` asks for sizes in fine steps."""
    height, width = picture.rgb.shape[:2]
    layout = tiles.layout(width, height)
    letters_only = filling and len(layout) < LEAST_TILES_TO_FILL
    columns, rows = container.tiles_along(width), container.tiles_along(height)
    row_of_blocks = columns * container.BLOCK
    is_one_block = 1 < len(layout) and max(columns, rows) <= container.BLOCK
    workers, threads_of_each = share(threads, len(layout))
    networks = load_model(model, threads_of_each)
    if workers * threads_of_each > 1:
        networks.prepare("context")
    chunks = chunks_of(picture)
    looks = list(in_order(lambda tile: look_at(tiles.part(picture.rgb, tile)), layout, workers))
    places = list(zip(layout, looks, level_offsets(looks), strict=True))

    def encode(level: int) -> bytes:
        coded: list[CodedTile] = []
        drawings = Drawings(picture.rgb, level, networks.slope(level), workers, threads_of_each)

        def task(place: tuple[Tile, Look, int]) -> CodedTile:
            tile, look, offset = place
            if look.drawn:
                learned = encode_tile(networks, picture.rgb, tile, level)
                decode = partial(decode_tile, networks, tile, level)
                if drawing := drawings.alone(tile, learned, decode):
                    return drawing
            return best_photo(tile, look, _photo(networks, picture.rgb, tile, level + offset))

        def best_photo(tile: Tile, look: Look, photo: CodedTile) -> CodedTile:
            bits = 8 * len(photo.data) / (tile.width * tile.height)
            worth = look.lettered or (
                not letters_only and is_worth_a_try(look.plainness, bits, photo.level)
            )
            return tried_as_av1(tile, look, photo) if worth else photo

        def tried_as_av1(
            tile: Tile, look: Look, photo: CodedTile, is_among_last: bool = False
        ) -> CodedTile:
            if not av1.is_available():
                return photo
            better = encode_av1_photo(
                tiles.with_margin(picture.rgb, tile),
                photo.level,
                look.lettered,
                photo.data,
                partial(decode_tile, networks, tile, photo.level),
                threads_of_each,
                is_among_last,
            )
            if better is None:
                return photo
            return CodedTile(container.MODE_AV1_PHOTO, level, better.stream, better)

        def in_one_piece() -> list[CodedTile] | None:
            """All tiles of a page, most of which may have letters, as one AV1 photo, where half of
            them and more are AV1 already, and the others are not clearly worse so."""
            lettered = sum(look.lettered for look in looks)
            are_av1 = sum(tile.photo is not None for tile in coded)
            if 2 * lettered <= len(coded) or 2 * are_av1 < len(coded):
                return None
            if any(tile.mode not in container.WITH_MARGIN for tile in coded):
                return None

            def as_av1(i: int) -> Av1Photo | None:
                tile = coded[i]
                return tile.photo or tried_as_av1(layout[i], looks[i], tile, True).photo

            photos = in_order(as_av1, range(len(coded)), workers)
            parts = [photo for photo in photos if photo is not None]
            if len(parts) < len(coded):
                return None
            pixels = tiles.part(picture.rgb, Tile(0, 0, height, width))
            stream = encode_av1_page(pixels, level, parts, workers * threads_of_each)
            if stream is None:
                return None
            first = CodedTile(container.MODE_AV1_BLOCK, level, stream)
            return [first, *[replace(first, data=b"")] * (len(coded) - 1)]

        def settle_last_row() -> None:
            """Decide on the drawings in the last row of blocks; those that stay learned are photos
            with plain areas."""
            drawings.settle_last_blocks(coded, layout)
            row = range((len(coded) - 1) // row_of_blocks * row_of_blocks, len(coded))
            learned = [i for i in row if coded[i].mode == container.MODE_LEARNED]
            flat = [i for i in learned if coded[i].price is not None]
            tried = in_order(lambda i: best_photo(layout[i], looks[i], coded[i]), flat, workers)
            for i, tile in zip(flat, tried, strict=True):
                coded[i] = tile

        for tile in in_order(task, places, workers):
            coded.append(tile)
            if len(coded) % row_of_blocks == 0 or len(coded) == len(layout):
                settle_last_row()
            if progress:
                progress(len(coded), len(layout))
        if is_one_block and not filling:  # which asks for sizes in fine steps
            coded = in_one_piece() or coded
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
            faded=sum(tile.mode in container.WITH_MARGIN for tile in coded) > 1,
        )

    return encode


def _photo(model: Model, rgb: Pixels, tile: Tile, level: int) -> CodedTile:
    """A tile learned, at the level nearest to `level` that there is."""
    level = min(max(level, 0), container.LEVEL_STEPS)
    return CodedTile(container.MODE_LEARNED, level, encode_tile(model, rgb, tile, level))


def decode_tile(model: Model, tile: Tile, level: int, data: bytes) -> NDArray[np.uint8]:
    """What a tile in the learned mode looks like by itself, in its own pixels."""
    z, symbols = decode_symbols(model, data, tile, level)
    return tiles.own(model.synthesise(symbols, z, level, model.realism), tile)


def encode_tile(model: Model, rgb: Pixels, tile: Tile, level: int) -> bytes:
    """The entropy-coded data of one tile in the learned mode."""
    y, z_float = model.analyse(tiles.cut(rgb, tile), level)
    z = np.rint(z_float[0]).clip(-Z_LIMIT, Z_LIMIT).astype(np.int32)
    indices = model.y_indices_of_tile(tile, z, level)
    coded = indices >= model.skip_below
    symbols = model.quantise(y, z, coded, level).clip(-SYMBOL_LIMIT, SYMBOL_LIMIT)
    return model.coder.encode([(z, model.z_indices(level, tile.z_shape)), (symbols, indices)])
