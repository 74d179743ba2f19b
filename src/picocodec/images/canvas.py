"""The pixels of a tile: cut from a picture with what the networks see around them, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from picocodec.format.tiles import MARGIN, Z_STEP, Tile
from picocodec.images.picture import Pixels

_AT_ONCE = 32  # rows that become pixels together, since so many stay in a processor's cache


def cut(rgb: Pixels, tile: Tile) -> NDArray[np.float32]:
    """What the networks see of a tile, `[1, 3, H, W]` in [0, 1].

    Beyond the edges of the picture its outermost pixels are repeated.
    """
    return as_canvas(padded(with_margin(rgb, tile)))


def with_margin(rgb: Pixels, tile: Tile) -> NDArray[np.uint8]:
    """The pixels `[h + 8, w + 8, 3]` of a tile and its margin; beyond the edges of the picture its
    outermost pixels are repeated."""
    area = tile.grown(MARGIN)
    there = area.common(Tile(0, 0, *rgb.shape[:2]))
    top, left = there.top - area.top, there.left - area.left
    rows = top, area.height - top - there.height
    columns = left, area.width - left - there.width
    return np.pad(part(rgb, there), (rows, columns, (0, 0)), "edge")


def padded(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels `[h, w, 3]`, the last row and column repeated up to multiples of 64."""
    rows, columns = (-side % Z_STEP for side in pixels.shape[:2])
    return np.pad(pixels, ((0, rows), (0, columns), (0, 0)), "edge")


def as_canvas(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A canvas `[1, 3, H, W]` in [0, 1] of pixels `[H, W, 3]`."""
    canvas = np.empty((1, 3, *pixels.shape[:2]), np.float32)
    np.divide(pixels.transpose(2, 0, 1), np.float32(255), out=canvas[0], dtype=np.float32)
    return canvas


def part(rgb: Pixels, tile: Tile) -> NDArray[np.uint8]:
    """The pixels `[h, w, 3]` of a picture that a tile or block owns."""
    return rgb[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]


def own(canvas: NDArray[np.float32], tile: Tile, margin: int = MARGIN) -> NDArray[np.uint8]:
    """The pixels `[h, w, 3]` of what a tile owns of its decoded canvas `[1, 3, H, W]`."""
    return to_bytes(canvas[0, :, margin : margin + tile.height, margin : margin + tile.width])


def to_bytes(colours: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Pixels `[h, w, 3]` of colours `[3, h, w]`, 0 to 1 where they are ones."""
    pixels = np.empty((*colours.shape[1:], 3), np.uint8)
    for top in range(0, len(pixels), _AT_ONCE):
        values = np.fmax(colours[:, top : top + _AT_ONCE], 0)  # what is not a number becomes black
        np.minimum(values, 1, out=values)
        values *= 255
        np.rint(values, out=values)
        for channel, plane in enumerate(values.astype(np.uint8)):
            pixels[top : top + _AT_ONCE, :, channel] = plane
    return pixels
