"""Tiles of screenshots, charts and drawings, kept without loss where that is the better bargain
(docs/format.md, section 3, modes 1 and 2)."""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image, WebPImagePlugin, features

from picocodec.codec.tiles import Tile
from picocodec.errors import CorruptTile, LimitExceeded, UnsupportedVersion
from picocodec.format.container import LEVEL_STEPS

# Of all pixels of a tile, those that equal their left neighbour, from which on it is worth a try:
# noise leaves a photo far fewer.
FLAT_SHARE = 0.3

# What a mean squared error of 1 (of values 0 to 1) is worth in bits a pixel at levels 0 and 1,
# log-linear between: the bargain that models are trained for.
_WORTH = 24.0, 12000.0

_HEAD = struct.Struct("<4sI4s4sIBI")  # RIFF, VP8L, and the first bits of its stream
_SIGNATURE = 0x2F

Pixels = NDArray[np.uint8]


def is_flat(pixels: Pixels) -> bool:
    """Whether a tile's pixels `[h, w, 3]` look drawn rather than photographed."""
    if pixels.shape[1] < 2:
        return False
    equal = (pixels[:, 1:] == pixels[:, :-1]).all(2)
    return bool(equal.mean() >= FLAT_SHARE)


def price_of_errors(pixels: Pixels, decoded: Pixels, level: int) -> float:
    """The bits that are worth spending to see `pixels` themselves instead of `decoded`."""
    low, high = _WORTH
    worth = low * (high / low) ** (level / LEVEL_STEPS)
    squares = np.square((pixels.astype(np.float32) - decoded) / 255).mean(2)
    return float(worth * squares.sum())


def encode_lossless(pixels: Pixels, quick: bool = False) -> bytes:
    """A lossless WebP file; `quick` takes a tenth of the time and up to twice the bytes."""
    out = io.BytesIO()
    effort = {"quality": 0, "method": 1} if quick else {"quality": 100, "method": 4}
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, **effort)
    return out.getvalue()


def decode_lossless(data: bytes, tile: Tile) -> Pixels:
    """Pixels `[h, w, 3]` of a tile or block from its lossless WebP file; raises `CorruptTile`
    for any other, `LimitExceeded` where Pillow's limit of pixels is less than half as many."""
    if not features.check("webp"):
        raise UnsupportedVersion("it is lossless, and Pillow was built without WebP")
    if len(data) < _HEAD.size:
        raise CorruptTile("lossless data is too short")
    riff, size, webp, kind, length, signature, bits = _HEAD.unpack_from(data)
    width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if (riff, webp, kind, signature) != (b"RIFF", b"WEBP", b"VP8L", _SIGNATURE) or (
        size + 8 != len(data) or length + (length & 1) + 20 != len(data)
    ):
        raise CorruptTile("lossless data is not a plain lossless WebP file")
    if (width, height) != (tile.width, tile.height):
        raise CorruptTile(
            f"lossless data has {width}x{height} pixels for a tile of {tile.width}x{tile.height}"
        )
    try:
        with WebPImagePlugin.WebPImageFile(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except Image.DecompressionBombError as error:  # below its size
        raise LimitExceeded(f"Pillow's limit, PIL.Image.MAX_IMAGE_PIXELS: {error}") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise CorruptTile(f"lossless data cannot be read: {error}") from None
