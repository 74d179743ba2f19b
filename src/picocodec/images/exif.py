"""EXIF (CIPA DC-008) as bytes: what has to change in it is changed in place, the rest is kept.

Broken EXIF says nothing here, and is kept as it is.
"""

from __future__ import annotations

import struct
from fractions import Fraction

from picocodec.images.containers.directories import (
    EXIF_IFD,
    GPS_IFD,
    INTEROP_IFD,
    Broken,
    Directory,
    Entry,
    Node,
    directory,
    first_directory,
    packed,
)
from picocodec.images.containers.survey import Density

ORIENTATION = 274
_X_RESOLUTION, _Y_RESOLUTION, _UNIT = 282, 283, 296
_THUMBNAIL, _THUMBNAIL_BYTES, _STRIPS, _STRIP_BYTES = 513, 514, 273, 279
_WIDTH, _HEIGHT = 40962, 40963  # of the picture, in the directory of EXIF's own
_CHILDREN = (EXIF_IFD, GPS_IFD, INTEROP_IFD)


def is_readable(exif: bytes) -> bool:
    """Whether it is EXIF at all."""
    try:
        first_directory(exif)
    except Broken:
        return False
    return True


def orientation(exif: bytes | None) -> int:
    """1 to 8 as EXIF numbers them; 1, upright, where it says nothing."""
    try:
        value = first_directory(exif or b"").integer(ORIENTATION, 1)
    except Broken:
        return 1
    return value if 1 <= value <= 8 else 1


def without_orientation(exif: bytes) -> bytes:
    """The same bytes but for the entry of the orientation, whose place is left empty at the end of
    its directory: nothing else moves."""
    try:
        first = first_directory(exif)
    except Broken:
        return exif
    entry = first.entries.get(ORIENTATION)
    if entry is None or orientation(exif) == 1:
        return exif
    count = struct.unpack_from(f"{first.order}H", exif, first.at)[0]
    end = first.next_at + 4
    rest = exif[entry.at + 12 : end]
    new_count = struct.pack(f"{first.order}H", count - 1)
    between = exif[first.at + 2 : entry.at]
    return exif[: first.at] + new_count + between + rest + bytes(12) + exif[end:]


def of_part(exif: bytes, width: int, height: int) -> bytes:
    """EXIF for a crop or a smaller picture: without the thumbnail of the whole, whose bytes are
    gone, and with its own size where EXIF has one."""
    data = bytearray(exif)
    try:
        first = first_directory(exif)
    except Broken:
        return exif
    if (inner := _within(exif, first, first.integer(EXIF_IFD))) is not None:
        for tag, value in ((_WIDTH, width), (_HEIGHT, height)):
            _set(data, inner.entries.get(tag), first.order, value)
    if first.next_at + 4 > len(data) or not first.next:
        return bytes(data)
    struct.pack_into(f"{first.order}I", data, first.next_at, 0)
    if (second := _within(exif, first, first.next)) is not None:
        _blank(data, second)
    end = max(_end(exif, first), len(data.rstrip(b"\0")))
    return bytes(data[: end + (end & 1)])


def _within(exif: bytes, first: Directory, at: int) -> Directory | None:
    """A directory that another points to; None if it is broken or there is none."""
    try:
        return directory(exif, at, first.order) if at else None
    except Broken:
        return None


def _blank(data: bytearray, one: Directory) -> None:
    """Zeros in the place of a directory, its values, and the picture that it describes."""
    for places, lengths in ((_THUMBNAIL, _THUMBNAIL_BYTES), (_STRIPS, _STRIP_BYTES)):
        for at, length in zip(one.integers(places), one.integers(lengths), strict=False):
            data[at : at + length] = bytes(len(data[at : at + length]))
    for entry in one.entries.values():
        data[entry.place : entry.place + len(entry.value)] = bytes(len(entry.value))
    length = len(data[one.at : one.next_at + 4])
    data[one.at : one.at + length] = bytes(length)


def _set(data: bytearray, entry: Entry | None, order: str, value: int) -> None:
    if entry is not None and entry.count == 1 and entry.kind in (3, 4):
        code, most = ("H", 0xFFFF) if entry.kind == 3 else ("I", 0xFFFFFFFF)
        struct.pack_into(f"{order}{code}", data, entry.place, min(value, most))


def _end(exif: bytes, first: Directory) -> int:
    """Where the first directory and what it holds end, at the latest."""
    end = max([first.next_at + 4, *(e.place + len(e.value) for e in first.entries.values())])
    for tag in _CHILDREN:
        if (inner := _within(exif, first, first.integer(tag))) is not None:
            end = max(end, _end(exif, inner))
    return end


def resolution(exif: bytes | None) -> Density | None:
    """The resolution that EXIF gives, if it is one."""
    try:
        first = first_directory(exif or b"")
    except Broken:
        return None
    found = [_rational(first, tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION)]
    if not all(found):
        return None
    return Density(float(found[0] or 0), float(found[1] or 0), first.integer(_UNIT, 2))


def _rational(one: Directory, tag: int) -> Fraction | None:
    entry = one.entries.get(tag)
    if entry is None or entry.kind != 5 or entry.count != 1:
        return None
    over, under = struct.unpack(f"{one.order}II", entry.value)
    return Fraction(over, under) if under else None


def with_resolution(exif: bytes | None, density: Density) -> bytes | None:
    """EXIF that gives a resolution, if it gives none so far: behind its last byte comes its first
    directory once more, with three more entries. As it is for a density that says nothing: no
    unit and square pixels, or 72 dpi, which stands for none."""
    is_square = density.x == density.y
    if not (0 < density.x < 1e9 and 0 < density.y < 1e9):
        return exif
    if is_square and (density.unit == 1 or (density.unit == 2 and round(density.x, 1) == 72)):
        return exif
    if not exif:
        return packed(Node(_entries(density, ">")), ">")
    try:
        first = first_directory(exif)
    except Broken:
        return exif
    if _X_RESOLUTION in first.entries or _Y_RESOLUTION in first.entries:
        return exif
    ours = [e for e in _entries(density, first.order) if e.tag not in first.entries]
    at = len(exif) + (len(exif) & 1)
    count = len(first.entries) + len(ours)
    place = at + 2 + 12 * count + 4
    words: list[tuple[int, bytes]] = [
        (tag, exif[entry.at : entry.at + 12]) for tag, entry in first.entries.items()
    ]
    values = b""
    for entry in ours:
        value = entry.value.ljust(4, b"\0")
        if len(value) > 4:
            value, values = struct.pack(f"{first.order}I", place + len(values)), values + value
        head = struct.pack(f"{first.order}HHI", entry.tag, entry.kind, entry.count)
        words.append((entry.tag, head + value))
    new = struct.pack(f"{first.order}H", count) + b"".join(word for _, word in sorted(words))
    new += struct.pack(f"{first.order}I", first.next) + values
    header = exif[:4] + struct.pack(f"{first.order}I", at)
    return header + exif[8:] + bytes(at - len(exif)) + new


def _entries(density: Density, order: str) -> list[Entry]:
    made = []
    for tag, value in ((_X_RESOLUTION, density.x), (_Y_RESOLUTION, density.y)):
        number = Fraction(round(value, 2)).limit_denominator(100 if value < 1e7 else 1)
        packed = struct.pack(f"{order}II", number.numerator, number.denominator)
        made.append(Entry(tag, 5, 1, packed, 0, 0))
    return [*made, Entry(_UNIT, 3, 1, struct.pack(f"{order}H", density.unit), 0, 0)]
