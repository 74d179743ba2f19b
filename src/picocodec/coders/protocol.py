"""What every way of coding a tile offers: pixels to a payload, and a payload to pixels.

A coder knows neither the file nor the others, nor who judges it. What it codes is the pixels that
it is given, and what it decodes is as large: whether they are a tile, a tile with its margin or
several tiles together is the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from picocodec.format.tiles import Tile
from picocodec.images.canvas import as_canvas

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Candidate:
    """One way of coding pixels `[h, w, 3]`: its `payload`, and what a decoder shows of it.

    `exact` says that this is the pixels themselves.
    """

    def __init__(self, payload: bytes, show: Callable[[], Bytes], exact: bool = False) -> None:
        self.payload, self.exact = payload, exact
        self._show: Callable[[], Bytes] | None = show
        self._shown: Bytes | None = None

    @property
    def shown(self) -> Bytes:
        """What a decoder shows, uint8 `[h, w, 3]`: made when it is first asked for, since many
        candidates never are, from what the encoder knew; and kept instead of that."""
        if self._show is not None:
            self._shown, self._show = self._show(), None
        assert self._shown is not None
        return self._shown


class TileCoder(Protocol):
    """A way of coding pixels, with all that is to be chosen about it but the level."""

    def encode(self, pixels: Bytes, level: int) -> Candidate | None:
        """Code pixels uint8 `[h, w, 3]` at a level in thousandths, 0 to 1000, which coders but
        the learned one have no use for; None where this installation cannot."""
        ...

    def decode(self, payload: bytes, area: Tile, level: int) -> Bytes:
        """The pixels uint8 `[h, w, 3]` of an area of that size. Raises `CorruptTile` for what no
        encoder writes, `UnsupportedVersion` where this installation cannot."""
        ...

    def canvas(self, payload: bytes, area: Tile, level: int) -> Floats:
        """The same before it is rounded, float32 `[1, 3, h, w]`, 0 for black and 1 for white."""
        return as_canvas(self.decode(payload, area, level))
