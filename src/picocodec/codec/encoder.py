"""Picture to file: pixels -> y, z -> symbols -> bytes, tile by tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from picocodec.codec import tiles
from picocodec.codec.metadata import chunks_of
from picocodec.codec.networks import DEFAULT_MODEL, Model, load_model
from picocodec.codec.scale_decoder import Z_LIMIT
from picocodec.codec.tiles import Tile
from picocodec.format import container
from picocodec.image import Picture

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
    networks = load_model(model, threads)
    height, width = picture.rgb.shape[:2]
    layout = tiles.layout(width, height)
    payloads: list[bytes] = []
    for tile in layout:
        payloads.append(encode_tile(networks, picture.rgb, tile, level))
        if progress:
            progress(len(payloads), len(layout))
    return container.write(
        width=width,
        height=height,
        level=level,
        model=networks.identity,
        tiles=payloads,
        chunks=chunks_of(picture),
        gray=picture.gray,
    )


def encode_tile(model: Model, rgb: NDArray[np.uint8], tile: Tile, level: int) -> bytes:
    """The entropy-coded data of one tile."""
    y, z_float = model.analyse(tiles.cut(rgb, tile), level)
    z = np.rint(z_float[0]).clip(-Z_LIMIT, Z_LIMIT).astype(np.int32)
    indices = model.y_indices_of_tile(tile, z, level)
    coded = indices >= model.skip_below
    symbols = model.quantise(y, z, coded, level).clip(-SYMBOL_LIMIT, SYMBOL_LIMIT)
    return model.coder.encode([(z, model.z_indices(level, tile.z_shape)), (symbols, indices)])
