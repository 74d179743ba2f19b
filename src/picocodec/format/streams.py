"""Streams of AV1 and WebP without the files around them: docs/format.md, section 3.

Such a file says nothing that the piece table does not, so it is left out and made anew for the
decoder.
"""

from __future__ import annotations

import struct

from picocodec.errors import CorruptTile
from picocodec.format.tiles import Tile

# Headers of the two units (OBUs) of an AV1 stream, with a size behind: a sequence header and a
# frame.
_SEQUENCE, _FRAME = 0x0A, 0x32
_TEMPORAL_DELIMITER = b"\x12\x00"
_BT601, _IDENTITY = 6, 0  # matrix coefficients (ITU-T H.273)

# Of a lossless WebP file: RIFF, VP8L, a signature, and width - 1 and height - 1 in 14 bits each,
# which leaves 4 bits for alpha and the version. What follows is the stream.
_HEAD = struct.Struct("<4sI4s4sIBI")
_SIGNATURE = 0x2F


def av1_stream(file: bytes) -> bytes:
    """The stream of an AVIF file of one picture, not checked."""
    # The picture is the last piece of the file, and our streams do without its first unit.
    start = file.find(_TEMPORAL_DELIMITER, max(0, file.find(b"mdat")))
    return file[start + len(_TEMPORAL_DELIMITER) :]


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


def webp_stream(file: bytes) -> bytes:
    """The stream of a lossless WebP file."""
    length = _HEAD.unpack_from(file)[4]
    return file[_HEAD.size : 20 + length]


def webp_file(stream: bytes, tile: Tile) -> bytes:
    """A lossless WebP file, without alpha, of the stream of an area."""
    length, bits = len(stream) + 5, (tile.height - 1) << 14 | tile.width - 1
    end = bytes(length & 1)
    size = length + len(end) + 12
    head = _HEAD.pack(b"RIFF", size, b"WEBP", b"VP8L", length, _SIGNATURE, bits)
    return head + stream + end
