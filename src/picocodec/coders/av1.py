"""Tiles of screenshots and drawings as still pictures of AV1, which has tools made for them
(docs/format.md, section 3).

Pillow's AVIF plug-in codes and decodes. The container around the stream, which says nothing that
the tile table does not, is left out of the file and made anew for the decoder. It is made to tell
that the planes are colours already: so what comes back are Y, Cb and Cr themselves, which AV1
defines to the bit, and the conversion to RGB, which libraries round as they like, is ours.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image, features

from picocodec.coders.protocol import Bytes, Candidate, TileCoder
from picocodec.errors import CorruptTile, UnsupportedVersion
from picocodec.format.tiles import Tile

SPEED = 6

# What libaom is told: that a picture has letters, so that it may copy them from each other, which
# switches its loop filters off; and that it is a screen, where those need no extra sharpness.
USUAL: dict[str, str] = {}
LETTERS = {"tune-content": "screen"}
SCREEN = {"tune-content": "screen", "sharpness": "0"}

# Between two steps of the quantiser, of which there are 63, these make sizes of their own.
# Each coarser matrix of quantisation takes some 5 % less, the others a part of that.
FINE_STEPS: tuple[dict[str, str], ...] = tuple(
    {"qm-max": matrix, **others}
    for matrix in ("10", "9", "8", "7", "6")
    for others in ({}, {"sharpness": "4"}, {"min-partition-size": "8"})
)

# Headers of the two units (OBUs) of a stream, with a size behind: a sequence header and a frame.
_SEQUENCE, _FRAME = 0x0A, 0x32
_TEMPORAL_DELIMITER = b"\x12\x00"
_BT601, _IDENTITY = 6, 0  # matrix coefficients (ITU-T H.273)

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
    data = out.getvalue()
    # The picture is the last piece of the file, and our streams do without its first unit.
    start = data.find(_TEMPORAL_DELIMITER, max(0, data.find(b"mdat")))
    stream = data[start + len(_TEMPORAL_DELIMITER) :]
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


def check_stream(stream: bytes, tile: Tile) -> int:
    """The level (`seq_level_idx`) of a stream that is what a tile's or block's must be: a sequence
    header and a frame, no more; a reduced still picture of profile 1 (AV1 specification, section
    5.5) of its size, 4:4:4 in 8 bits, BT.601 at full range, no film grain. Raises `CorruptTile`.

    So a library finds no more pixels in it than the file's header promised.
    """
    header, rest = _unit(stream, _SEQUENCE)
    _, rest = _unit(rest, _FRAME)
    if rest:
        raise CorruptTile(f"{len(rest)} bytes follow the frame of its AV1 stream")
    bits = _Bits(header)
    if (bits.take(3), bits.take(1), bits.take(1)) != (1, 1, 1):
        raise CorruptTile("its AV1 stream is not a still picture of profile 1 with a short header")
    level = bits.take(5)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(width_bits) + 1, bits.take(height_bits) + 1
    if (width, height) != (tile.width, tile.height):
        raise CorruptTile(
            f"its AV1 stream has {width}x{height} pixels for a tile of {tile.width}x{tile.height}"
        )
    bits.take(6)  # tools
    if bits.take(2) != 1:
        raise CorruptTile("its AV1 stream has more than 8 bits, or no word on its colours")
    if bits.take(24) & 255 != _BT601 or bits.take(1) != 1:
        raise CorruptTile("the colours of its AV1 stream are not BT.601 at full range")
    bits.take(1)  # whether the quantisers of Cb and Cr differ
    if bits.take(1):
        raise CorruptTile("its AV1 stream has film grain")
    return level


def avif_file(stream: bytes, tile: Tile, level: int) -> bytes:
    """An AVIF file of a stream, which calls its planes G, B and R."""
    properties = _box(
        b"ipco",
        _box(b"ispe", struct.pack(">III", 0, tile.width, tile.height)),
        _box(b"pixi", bytes([0, 0, 0, 0, 3, 8, 8, 8])),
        _box(b"av1C", bytes([0x81, 1 << 5 | level, 0, 0])),
        _box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, _IDENTITY, 0x80)),
    ) + _box(b"ipma", bytes([0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 4, 1, 2, 0x83, 4]))
    start = _box(b"ftyp", b"avif", bytes(4), b"avifmif1miafMA1A")

    def meta(offset: int) -> bytes:
        place = struct.pack(">IHHHHHI", 0, 0x4400, 1, 1, 0, 1, offset)
        return _box(
            b"meta",
            bytes(4),
            _box(b"hdlr", bytes(8), b"pict", bytes(13)),
            _box(b"pitm", bytes([0, 0, 0, 0, 0, 1])),
            _box(b"iloc", place, struct.pack(">I", len(stream))),
            _box(b"iinf", bytes([0, 0, 0, 0, 0, 1]), _box(b"infe", _AV1_ITEM)),
            _box(b"iprp", properties),
        )

    return start + meta(len(start + meta(0)) + 8) + _box(b"mdat", stream)


_AV1_ITEM = bytes([2, 0, 0, 0, 0, 1, 0, 0]) + b"av01" + bytes(1)


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + kind + body


def _unit(stream: bytes, kind: int) -> tuple[bytes, bytes]:
    """The first unit of a stream, which must be of a kind, and what follows it."""
    size = 0
    for i, byte in enumerate(stream[1:5]):
        size |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            unit, rest = stream[2 + i : 2 + i + size], stream[2 + i + size :]
            if stream[0] == kind and len(unit) == size:
                return unit, rest
            break
    raise CorruptTile("its AV1 stream is not a sequence header and a frame")


class _Bits:
    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data), 8 * len(data)

    def take(self, count: int) -> int:
        self.left -= count
        if self.left < 0:
            raise CorruptTile("the sequence header of its AV1 stream is too short")
        return self.value >> self.left & (1 << count) - 1
