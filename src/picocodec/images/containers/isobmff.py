"""HEIC and AVIF (ISO/IEC 23008-12) in boxes of ISO/IEC 14496-12: depth, colours, what lies beside
the picture, and whether its data are all there.

libheif decodes what it finds of a tiled picture, and dav1d whatever bytes there are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from picocodec.images.containers.survey import TRUNCATED, CodePoints, Data, Density, Survey
from picocodec.images.containers.tiff import RAW

_HOLE = 64  # zero bytes in a row, which AV1's entropy coder does not write
_ALPHA = (b"alpha", b":hevc:2015:auxid:1")  # in the names of what auxiliary items are for
_KINDS = {b"ftyp", b"meta", b"mdat", b"moov", b"mpvd", b"free", b"skip", b"wide", b"idat"}
_FRAMES = (3, 4, 6, 7)  # headers, groups of tiles, both
_PICTURES = {b"av01", b"hvc1", b"vvc1", b"avc1", b"jpeg", b"j2k1", b"unci", b"grid", b"iovl"}


@dataclass(frozen=True)
class Box:
    kind: bytes
    at: int  # of what it holds
    end: int


@dataclass
class _Item:
    kind: bytes = b""
    extents: list[tuple[int, int]] = field(default_factory=list)  # places and lengths in the file
    properties: list[Box] = field(default_factory=list)
    is_hidden: bool = False


@dataclass
class _Meta:
    primary: int = 0
    items: dict[int, _Item] = field(default_factory=dict)
    # Sources by target and kind: what refers to an item, and how.
    references: list[tuple[bytes, int, list[int]]] = field(default_factory=list)

    def parts(self, item: int) -> list[int]:
        """The items that a derived one is made of; itself, if it is coded."""
        made_of = [to for kind, source, to in self.references if (kind, source) == (b"dimg", item)]
        return [part for to in made_of for part in to] or [item]

    def about(self, kind: bytes, item: int) -> list[int]:
        """The items that refer to one, as thumbnails and the like do."""
        wanted = {item, *self.parts(item)}
        return [source for k, source, to in self.references if k == kind and wanted & set(to)]


class _Odd(Exception):
    """Boxes that make no sense."""


def boxes(data: Data, at: int, end: int) -> Iterator[Box]:
    """The boxes from one place to another; what does not fit ends there."""
    while at + 8 <= end:
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        head = 8
        if size == 1 and at + 16 <= end:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        elif size == 0:
            size = end - at
        if size < head:
            return
        yield Box(kind, at + head, at + size)
        at += size


def survey(data: Data) -> Survey:
    """What the boxes of a HEIC or AVIF file say."""
    found = Survey()
    top = list(boxes(data, 0, len(data)))
    if data[8:12] == b"crx ":
        found.refusal = RAW
        return found
    if any(box.end > len(data) for box in top if box.kind in _KINDS):
        found.fault = TRUNCATED
    kinds = {box.kind for box in top}
    if kinds - _KINDS:
        found.drop("data of an unknown kind")
    if b"mpvd" in kinds or (b"moov" in kinds and data[8:12] not in (b"avis", b"hevc", b"msf1")):
        found.drop("a video")
    try:
        for box in top:
            if box.kind == b"meta":
                _take(data, _read_meta(data, box), found)
                break
    except (_Odd, IndexError, struct.error):
        found.fault = found.fault or "its boxes contradict each other"
    return found


def _read_meta(data: Data, box: Box) -> _Meta:
    meta = _Meta()
    within = {b.kind: b for b in boxes(data, box.at + 4, min(box.end, len(data)))}
    if b"pitm" in within:
        at = within[b"pitm"].at
        meta.primary = int.from_bytes(data[at + 4 : at + (8 if data[at] else 6)])
    if b"iinf" in within:
        _read_kinds(data, within[b"iinf"], meta)
    if b"iloc" in within:
        idat = within[b"idat"].at if b"idat" in within else 0
        _read_places(_Reader(data, within[b"iloc"].at), idat, meta)
    if b"iref" in within:
        _read_references(data, within[b"iref"], meta)
    if b"iprp" in within:
        _read_properties(data, within[b"iprp"], meta)
    return meta


class _Reader:
    def __init__(self, data: Data, at: int) -> None:
        self.data, self.at = data, at

    def take(self, size: int) -> int:
        self.at += size
        if self.at > len(self.data):
            raise _Odd
        return int.from_bytes(self.data[self.at - size : self.at])


def _read_kinds(data: Data, box: Box, meta: _Meta) -> None:
    start = box.at + (8 if data[box.at] else 6)
    for one in boxes(data, start, box.end):
        version, hidden = data[one.at], data[one.at + 3] & 1
        wide = 4 if version >= 3 else 2
        number = int.from_bytes(data[one.at + 4 : one.at + 4 + wide])
        at = one.at + 4 + wide + 2
        item = meta.items.setdefault(number, _Item())
        item.kind, item.is_hidden = bytes(data[at : at + 4]), bool(hidden)


def _read_places(reader: _Reader, idat: int, meta: _Meta) -> None:
    version = reader.take(1)
    reader.take(3)
    sizes, more = reader.take(1), reader.take(1)
    of_offset, of_length, of_base = sizes >> 4, sizes & 15, more >> 4
    of_index = more & 15 if version else 0
    for _ in range(reader.take(4 if version == 2 else 2)):
        number = reader.take(4 if version == 2 else 2)
        method = reader.take(2) & 15 if version else 0
        reader.take(2)
        base = reader.take(of_base)
        for _ in range(reader.take(2)):
            reader.take(of_index)
            place, length = base + reader.take(of_offset), reader.take(of_length)
            item = meta.items.setdefault(number, _Item())
            if method < 2:
                item.extents.append((place + (idat if method else 0), length))


def _read_references(data: Data, box: Box, meta: _Meta) -> None:
    wide = 4 if data[box.at] else 2
    for one in boxes(data, box.at + 4, box.end):
        reader = _Reader(data, one.at)
        source = reader.take(wide)
        targets = [reader.take(wide) for _ in range(reader.take(2))]
        meta.references.append((one.kind, source, targets))


def _read_properties(data: Data, box: Box, meta: _Meta) -> None:
    within = list(boxes(data, box.at, box.end))
    known = [p for b in within if b.kind == b"ipco" for p in boxes(data, b.at, b.end)]
    for one in within:
        if one.kind != b"ipma":
            continue
        reader = _Reader(data, one.at)
        version = reader.take(1)
        is_wide = reader.take(3) & 1
        for _ in range(reader.take(4)):
            item = meta.items.setdefault(reader.take(4 if version else 2), _Item())
            for _ in range(reader.take(1)):
                index = reader.take(2) & 0x7FFF if is_wide else reader.take(1) & 0x7F
                if 0 < index <= len(known):
                    item.properties.append(known[index - 1])


def _take(data: Data, meta: _Meta, found: Survey) -> None:
    main = meta.items.get(meta.primary)
    if main is None:
        return
    parts = [meta.primary, *meta.parts(meta.primary)]
    alpha = [
        source
        for source in meta.about(b"auxl", meta.primary)
        if any(name in _auxiliary(data, meta.items.get(source)) for name in _ALPHA)
    ]
    for number in parts:
        for box in meta.items.get(number, _Item()).properties:
            found.depth = max(found.depth, _depth(data, box))
    for box in main.properties + meta.items.get(parts[-1], _Item()).properties:
        if box.kind == b"colr" and data[box.at : box.at + 4] == b"nclx" and not found.code_points:
            primaries, transfer = struct.unpack(">HH", data[box.at + 4 : box.at + 8])
            found.code_points = CodePoints(primaries, transfer)
    for box in main.properties:
        if box.kind == b"pasp":
            wide, high = struct.unpack(">II", data[box.at : box.at + 8])
            found.density = Density(high, wide, 1)  # the wider pixels are, the fewer in a length
    found.crop = _crop(data, main)
    for number in dict.fromkeys([*parts, *alpha, *(p for a in alpha for p in meta.parts(a))]):
        item = meta.items.get(number)
        if item is not None and not found.fault:
            found.fault = _fault(data, item)
    _drop_others(data, meta, {*parts, *alpha}, found)


def _crop(data: Data, item: _Item) -> tuple[int, int, int, int] | None:
    """The clean aperture (ISO/IEC 14496-12, 12.1.4) as left, top, right and bottom, where it is one
    of whole pixels."""
    boxes = {box.kind: box.at for box in item.properties}
    if not {b"clap", b"ispe"} <= boxes.keys():
        return None
    sides = struct.unpack(">II", data[boxes[b"ispe"] + 4 : boxes[b"ispe"] + 12])
    numbers = struct.unpack(">IIIIiIiI", data[boxes[b"clap"] : boxes[b"clap"] + 32])
    edges: list[int] = []
    for side, (over, under), (at, of) in zip(
        sides, (numbers[:2], numbers[2:4]), (numbers[4:6], numbers[6:]), strict=True
    ):
        if not under or not of:
            return None
        length, shift = Fraction(over, under), Fraction(at, of)
        first = (side - length) / 2 + shift
        if first.denominator > 1 or length.denominator > 1 or first < 0 or first + length > side:
            return None
        edges += [int(first), int(first + length)]
    return edges[0], edges[2], edges[1], edges[3]


def _depth(data: Data, box: Box) -> int:
    """Bits a channel by a property: of AV1 (AV1 in ISOBMFF, 2.3), HEVC (ISO 14496-15, 8.3.3) or
    what is said in plain words; 8 for any other."""
    body = data[box.at : min(box.end, box.at + 64)]
    if box.kind == b"av1C" and len(body) > 2:
        return 12 if body[2] & 0x60 == 0x60 else 10 if body[2] & 0x40 else 8
    if box.kind == b"hvcC" and len(body) > 18:
        return 8 + max(body[17] & 7, body[18] & 7)  # luma, chroma
    if box.kind == b"pixi" and len(body) > 5:
        return max(body[5 : 5 + body[4]], default=8)
    return 8


def _auxiliary(data: Data, item: _Item | None) -> bytes:
    """What an auxiliary item is for, as a URN."""
    for box in item.properties if item else ():
        if box.kind == b"auxC":
            return bytes(data[box.at + 4 : box.end].split(b"\0")[0])
    return b""


def _drop_others(data: Data, meta: _Meta, ours: set[int], found: Survey) -> None:
    thumbnails = meta.about(b"thmb", meta.primary)
    if thumbnails:
        found.drop("a thumbnail")
    for number in meta.about(b"auxl", meta.primary):
        use = _auxiliary(data, meta.items.get(number)).lower()
        if number in ours:
            continue
        if b"hdrgainmap" in use:
            found.drop("an HDR gain map")
        elif b"depth" in use or b":auxid:2" in use:
            found.drop("a depth map")
        else:
            name = use.rpartition(b":")[2].decode("latin-1") or "unknown"
            found.drop(f"an auxiliary picture ({name})")
    if any(item.kind == b"tmap" for item in meta.items.values()):
        found.drop("an HDR gain map")
    found.drop_several("a further picture", "further pictures", len(_further(meta, ours)))


def _further(meta: _Meta, ours: set[int]) -> list[int]:
    """Pictures that are neither the primary one nor belong to another."""
    belong = {part for kind, _, to in meta.references if kind == b"dimg" for part in to}
    belong |= {source for kind, source, _ in meta.references if kind != b"dimg"} | ours
    return [
        number
        for number, item in meta.items.items()
        if item.kind in _PICTURES and not item.is_hidden and number not in belong
    ]


def _fault(data: Data, item: _Item) -> str:
    """What is missing of an item's data."""
    if any(place + length > len(data) for place, length in item.extents):
        return TRUNCATED
    pieces = [data[place : place + length] for place, length in item.extents]
    if item.kind == b"av01" and _has_hole(b"".join(pieces)):
        return "a part of its data is missing"
    if item.kind == b"hvc1" and not _is_whole_hevc(b"".join(pieces), _length_size(data, item)):
        return "a part of its data is missing"
    return ""


