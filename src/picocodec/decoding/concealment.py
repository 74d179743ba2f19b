"""What stands in for a tile that could not be decoded: its neighbours, continued smoothly."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
from numpy.typing import NDArray

from picocodec.format.tiles import Tile

GRAY = 128  # of a tile without decoded neighbours
SMOOTH = 33  # pixels along a border that are averaged, so that it leaves no streaks


def conceal(
    rgb: NDArray[np.uint8], layout: Sequence[Tile], columns: int, lost: Sequence[int]
) -> None:
    """Fill the tiles of the numbers `lost` in `rgb` `[H, W, 1 or 3]` from the others around them.

    A pixel is the mean of the nearest pixels of the decoded neighbours on the four sides, each
    weighted by the inverse square of its distance.
    """
    known: Container[int] = set(range(len(layout))) - set(lost)
    for i in lost:
        t = layout[i]
        rows, across = slice(t.top, t.top + t.height), slice(t.left, t.left + t.width)
        down = np.arange(1, t.height + 1, dtype=np.float32)[:, None]
        right = np.arange(1, t.width + 1, dtype=np.float32)[None, :]
        sides = []  # borders `[h, 1, 3]` or `[1, w, 3]`, and the distances from them
        if i - columns in known:
            sides.append((_smooth(rgb[t.top - 1, across])[None], down))
        if i + columns in known:
            sides.append((_smooth(rgb[t.top + t.height, across])[None], down[::-1]))
        if i % columns and i - 1 in known:
            sides.append((_smooth(rgb[rows, t.left - 1])[:, None], right))
        if (i + 1) % columns and i + 1 in known:
            sides.append((_smooth(rgb[rows, t.left + t.width])[:, None], right[:, ::-1]))
        if not sides:
            rgb[rows, across] = GRAY
            continue
        total = np.zeros((t.height, t.width, rgb.shape[2]), np.float32)
        weights = np.zeros((t.height, t.width, 1), np.float32)
        for border, distance in sides:
            weight = (1 / np.square(distance))[:, :, None]
            total += weight * border
            weights += weight
        rgb[rows, across] = np.rint(total / weights).astype(np.uint8)


def _smooth(line: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A running mean along the pixels `[N, 3]` of a border, which ends repeat."""
    reach = SMOOTH // 2
    sums = np.pad(line, ((reach + 1, reach), (0, 0)), "edge").cumsum(axis=0, dtype=np.int32)
    return ((sums[SMOOTH:] - sums[:-SMOOTH]) / SMOOTH).astype(np.float32)
