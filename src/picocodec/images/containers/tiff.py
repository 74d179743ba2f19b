"""TIFF 6.0 and BigTIFF, directory by directory; EXIF is one, too."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from picocodec.images.containers.directories import (
    EXIF_IFD,
    GPS_IFD,
    INTEROP_IFD,
    SUB_IFDS,
    Broken,
    Directory,
    Node,
    directory,
    first_directory,
    packed,
)
from picocodec.images.containers.survey import Data, Density, Survey

_MOST_DIRECTORIES = 64
_SUB_FILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES, _FORMAT = 273, 279, 324, 325, 339
_ROWS, _PARTS, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA_SAMPLES = 278, 277, 284, 322, 323, 338
# What a TIFF file says of how its pixels lie in it, and what is kept elsewhere: XMP, the profile.
_OF_THE_FILE = {
    282, 283, 296,  # resolution, which is read by itself
    *range(254, 260), 262, 263, 264, 265, 266, 273, 274, *range(277, 282), 284, 288, 289,
    290, 291, 292, 293, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, SUB_IFDS, 332, 334, 336,
    338, 339, 340, 341, 342, 343, 347, 400, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530,
    531, 532, 559, 700, 34675, 37724, 50255,
}  # fmt: skip
_CHILDREN = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
_BYTE_KINDS = range(1, 14)  # of values that EXIF knows, too
_DNG_VERSION, _DEFLATE, _OLD_JPEG, _REDUCED = 50706, (8, 32946), 6, 1
_XMP, _MAKER_NOTES = 700, 37500
_OF_ALL_CAMERAS = (270, 271, 272, 305, 306, 315, 316, 33432)  # description, make ... copyright
_RAW_PHOTOMETRIC = (32803, 34892)  # of a colour filter array, linear raw
RAW = (
    "this is a camera's raw file: with the package rawpy (pip install rawpy) its path is taken and "
    "developed by LibRaw's defaults; better, develop it with the camera's own software, darktable "
    "or RawTherapee, to PNG or TIFF of 8 bits"
)


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
    """What the directories of a TIFF file say."""
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
        else:
            found.exif = _raw_exif(data, first, found)
        return found
    found.depth = max(8, *first.integers(_BITS), 8)
    if any(kind == 3 for kind in first.integers(_FORMAT)):
        found.depth = max(found.depth, 32)
    if 2 in first.integers(_FORMAT):
        found.refusal = "the image's numbers have signs: convert it to 8 bits without first"
        return found
    found.exif = _exif(data, first)
    _take_resolution(first, found)
    _drop_others(first, others, found)
    found.fault = _fault(data, first)
    return found


def _area(one: Directory) -> int:
    return one.integer(_WIDTH) * one.integer(_HEIGHT)


def _drop_others(first: Directory, others: list[Directory], found: Survey) -> None:
    small = [one for one in others if one.integer(_SUB_FILE) & _REDUCED]
    masks = [one for one in others if one.integer(_SUB_FILE) & 4]
    found.drop_several("a smaller copy", "smaller copies", len(small))
    found.drop_several("a further channel", "further channels", _further_channels(first))
    if masks:
        found.drop("a mask")
    if 37724 in first.entries:
        found.drop("layers")
    if {301, 318, 319} & set(first.entries) and 34675 not in first.entries:
        found.drop("colours given by numbers (white point, primaries, transfer function)")


def _further_channels(first: Directory) -> int:
    """How many there are beside colours and alpha."""
    colours = {0: 1, 1: 1, 2: 3, 3: 1, 6: 3}.get(first.integer(_PHOTOMETRIC, 1), 4)
    has_alpha = first.integer(_EXTRA_SAMPLES) in (1, 2)
    return max(0, first.integer(_PARTS, 1) - colours - has_alpha)


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
    compression = first.integer(_COMPRESSION, 1)
    if not any(lengths) or compression == _OLD_JPEG:
        return ""  # likewise
    is_plain = compression == 1 and not is_tiled
    for i, (at, length) in enumerate(zip(offsets, lengths, strict=True)):
        if not at or not length:
            return f"its {what} {i} is not in the file"
        if is_plain and i == len(offsets) - 1:
            length = 1  # some software gives the last the length of all; Pillow knows how many rows
        if at + length > len(data):
            return f"image file is truncated: it ends before its {what} {i} does"
    if compression in _DEFLATE:
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


def _exif(data: Data, first: Directory) -> bytes | None:
    """What a TIFF file says of its picture, as EXIF: all tags but those of how its pixels lie in
    the file, byte for byte. Pillow has applied the orientation on loading, so it is not among them.
    None if there is nothing."""
    node = _node(data, first, data[2:4] in (b"+\0", b"\0+"))
    return packed(node, first.order) if node.entries or node.children else None


def _raw_exif(data: Data, first: Directory, found: Survey) -> bytes | None:
    """Of a raw file what is the same for all cameras."""
    node = _node(data, first, False)
    node.entries = [entry for entry in node.entries if entry.tag in _OF_ALL_CAMERAS]
    inner = node.children.get(EXIF_IFD)
    if inner is not None:
        known = [entry for entry in inner.entries if entry.tag != _MAKER_NOTES]
        if len(known) < len(inner.entries):
            found.drop("the maker's notes")
        inner.entries = known
    if _XMP in first.entries:
        found.drop("XMP")
    return packed(node, first.order) if node.entries or node.children else None


def _node(data: Data, one: Directory, is_big: bool) -> Node:
    node = Node([])
    for tag, entry in one.entries.items():
        if tag in _CHILDREN:
            try:
                inner = directory(data, one.integer(tag), one.order, is_big)
            except Broken:
                continue
            node.children[tag] = _node(data, inner, is_big)
        elif tag not in _OF_THE_FILE and entry.kind in _BYTE_KINDS:
            node.entries.append(entry)
    return node