def _length_size(data: Data, item: _Item) -> int:
    for box in item.properties:
        if box.kind == b"hvcC" and box.at + 21 < box.end:
            return (data[box.at + 21] & 3) + 1
    return 4


def _is_whole_hevc(stream: bytes, size: int) -> bool:
    """Whether it is NAL units behind their lengths, none of which holds what their syntax rules
    out: three zero bytes in a row (ITU-T H.265, 7.4.2)."""
    at = 0
    while at + size <= len(stream):
        length = int.from_bytes(stream[at : at + size])
        at += size
        if not 2 <= length <= len(stream) - at or b"\0\0\0" in stream[at : at + length]:
            return False
        at += length
    return at == len(stream)


def _has_hole(stream: bytes) -> bool:
    """Whether a frame of AV1 has zeros that its entropy coder does not write; other units (AV1,
    5.3 and 6.2.2), padding among them, may have any."""
    at = 0
    while at < len(stream):
        head = stream[at]
        at += 2 if head & 4 else 1
        size, shift = len(stream) - at, 0
        if head & 2:
            size = 0
            while at < len(stream):
                size |= (stream[at] & 0x7F) << shift
                at, shift = at + 1, shift + 7
                if stream[at - 1] < 0x80:
                    break
        if head >> 3 & 15 in _FRAMES and bytes(_HOLE) in stream[at : at + size]:
            return True
        at += size
    return False
