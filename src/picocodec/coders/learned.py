"""Tiles by the networks: pixels -> y, z -> symbols -> bytes, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from picocodec.format.tiles import Tile
from picocodec.images.canvas import cut, own
from picocodec.images.picture import Pixels
from picocodec.model.model import Model
from picocodec.model.scale_decoder import Z_LIMIT

Ints = NDArray[np.int32]


# Far beyond any symbol that a picture causes, and what an escape can hold with ease.
SYMBOL_LIMIT = 1 << 18


def decode_tile(model: Model, tile: Tile, level: int, data: bytes) -> NDArray[np.uint8]:
    """What a tile in the learned mode looks like by itself, in its own pixels."""
    z, symbols = decode_symbols(model, data, tile, level)
    return own(model.synthesise(symbols, z, level, model.realism), tile)


def encode_tile(model: Model, rgb: Pixels, tile: Tile, level: int) -> bytes:
    """The entropy-coded data of one tile in the learned mode."""
    y, z_float = model.analyse(cut(rgb, tile), level)
    z = np.rint(z_float[0]).clip(-Z_LIMIT, Z_LIMIT).astype(np.int32)
    indices = model.y_indices_of_tile(tile, z, level)
    coded = indices >= model.skip_below
    symbols = model.quantise(y, z, coded, level).clip(-SYMBOL_LIMIT, SYMBOL_LIMIT)
    return model.coder.encode([(z, model.z_indices(level, tile.z_shape)), (symbols, indices)])


def decode_symbols(model: Model, payload: bytes, tile: Tile, level: int) -> tuple[Ints, Ints]:
    """z `[Nz, h, w]` and the symbols of y `[M, 4 h, 4 w]`: integers from bytes, exactly.

    Raises `CorruptTile` for data that no encoder writes.
    """
    reader = model.coder.reader(payload)
    z = reader.read(model.z_indices(level, tile.z_shape))
    symbols = reader.read(model.y_indices_of_tile(tile, z, level))
    reader.finish()
    return z, symbols
