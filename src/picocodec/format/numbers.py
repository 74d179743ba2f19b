"""Numbers in a header: how they are written, and read without running over the end."""

from __future__ import annotations

from mmap import mmap

from picocodec.errors import CorruptHeader, Truncated


class Cursor:
    """Reads a file from a place `at` on; raises `Truncated` where it ends before."""

    def __init__(self, data: bytes | mmap, at: int = 0) -> None:
        self.data, self.at = data, at

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise Truncated("the file ends within its header")
        self.at += count
        return piece

    def byte(self) -> int:
        """The next byte, 0 to 255."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Two bytes, the lower first."""
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        """Four bytes, the lowest first."""
        return int.from_bytes(self.take(4), "little")

    def varint(self) -> int:
        """Groups of seven bits, lowest first, at most five; raises `CorruptHeader` for any but the
        shortest form."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise CorruptHeader("header holds a number that is not in its shortest form")
                return value
        raise CorruptHeader("header holds a number of more than 35 bits")


def varint(value: int) -> bytes:
    """What `Cursor.varint` reads, of a value from 0 to 2^35 - 1."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
