"""Picture to file: pixels -> y, z -> symbols -> bytes, tile by tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from picocodec.codec import tiles
from picocodec.codec.decoder import decode_symbols
from picocodec.codec.graphics import encode_lossless, is_flat, is_worth
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
    workers, threads_of_each = share(threads, len(layout))
    networks = load_model(model, threads_of_each)
    chunks = chunks_of(picture)

    def encode(level: int) -> bytes:
        payloads: list[bytes] = []
        modes: list[int] = []

        def task(tile: Tile) -> tuple[int, bytes]:
            return _better_mode(networks, picture.rgb, tile, level)

        for mode, payload in in_order(task, layout, workers):
            modes.append(mode)
            payloads.append(payload)
            if progress:
                progress(len(payloads), len(layout))
        return container.write(
            width=width,
            height=height,
            level=level,
            model=networks.identity,
            tiles=payloads,
            chunks=chunks,
            tile_modes=[(mode, level) for mode in modes] if any(modes) else None,
            gray=picture.gray,
        )

    return encode


def _better_mode(model: Model, rgb: Pixels, tile: Tile, level: int) -> tuple[int, bytes]:
    """The mode of a tile and its data: learned, or lossless where that takes fewer bytes, or
    is worth more to a viewer than what it takes."""
    learned = encode_tile(model, rgb, tile, level)
    pixels = rgb[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
    if not is_flat(pixels):
        return container.MODE_LEARNED, learned
    lossless = encode_lossless(pixels)
    more = len(lossless) - len(learned)
    if more > 0:
        z, symbols = decode_symbols(model, learned, tile, level)
        decoded = tiles.own(model.synthesise(symbols, z, level, model.realism), tile)
        if not is_worth(more, pixels, decoded, level):
            return container.MODE_LEARNED, learned
    return container.MODE_LOSSLESS, lossless


def encode_tile(model: Model, rgb: Pixels, tile: Tile, level: int) -> bytes:
    """The entropy-coded data of one tile in the learned mode."""
    y, z_float = model.analyse(tiles.cut(rgb, tile), level)
    z = np.rint(z_float[0]).clip(-Z_LIMIT, Z_LIMIT).astype(np.int32)
    indices = model.y_indices_of_tile(tile, z, level)
    coded = indices >= model.skip_below
    symbols = model.quantise(y, z, coded, level).clip(-SYMBOL_LIMIT, SYMBOL_LIMIT)
    return model.coder.encode([(z, model.z_indices(level, tile.z_shape)), (symbols, indices)])
