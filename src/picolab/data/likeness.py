"""Which pictures show the same: hashes that outlive reduction and compression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASHED = 32  # pixels a side of what is hashed
KEPT = 8  # of its frequencies each way


def _cosines() -> NDArray[np.float64]:
    """The lowest frequencies of the orthonormal DCT-II, `[8, 32]`."""
    k, n = np.mgrid[0:KEPT, 0:HASHED]
    rows = np.cos(np.pi * k * (2 * n + 1) / (2 * HASHED)) * np.sqrt(2 / HASHED)
    rows[0] /= np.sqrt(2)
    return rows


COSINES = _cosines()


def perceptual_hash(grey: Image.Image) -> int:
    """64 bits of a grey picture reduced to 32x32: which of its lowest frequencies lie above their
    median, row by row, the mean first and in the highest bit."""
    values = np.asarray(grey, np.float64)
    low = (COSINES @ values @ COSINES.T).ravel()
    above = low > np.median(low[1:])
    return int.from_bytes(np.packbits(above).tobytes(), "big")


class Known:
    """Hashes, of which the nearest is asked for."""

    def __init__(self, hashes: tuple[int, ...] = ()) -> None:
        self.hashes = np.array(hashes, np.uint64)
        self.count = len(hashes)

    def add(self, value: int) -> None:
        if self.count == len(self.hashes):
            self.hashes = np.resize(self.hashes, max(64, 2 * self.count))
        self.hashes[self.count] = value
        self.count += 1

    def distance(self, value: int) -> int:
        """Bits in which the nearest one differs; 64 where there are none."""
        if not self.count:
            return 64
        return int(np.bitwise_count(self.hashes[: self.count] ^ np.uint64(value)).min())
