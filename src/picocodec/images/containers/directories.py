"""Directories of TIFF 6.0, BigTIFF and EXIF, which is TIFF, too: read and written."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from picocodec.images.containers.survey import Data

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SUB_IFDS, EXIF_IFD, GPS_IFD, INTEROP_IFD = 330, 34665, 34853, 40965
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MOST_ENTRIES = 4096


class Broken(Exception):
    """A directory that does not lie within its file, or contradicts itself."""


@dataclass(frozen=True)
class Entry:
    tag: int
    kind: int
    count: int
    value: bytes  # as it lies in the file
    at: int  # of the entry itself
    place: int  # of the value

    def integers(self, order: str) -> list[int]:
        """Whole numbers; empty for values of another kind."""
        code = _INTEGERS.get(self.kind)
        return list(struct.unpack(f"{order}{self.count}{code}", self.value)) if code else []


@dataclass(frozen=True)
class Directory:
    at: int
    order: str  # "<" or ">"
    entries: dict[int, Entry]
    next_at: int  # where the offset of the next directory is written
    next: int

    def integers(self, tag: int) -> list[int]:
        """The whole numbers of a tag; empty where it is absent or of another kind."""
        return self.entries[tag].integers(self.order) if tag in self.entries else []

    def integer(self, tag: int, default: int = 0) -> int:
        """The first of them, or `default`."""
        return next(iter(self.integers(tag)), default)


def first_directory(data: Data) -> Directory:
    """The first directory of a file; raises `Broken`."""
    if data[:4] not in STARTS:
        raise Broken("it does not begin like TIFF")
    order = "<" if data[:1] == b"I" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    return directory(data, _number(data, 8 if is_big else 4, order, is_big), order, is_big)


def directory(data: Data, at: int, order: str, is_big: bool = False) -> Directory:
    """The directory at a place; raises `Broken`."""
    if not 8 <= at < len(data):
        raise Broken("a directory lies outside the file")
    width, size = (8, 20) if is_big else (2, 12)
    count = int.from_bytes(data[at : at + width], "little" if order == "<" else "big")
    end = at + width + count * size
    if count > _MOST_ENTRIES or end > len(data):
        raise Broken("a directory reaches beyond the end of the file")
    entries: dict[int, Entry] = {}
    for place in range(at + width, end, size):
        entry = _entry(data, place, order, is_big)
        if entry is not None:
            entries.setdefault(entry.tag, entry)
    following = 0
    if end + (8 if is_big else 4) <= len(data):
        following = _number(data, end, order, is_big)
    return Directory(at, order, entries, end, following)


def _number(data: Data, at: int, order: str, is_big: bool) -> int:
    number = data[at : at + (8 if is_big else 4)]
    return int.from_bytes(number, "little" if order == "<" else "big")


def _entry(data: Data, at: int, order: str, is_big: bool) -> Entry | None:
    """The entry at a place; None for one whose value does not lie in the file."""
    tag, kind = struct.unpack(f"{order}HH", data[at : at + 4])
    count = _number(data, at + 4, order, is_big)
    inline = at + (12 if is_big else 8)
    length = _SIZES.get(kind, 1) * count
    place = inline if length <= (8 if is_big else 4) else _number(data, inline, order, is_big)
    value = data[place : place + length]
    if len(value) < length:
        return None
    return Entry(tag, kind, count, bytes(value), at, place)


@dataclass
class Node:
    """A directory to be written, and those within it by the tags that point to them."""

    entries: list[Entry]
    children: dict[int, Node] = field(default_factory=dict)


def packed(node: Node, order: str) -> bytes:
    """A file of directories, as EXIF is one."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}I", 8) + _written(node, order, 8)


def _written(node: Node, order: str, at: int) -> bytes:
    """A directory, its values, and the directories within it, beginning at a place."""
    children = [Entry(tag, 4, 1, b"", 0, 0) for tag in node.children]
    entries = sorted([*node.entries, *children], key=lambda entry: entry.tag)
    place = at + 2 + 12 * len(entries) + 4
    head, values = struct.pack(f"{order}H", len(entries)), b""
    for entry in entries:
        head += struct.pack(f"{order}HHI", entry.tag, entry.kind, entry.count)
        value = entry.value
        if entry.tag in node.children:
            value = _written(node.children[entry.tag], order, place + len(values))
        if len(value) <= 4 and entry.tag not in node.children:
            head += value.ljust(4, b"\0")
        else:
            head += struct.pack(f"{order}I", place + len(values))
            values += value + bytes(len(value) & 1)
    return head + bytes(4) + values
