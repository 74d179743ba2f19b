"""Tiles of screenshots and drawings as still pictures of AV1, which has tools made for them
(docs/format.md, section 3).

Pillow's AVIF plug-in codes and decodes. It is told that the planes are colours already
(`format/streams.py`): so what comes back are Y, Cb and Cr themselves, which AV1 defines to the bit,
and the conversion to RGB, which libraries round as they like, is ours.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image, features

from picocodec.coders.protocol import Bytes, Candidate, TileCoder
from picocodec.errors import CorruptTile, UnsupportedVersion
from picocodec.format.streams import av1_stream, avif_file, check_stream
from picocodec.format.tiles import Tile

SPEED = 6

# What libaom is told: that a picture has letters, so that it may copy them from each other, which
# switches its loop filters off; and that it is drawn, where those need no extra sharpness.
USUAL: dict[str, str] = {}
LETTERS = {"tune-content": "screen"}
DRAWING = {"tune-content": "screen", "sharpness": "0"}

# Between two steps of the quantiser, of which there are 63, these make sizes of their own.
# Each coarser matrix of quantisation takes some 5 % less, the others a part of that.
FINE_STEPS: tuple[dict[str, str], ...] = tuple(
    {"qm-max": matrix, **others}
    for matrix in ("10", "9", "8", "7", "6")
    for others in ({}, {"sharpness": "4"}, {"min-partition-size": "8"})
)

# BT.601 at full range, as JFIF has it, in units of 1/65536.
_RED_CR, _GREEN_CB, _GREEN_CR, _BLUE_CB = 91881, -22554, -46802, 116130

_AT_ONCE = 64  # rows that become colours together


def is_available() -> bool:
    """Whether Pillow was built with what this needs."""
    return bool(features.check("avif"))


@dataclass(frozen=True)
class Av1Coder(TileCoder):
    """AV1 at a quality of libavif, 0 to 100, by at most so many threads; `told` are options of
    libaom. A decoder needs none of these."""

    quality: int = 0
    threads: int = 1
    speed: int = SPEED
    told: Mapping[str, str] = field(default_factory=dict)

    def encode(self, pixels: Bytes, level: int = 0) -> Candidate | None:
        """Code pixels uint8 `[h, w, 3]`; None where Pillow makes no stream of them."""
        stream = encode_av1(pixels, self.quality, self.threads, self.speed, self.told)
        if stream is None:
            return None
        return Candidate(stream, partial(decode_av1, stream, Tile(0, 0, *pixels.shape[:2])))

    def decode(self, payload: bytes, area: Tile, level: int = 0) -> Bytes:
        """The pixels uint8 `[h, w, 3]` of a stream; errors as of `decode_av1`."""
        return decode_av1(payload, area)


def encode_av1(
    pixels: Bytes,
    quality: int,
    threads: int = 1,
    speed: int = SPEED,
    told: Mapping[str, str] = USUAL,
) -> bytes | None:
    """The stream of pixels `[h, w, 3]` at a quality of libavif, 0 to 100, `told` being options of
    libaom; None where Pillow, or the plug-in that took its place, makes none that `check_stream`
    lets pass."""
    from PIL import AvifImagePlugin  # noqa: F401  # registers itself

    out = io.BytesIO()
    try:
        Image.fromarray(pixels).save(
            out,
            "AVIF",
            codec="aom",
            quality=quality,
            speed=speed,
            subsampling="4:4:4",
            autotiling=False,
            max_threads=max(2, threads),  # from two on, libaom's bytes are the same
            advanced=told,
        )
    except (OSError, ValueError, RuntimeError):  # built without libaom, or out of memory
        return None
    stream = av1_stream(out.getvalue())
    try:
        check_stream(stream, Tile(0, 0, *pixels.shape[:2]))
    except CorruptTile:
        return None
    return stream


def decode_av1(stream: bytes, tile: Tile) -> Bytes:
    """Pixels `[h, w, 3]` of an area from its stream; raises `CorruptTile` for one that is
    none or not of that size, `UnsupportedVersion` where Pillow has no AVIF. Its decoder takes a
    thread for each core."""
    level = check_stream(stream, tile)
    if not is_available():
        raise UnsupportedVersion("it is an AV1 still picture, and Pillow was built without AVIF")
    from PIL import AvifImagePlugin  # here, since few pictures need it

    try:
        with AvifImagePlugin.AvifImageFile(io.BytesIO(avif_file(stream, tile, level))) as image:
            planes = np.asarray(image)
    except (OSError, ValueError, SyntaxError, RuntimeError) as error:
        raise CorruptTile(f"its AV1 stream cannot be read: {error}") from None
    if planes.shape != (tile.height, tile.width, 3):
        raise CorruptTile(f"its AV1 stream gives an array of {planes.shape}")
    return to_rgb(planes)


def to_rgb(planes: Bytes) -> Bytes:
    """RGB from what a decoder takes for RGB: Cr, Y, Cb `[h, w, 3]`."""
    rgb = np.empty_like(planes)
    for top in range(0, len(planes), _AT_ONCE):
        cr, y, cb = planes[top : top + _AT_ONCE].astype(np.int32).transpose(2, 0, 1)
        y = (y << 16) + (1 << 15)
        cb -= 128
        cr -= 128
        colours = y + _RED_CR * cr, y + _GREEN_CB * cb + _GREEN_CR * cr, y + _BLUE_CB * cb
        for channel, value in enumerate(colours):
            rgb[top : top + _AT_ONCE, :, channel] = np.clip(value >> 16, 0, 255)
    return rgb
