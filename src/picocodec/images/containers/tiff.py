"""TIFF 6.0 and BigTIFF, directory by directory; EXIF is one, too."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from picocodec.images.containers.survey import Data, Density, Survey

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SUB_IFDS, EXIF_IFD, GPS_IFD, INTEROP_IFD = 330, 34665, 34853, 40965
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MOST_DIRECTORIES, _MOST_ENTRIES = 64, 4096

_SUB_FILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES, _FORMAT = 273, 279, 324, 325, 339
_ROWS, _PARTS, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 278, 277, 284, 322, 323
_DNG_VERSION, _DEFLATE, _REDUCED = 50706, (8, 32946), 1
_RAW_PHOTOMETRIC = (32803, 34892)  # of a colour filter array, linear raw
RAW = (
    "this is a camera's raw file, which has to be developed first: with the camera's own software, "
    "darktable, RawTherapee or rawpy, to PNG or TIFF of 8 bits"
)


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
        return self.entries[tag].integers(self.order) if tag in self.entries else []

    def integer(self, tag: int, default: int = 0) -> int:
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


def directories(data: Data) -> Iterator[tuple[Directory, bool]]:
    """All directories of pictures, and whether each is within another; raises `Broken`."""
    is_big = data[2:4] in (b"+\0", b"\0+")
    first = first_directory(data)
    waiting = [(first, False)]
    seen = {first.at}
    while waiting and len(seen) <= _MOST_DIRECTORIES:
        one, is_within = waiting.pop(0)
        yield one, is_within
        places = [(at, True) for at in one.integers(SUB_IFDS)] + [(one.next, is_within)]
        for at, within in places:
            if at and at not in seen:
                seen.add(at)
                waiting.append((directory(data, at, one.order, is_big), within))


def survey(data: Data) -> Survey:
    found = Survey()
    try:
        first = first_directory(data)
    except Broken as error:
        found.fault = str(error)
        return found
    every = [(first, False)]
    try:
        every = list(directories(data))
    except Broken:
        found.drop("further pages, which are damaged")
    others = [one for one, _ in every[1:]]
    is_raw = _DNG_VERSION in first.entries or any(
        one.integer(_PHOTOMETRIC) in _RAW_PHOTOMETRIC for one, _ in every
    )
    is_small = first.integer(_SUB_FILE) & _REDUCED or any(
        one.integer(_WIDTH) * one.integer(_HEIGHT) > _area(first)
        for one, is_within in every[1:]
        if is_within
    )
    if is_raw or is_small or data[8:10] == b"CR":
        found.refusal = RAW
        if not is_raw and data[8:10] != b"CR" and not any(within for _, within in every):
            found.refusal = (
                "the first picture in the file is a small copy of another one: "
                "store the picture that is meant by itself"
            )
        return found
    found.depth = max(8, *first.integers(_BITS), 8)
    if any(kind == 3 for kind in first.integers(_FORMAT)):
        found.depth = max(found.depth, 32)
    _take_resolution(first, found)
    _drop_others(first, others, found)
    found.fault = _fault(data, first)
    return found


def _area(one: Directory) -> int:
    return one.integer(_WIDTH) * one.integer(_HEIGHT)


def _drop_others(first: Directory, others: list[Directory], found: Survey) -> None:
    small = [one for one in others if one.integer(_SUB_FILE) & _REDUCED]
    masks = [one for one in others if one.integer(_SUB_FILE) & 4]
    if small:
        found.drop("smaller copies", len(small)) if len(small) > 1 else found.drop("a smaller copy")
    if masks:
        found.drop("a mask")
    if 37724 in first.entries:
        found.drop("layers")
    if {301, 318, 319} & set(first.entries) and 34675 not in first.entries:
        found.drop("colours given by numbers (white point, primaries, transfer function)")


def _take_resolution(first: Directory, found: Survey) -> None:
    values = []
    for tag in (282, 283):
        entry = first.entries.get(tag)
        if entry is None or entry.kind != 5 or entry.count != 1:
            return
        over, under = struct.unpack(f"{first.order}II", entry.value)
        values.append(over / under if under else 0.0)
    if all(values):
        found.density = Density(values[0], values[1], first.integer(296, 2))


def _fault(data: Data, first: Directory) -> str:
    """What is missing of the first picture: pieces beyond the end, pieces without data, and
    compressed ones that contradict their checksums."""
    is_tiled = _TILES in first.entries
    offsets = first.integers(_TILES if is_tiled else _STRIPS)
    lengths = first.integers(_TILE_BYTES if is_tiled else _STRIP_BYTES)
    what = "tile" if is_tiled else "strip"
    if not lengths or len(lengths) != len(offsets):
        return ""  # Pillow has its own opinion of these
    expected = _pieces(first, is_tiled)
    if expected and len(offsets) < expected:
        return f"only {len(offsets)} of its {expected} {what}s are in the file"
    for i, (at, length) in enumerate(zip(offsets, lengths, strict=True)):
        if not at or not length:
            return f"its {what} {i} is not in the file"
        if at + length > len(data):
            return f"image file is truncated: it ends before its {what} {i} does"
    if first.integer(_COMPRESSION) in _DEFLATE:
        for i, (at, length) in enumerate(zip(offsets, lengths, strict=True)):
            if not _inflates(data[at : at + length]):
                return f"its {what} {i} does not match its checksum"
    return ""


def _pieces(first: Directory, is_tiled: bool) -> int:
    """The strips or tiles of a picture; 0 where that cannot be told."""
    width, height = first.integer(_WIDTH), first.integer(_HEIGHT)
    planes = first.integer(_PARTS, 1) if first.integer(_PLANAR, 1) == 2 else 1
    if is_tiled:
        w, h = first.integer(_TILE_WIDTH), first.integer(_TILE_HEIGHT)
        return planes * -(-width // w) * -(-height // h) if w and h else 0
    rows = min(first.integer(_ROWS, height), height)
    return planes * -(-height // rows) if rows else 0


def _inflates(piece: bytes) -> bool:
    stream = zlib.decompressobj()
    try:
        while piece and not stream.eof:
            stream.decompress(piece, 1 << 22)
            piece = stream.unconsumed_tail
    except zlib.error:
        return False
    return stream.eof
