"""Tiles of screenshots, charts and drawings, kept without loss where that is the better bargain
(docs/format.md, section 3)."""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from picocodec.codec.tiles import Tile
from picocodec.errors import CorruptTile, LimitExceeded, UnsupportedVersion
from picocodec.format.container import LEVEL_STEPS

# Of all pixels of a tile, those that equal their left neighbour, from which on it is worth a try:
# noise leaves a photo far fewer.
FLAT_SHARE = 0.3

# What a mean squared error of 1 (of values 0 to 1) is worth in bits a pixel at levels 0 and 1,
# log-linear between: the bargain that models are trained for.
_WORTH = 24.0, 12000.0

# Of a lossless WebP file: RIFF, VP8L, a signature, and width - 1 and height - 1 in 14 bits each,
# which leaves 4 bits for alpha and the version. What follows is the stream.
_HEAD = struct.Struct("<4sI4s4sIBI")
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
    """A lossless WebP stream; `quick` takes a tenth of the time and up to twice the bytes."""
    out = io.BytesIO()
    effort = {"quality": 0, "method": 1} if quick else {"quality": 100, "method": 4}
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, **effort)
    return stream_of(out.getvalue(), Tile(0, 0, *pixels.shape[:2]))


def stream_of(data: bytes, tile: Tile) -> bytes:
    """The stream in a lossless WebP file of a tile or block; raises `CorruptTile` for any other
    file."""
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
    return data[_HEAD.size : 20 + length]


def decode_lossless(stream: bytes, tile: Tile) -> Pixels:
    """Pixels `[h, w, 3]` of a tile or block from its lossless WebP stream; raises `CorruptTile`
    for noise, `LimitExceeded` where Pillow's limit of pixels is less than half as many."""
    if not features.check("webp"):
        raise UnsupportedVersion("it is lossless, and Pillow was built without WebP")
    from PIL import WebPImagePlugin  # here, since few pictures need it

    length, bits = len(stream) + 5, (tile.height - 1) << 14 | tile.width - 1
    end = bytes(length & 1)
    size = length + len(end) + 12
    head = _HEAD.pack(b"RIFF", size, b"WEBP", b"VP8L", length, _SIGNATURE, bits)
    try:
        with WebPImagePlugin.WebPImageFile(io.BytesIO(head + stream + end)) as image:
            return np.asarray(image.convert("RGB"))
    except Image.DecompressionBombError as error:  # below its size
        raise LimitExceeded(f"Pillow's limit, PIL.Image.MAX_IMAGE_PIXELS: {error}") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise CorruptTile(f"lossless data cannot be read: {error}") from None
