"""Tiles without loss, as WebP codes them (docs/format.md, section 3).

The file around the stream, which says nothing that the piece table does not, is left out and made
anew for the decoder.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, features

from picocodec.coders.protocol import Bytes, Candidate, TileCoder
from picocodec.errors import CorruptTile, LimitExceeded, UnsupportedVersion
from picocodec.format.streams import webp_file, webp_stream
from picocodec.format.tiles import Tile


@dataclass(frozen=True)
class LosslessCoder(TileCoder):
    """WebP without loss; `quick` takes a tenth of the time and up to twice the bytes."""

    quick: bool = False

    def encode(self, pixels: Bytes, level: int = 0) -> Candidate:
        """Code pixels uint8 `[h, w, 3]` as they are."""
        return Candidate(encode_lossless(pixels, self.quick), lambda: pixels, exact=True)

    def decode(self, payload: bytes, area: Tile, level: int = 0) -> Bytes:
        """The pixels uint8 `[h, w, 3]` of a stream; errors as of `decode_lossless`."""
        return decode_lossless(payload, area)


def encode_lossless(pixels: Bytes, quick: bool = False) -> bytes:
    """A lossless WebP stream of pixels uint8 `[h, w, 3]`; `quick` is that of `LosslessCoder`."""
    out = io.BytesIO()
    # The last tenth of WebP's pains doubles its time, for half a percent.
    effort = {"quality": 0, "method": 1} if quick else {"quality": 90, "method": 4}
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, **effort)
    return webp_stream(out.getvalue())


def decode_lossless(stream: bytes, tile: Tile) -> Bytes:
    """Pixels `[h, w, 3]` of an area from its lossless WebP stream; raises `CorruptTile`
    for noise, `LimitExceeded` where Pillow's limit of pixels is less than half as many."""
    if not features.check("webp"):
        raise UnsupportedVersion("it is lossless, and Pillow was built without WebP")
    from PIL import WebPImagePlugin  # here, since few pictures need it

    file = io.BytesIO(webp_file(stream, tile))
    try:
        with WebPImagePlugin.WebPImageFile(file) as image:
            return np.asarray(image.convert("RGB"))
    except Image.DecompressionBombError as error:  # below its size
        raise LimitExceeded(f"Pillow's limit, PIL.Image.MAX_IMAGE_PIXELS: {error}") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise CorruptTile(f"lossless data cannot be read: {error}") from None
