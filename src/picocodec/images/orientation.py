"""Pixels turned as EXIF says, for whatever holds no EXIF."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from picocodec.images import exif as exif_bytes
from picocodec.images.containers import xmp
from picocodec.images.picture import Picture

UPRIGHT = 1
_SWAPS_SIDES = (5, 6, 7, 8)


def turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Pixels `[H, W, ...]`, or `[W, H, ...]` for some, as they are to be seen; `orientation` is 1
    to 8 as EXIF numbers them (CIPA DC-008, 4.6.4)."""
    if orientation in _SWAPS_SIDES:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def turned_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Width and height as they are to be seen."""
    return (height, width) if orientation in _SWAPS_SIDES else (width, height)


def make_upright(picture: Picture) -> None:
    """Turn a picture's pixels as its EXIF says, and take that EXIF away. Needs all of them in
    memory, unless they are upright already."""
    orientation = exif_bytes.orientation(picture.exif)
    picture.exif = None
    if orientation == UPRIGHT:
        return
    picture.rgb = turned(picture.rgb[:, :], orientation)
    if picture.alpha is not None:
        picture.alpha = turned(picture.alpha, orientation)
    picture.xmp = picture.xmp and xmp.upright(picture.xmp)


def strip(picture: Picture, names: tuple[str, ...] | list[str]) -> None:
    """Leave out metadata, of "icc", "exif" and "xmp"; what is to be seen upright stays so."""
    if "exif" in names:
        make_upright(picture)
    if "icc" in names:
        picture.icc = None
    if "xmp" in names:
        picture.xmp = None
