"""Pictures of fewer pixels: means of squares, as the rows come."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]


def reduced(bands: Iterator[Bytes], factor: int) -> Iterator[Bytes]:
    """Means of `factor` by `factor` pixels of rows `[n, width, channels]`, one band after the
    other; of fewer at the right and at the bottom."""
    rest: Bytes | None = None
    for band in bands:
        rows = band if rest is None else np.concatenate([rest, band])
        whole = len(rows) // factor * factor
        if whole:
            yield reduce(rows[:whole], factor)
        rest = rows[whole:]
    if rest is not None and len(rest):
        yield reduce(rest, factor)


def reduce(pixels: Bytes, factor: int) -> Bytes:
    """Means of `factor` by `factor` pixels `[h, w, channels]`, colours weighted by their alpha."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    small = np.asarray(image.reduce(factor))
    return small.reshape(*small.shape[:2], pixels.shape[2])
