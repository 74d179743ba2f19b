"""Tiles by the networks: pixels -> y, z -> symbols -> bytes, and back (docs/format.md, 6 to 8).

What is coded is a tile with its margin, so that a tile's neighbours can fade into it. All symbols
of a tile are known before the first floating-point operation of its decoder.

An encoder does not say where in a picture its pixels lie: what it is shown has the noise of the
picture's corner.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from picocodec.coders.protocol import Bytes, Candidate, Floats, TileCoder
from picocodec.format.tiles import MARGIN, Tile
from picocodec.images.canvas import as_canvas, padded, to_bytes
from picocodec.model.model import Model
from picocodec.model.noise import STEP
from picocodec.model.scale_decoder import Z_LIMIT

# Far beyond any symbol that a picture causes, and what an escape can hold with ease.
SYMBOL_LIMIT = 1 << 18

Ints = NDArray[np.int32]


class LearnedCoder(TileCoder):
    """The networks of a model; `realism` is 0 to 1, None the model's own."""

    def __init__(self, model: Model, realism: float | None = None) -> None:
        self.model = model
        self.realism = model.realism if realism is None else realism

    def encode(self, pixels: Bytes, level: int) -> Candidate:
        """Code a tile with its margin, uint8 `[h + 8, w + 8, 3]`, at a level in thousandths."""
        model, area = self.model, Tile(0, 0, *pixels.shape[:2])
        tile = area.grown(-MARGIN)
        y, z_float = model.analyse(as_canvas(padded(pixels)), level)
        z = np.rint(z_float[0]).clip(-Z_LIMIT, Z_LIMIT).astype(np.int32)
        indices = model.y_indices_of_tile(tile, z, level)
        coded = indices >= model.skip_below
        symbols = model.quantise(y, z, coded, level).clip(-SYMBOL_LIMIT, SYMBOL_LIMIT)
        groups = [(z, model.z_indices(level, tile.z_shape)), (symbols, indices)]
        show = partial(self._pixels, symbols, z, area, level)
        return Candidate(model.coder.encode(groups), show)

    def decode(self, payload: bytes, area: Tile, level: int) -> Bytes:
        """The pixels of a tile and its margin, uint8 `[h + 8, w + 8, 3]`."""
        return to_bytes(self.canvas(payload, area, level)[0])

    def canvas(self, payload: bytes, area: Tile, level: int) -> Floats:
        """The same before it is rounded, float32 `[1, 3, h + 8, w + 8]`."""
        z, symbols = decode_symbols(self.model, payload, area.grown(-MARGIN), level)
        return self._canvas(symbols, z, area, level)

    def preview(self, payload: bytes, area: Tile, level: int, divisor: int) -> Floats:
        """About the same, its sides divided by one of the model's `previews`."""
        z, symbols = decode_symbols(self.model, payload, area.grown(-MARGIN), level)
        return self.model.preview(symbols, z, level, divisor)

    def _canvas(self, symbols: Ints, z: Ints, area: Tile, level: int) -> Floats:
        corner = (area.top + MARGIN) // STEP, (area.left + MARGIN) // STEP
        whole = self.model.synthesise(symbols, z, level, self.realism, corner)
        return whole[:, :, : area.height, : area.width]

    def _pixels(self, symbols: Ints, z: Ints, area: Tile, level: int) -> Bytes:
        return to_bytes(self._canvas(symbols, z, area, level)[0])


def decode_symbols(model: Model, payload: bytes, tile: Tile, level: int) -> tuple[Ints, Ints]:
    """z `[Nz, h, w]` and the symbols of y `[M, 4 h, 4 w]`: integers from bytes, exactly.

    Raises `CorruptTile` for data that no encoder writes.
    """
    reader = model.coder.reader(payload)
    z = reader.read(model.z_indices(level, tile.z_shape))
    symbols = reader.read(model.y_indices_of_tile(tile, z, level))
    reader.finish()
    return z, symbols
