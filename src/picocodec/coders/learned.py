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
        symbols, y_hat = model.quantise(y, z, coded, level)
        groups = [(z, model.z_indices(level, tile.z_shape)), (symbols, indices)]
        show = partial(self._pixels, y_hat, area, level)
        return Candidate(model.coder.encode(groups), show)

    def decode(self, payload: bytes, area: Tile, level: int) -> Bytes:
        """The pixels of a tile and its margin, uint8 `[h + 8, w + 8, 3]`."""
        return to_bytes(self.canvas(payload, area, level)[0])

    def canvas(self, payload: bytes, area: Tile, level: int) -> Floats:
        """The same before it is rounded, float32 `[1, 3, h + 8, w + 8]`."""
        return self._canvas(self._latent(payload, area, level), area, level)

    def preview(self, payload: bytes, area: Tile, level: int, divisor: int) -> Floats:
        """About the same, its sides divided by one of the model's `previews`."""
        return self.model.preview(self._latent(payload, area, level), level, divisor)

    def _latent(self, payload: bytes, area: Tile, level: int) -> Floats:
        z, symbols = decode_symbols(self.model, payload, area.grown(-MARGIN), level)
        return self.model.dequantise(symbols, z, level)

    def _canvas(self, y_hat: Floats, area: Tile, level: int) -> Floats:
        corner = (area.top + MARGIN) // STEP, (area.left + MARGIN) // STEP
        whole = self.model.synthesise(y_hat, level, self.realism, corner)
        return whole[:, :, : area.height, : area.width]

    def _pixels(self, y_hat: Floats, area: Tile, level: int) -> Bytes:
        return to_bytes(self._canvas(y_hat, area, level)[0])


def decode_symbols(model: Model, payload: bytes, tile: Tile, level: int) -> tuple[Ints, Ints]:
    """z `[Nz, h, w]` and the symbols of y `[M, 4 h, 4 w]`: integers from bytes, exactly.

    Raises `CorruptTile` for data that no encoder writes.
    """
    reader = model.coder.reader(payload)
    z = reader.read(model.z_indices(level, tile.z_shape))
    symbols = reader.read(model.y_indices_of_tile(tile, z, level))
    reader.finish()
    return z, symbols
