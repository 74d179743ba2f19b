"""What a picture is, here, as an array and as a Pillow image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from picocodec.errors import UnsupportedImage
from picocodec.format.container import MAX_SIDE

EXIF_PREFIX = b"Exif\0\0"  # JPEG's, which Pillow keeps in `info`; a Picture has EXIF without it


class Pixels(Protocol):
    """RGB pixels, uint8 `[H, W, 3]`, that need not all be in memory: an array has them, or
    `FilePixels`, or `PillowPixels`. Slices are arrays."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`(H, W, 3)`."""

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.uint8]: ...


class PillowPixels:
    """The colours of a Pillow image of mode L, LA, RGB or RGBA, taken from it piece by piece:
    it holds four bytes a pixel, and an array of all of them would come on top."""

    def __init__(self, im: Image.Image) -> None:
        self._im = im
        self.shape = (im.height, im.width, 3)

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.uint8]:
        top, bottom, _ = key[0].indices(self.shape[0])
        left, right, _ = key[1].indices(self.shape[1])
        return colours(np.atleast_3d(np.asarray(self._im.crop((left, top, right, bottom)))))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:, :].astype(dtype or np.uint8, copy=False)


class FilePixels:
    """Pixels `[H, W, 1 or 3]` that lie in a file as they are. Each slice is mapped to memory by
    itself, so that what was seen does not stay."""

    def __init__(self, path: str, offset: int, height: int, width: int, channels: int) -> None:
        self._path, self._offset = path, offset
        self._row = width, channels
        self.shape = (height, width, 3)

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.uint8]:
        top, bottom, _ = key[0].indices(self.shape[0])
        width, channels = self._row
        place = self._offset + top * width * channels
        rows = np.memmap(self._path, np.uint8, "r", place, (bottom - top, width, channels))
        return colours(np.array(rows[:, key[1]]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:, :].astype(dtype or np.uint8, copy=False)


@dataclass
class Picture:
    """What a .pico file holds, decoded, or is to hold.

    `rgb` uint8 `[H, W, 3]`, sRGB unless `icc` says otherwise; `alpha` uint8 `[H, W]`, not
    premultiplied; `gray` says that the picture has one channel, then `rgb` has three equal ones.
    Pixels are stored as they come: an orientation in `exif` is kept there, never applied.
    """

    rgb: Pixels
    alpha: NDArray[np.uint8] | None = None
    gray: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None


def from_array(array: ArrayLike) -> Picture:
    """A picture from uint8 pixels: `[H, W]` or `[H, W, 1]` gray, `[H, W, 2]` gray and alpha,
    `[H, W, 3]` RGB, `[H, W, 4]` RGB and alpha.

    Raises `TypeError` for other types, `ValueError` for other shapes, `UnsupportedImage` for
    sides of no or too many pixels.
    """
    pixels = np.asarray(array)
    if pixels.dtype != np.uint8:
        raise TypeError(
            f"pixels must be uint8 in 0..255, not {pixels.dtype}; scale and convert them first"
        )
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise ValueError(
            f"pixels of shape {pixels.shape} are no picture: expected [H, W] or [H, W, 1 to 4]"
        )
    height, width, channels = pixels.shape
    check_sides(width, height)
    return Picture(
        rgb=colours(pixels),
        alpha=pixels[:, :, -1] if channels in (2, 4) else None,
        gray=channels <= 2,
    )


def to_array(picture: Picture) -> NDArray[np.uint8]:
    """Pixels as uint8 `[H, W, 3]`; gray `[H, W]`; with alpha `[H, W, 4]` or, gray, `[H, W, 2]`."""
    rgb = picture.rgb[:, :]
    colours = rgb[:, :, :1] if picture.gray else rgb
    if picture.alpha is not None:
        return np.concatenate([colours, picture.alpha[:, :, None]], axis=2)
    return colours[:, :, 0] if picture.gray else colours


def to_pillow(picture: Picture) -> Image.Image:
    """A Pillow image of mode L, LA, RGB or RGBA, with metadata in `info` as Pillow names it."""
    im = Image.fromarray(to_array(picture))
    im.info.update(pillow_info(picture.icc, picture.exif, picture.xmp))
    return im


def pillow_info(icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> dict[str, bytes]:
    """Metadata under the names, and with the prefix, that Pillow's own plug-ins use."""
    items = {"icc_profile": icc, "exif": exif and EXIF_PREFIX + exif, "xmp": xmp}
    return {name: data for name, data in items.items() if data}


def colours(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB `[H, W, 3]` of pixels `[H, W, 1 to 4]`; of gray ones a view that repeats them."""
    if pixels.shape[2] <= 2:
        return np.broadcast_to(pixels[:, :, :1], (*pixels.shape[:2], 3))
    return pixels[:, :, :3]


def check_sides(width: int, height: int) -> None:
    """Raises `UnsupportedImage` for sides in pixels that no file can have."""
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise UnsupportedImage(
            f"the picture has {width}x{height} pixels; its sides must be of 1 to {MAX_SIDE}"
        )
