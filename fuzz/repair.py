"""Checksums made to fit, so that what a fuzzer changes is not all stopped at the door."""

from __future__ import annotations

import binascii
import zlib

from picocodec.errors import CorruptHeader
from picocodec.format.container import MAX_CHUNKS
from picocodec.format.pieces import Cover
from picocodec.format.tiles import tiles_along

MAX_TILES = 1000  # more than any file that is worth repairing


def repaired(data: bytes) -> bytes:
    """The same .pico file with right checksums of its header, pieces and chunks; as it is where
    the header cannot be followed."""
    out = bytearray(data)

    def varint(at: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 35, 7):
            value |= (out[at] & 0x7F) << shift
            at += 1
            if out[at - 1] < 0x80:
                break
        return value, at

    pieces = []  # where the checksum of each lies, and its length
    try:
        flags, at = out[5], 6
        width, at = varint(at)
        height, at = varint(at)
        at += 2 + (flags >> 4) + 1 + 5 + (flags >> 1 & 1)
        across, down = tiles_along(width + 1), tiles_along(height + 1)
        if across * down > MAX_TILES:
            return data
        cover = Cover(across, down)
        while not cover.is_whole:
            kind = out[at]
            length, at = varint(at + 1 + 2 * (kind >> 3 & 1))
            pieces.append((at, length))
            at += 4
            cover.place((kind >> 4 & 3) + 1, (kind >> 6) + 1)
        if flags & 4:
            count, at = varint(at)
            for _ in range(min(count, MAX_CHUNKS)):
                length, at = varint(at + 4)
                pieces.append((at, length))
                at += 4
    except (IndexError, CorruptHeader):
        return data
    if at + 2 > len(out):
        return data
    start = at + 2
    for place, length in pieces:
        out[place : place + 4] = zlib.crc32(data[start : start + length]).to_bytes(4, "little")
        start += length
    out[at : at + 2] = binascii.crc_hqx(bytes(out[:at]), 0xFFFF).to_bytes(2, "little")
    return bytes(out)
