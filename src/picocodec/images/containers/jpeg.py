"""JPEG (ITU-T T.81), segment by segment, and what its decoder would fill with gray.

libjpeg warns of missing data and goes on, and Pillow does not hear of it. So a picture of one scan
is decoded from a copy without the end-of-image marker: then the decoder waits for what is missing,
and Pillow says so.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from picocodec.images.containers.survey import TRUNCATED, Data, Density, Survey
from picocodec.images.containers.xmp import Extension, joined

_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_GAIN_MAP_ISO = b"urn:iso:std:iso:ts:21496:-1\0"
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_HUFFMAN_IN_SEQUENCE = {0xC0, 0xC1}
# What the decoder wants to see of a scan beyond its last bit: 57 bits of look-ahead. As codes these
# stand in for less of what is missing than zeros would.
_BEYOND = b"\xb6" * 8
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_HOLE = 64  # zero bytes in a row


@dataclass
class _Frame:
    kind: int
    width: int
    height: int
    parts: dict[int, tuple[int, int]]  # horizontal and vertical sampling by component


@dataclass
class _State:
    found: Survey
    frame: _Frame | None = None
    interval: int = 0  # of restart markers, in MCUs
    scans: int = 0
    first_ac: dict[int, int] = field(default_factory=dict)  # the symbol of code 0...0, by table
    # How many low bits of a coefficient are still to come, by component and number.
    missing: dict[tuple[int, int], int] = field(default_factory=dict)
    extension: Extension = field(default_factory=Extension)
    is_single: bool = False  # one scan has all components


def survey(data: Data) -> Survey:
    """What the segments of a JPEG file say."""
    found = Survey()
    state = _State(found)
    end = _walk(data, state)
    found.xmp = joined(found.xmp, state.extension, found)
    if end is None:
        found.fault = found.fault or TRUNCATED
        return found
    if not found.fault and any(state.missing.values()):
        found.fault = "the last of its scans are missing"
    is_plain = state.frame is not None and state.frame.kind in _HUFFMAN_IN_SEQUENCE
    if is_plain and state.is_single and state.scans == 1:
        found.strict = data[:end] + _BEYOND
    _look_behind(data, end + 2, found)
    return found


def _walk(data: Data, state: _State) -> int | None:
    """Where the end-of-image marker lies; None if there is none."""
    at = 2
    while at + 4 <= len(data) or data[at : at + 2] == b"\xff\xd9":
        if data[at] != 0xFF:
            found = _MARKER.search(data, at)  # garbage, which decoders skip
            if found is None:
                return None
            at = found.start()
            continue
        kind = data[at + 1]
        if kind == 0xFF:
            at += 1
        elif kind == 0xD9:
            return at
        elif kind == 0x01 or 0xD0 <= kind <= 0xD8:
            at += 2
        else:
            length = int.from_bytes(data[at + 2 : at + 4])
            body = data[at + 4 : at + 2 + length]
            if len(body) < length - 2:
                return None
            at += 2 + length
            if kind == 0xDA:
                at = _scan(data, at, body, state)
            else:
                _segment(kind, body, state)
    return None


def _segment(kind: int, body: bytes, state: _State) -> None:
    found = state.found
    if kind in _FRAMES and len(body) >= 6:
        height, width, count = struct.unpack(">HHB", body[1:6])
        found.depth = max(8, body[0])
        parts = {body[i]: (body[i + 1] >> 4, body[i + 1] & 15) for i in range(6, len(body) - 2, 3)}
        state.frame = _Frame(kind, width, height, parts)
        if kind in _PROGRESSIVE:
            state.missing = {(part, k): 99 for part in parts for k in range(64)}
    elif kind == 0xC4:
        for key, symbol in _tables(body):
            state.first_ac[key] = symbol
    elif kind == 0xDD and len(body) >= 2:
        state.interval = int.from_bytes(body[:2])
    elif kind == 0xE0 and body[:5] == b"JFIF\0" and len(body) >= 12:
        unit, x, y = struct.unpack(">BHH", body[7:12])
        found.density = Density(x, y, {1: 2, 2: 3}.get(unit, 1))
        if body[12:13].strip(b"\0") and body[13:14].strip(b"\0"):
            found.drop("a thumbnail")
    elif kind == 0xE0 and body[:5] == b"JFXX\0":
        found.drop("a thumbnail")
    else:
        _other_segment(kind, body, state)


def _other_segment(kind: int, body: bytes, state: _State) -> None:
    found = state.found
    if kind == 0xE1 and body.startswith(_EXIF):
        found.exif = found.exif or body[len(_EXIF) :]
    elif kind == 0xE1 and body.startswith(_XMP):
        if found.xmp:
            found.drop("a second packet of XMP")
        found.xmp = found.xmp or body[len(_XMP) :]
    elif kind == 0xE1 and body.startswith(_EXTENDED_XMP):
        state.extension.add(body[len(_EXTENDED_XMP) :])
    elif kind == 0xE2 and body.startswith(_GAIN_MAP_ISO):
        # The primary picture has no more of it than a version.
        found.drop("an HDR gain map")
    elif kind == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
        found.has_icc = True
    elif kind == 0xEB and b"jumb" in body[:32]:
        found.drop("content credentials (C2PA)")
    elif kind == 0xED and body.startswith(b"Photoshop 3.0\0"):
        found.drop("IPTC and Photoshop data")
    elif kind == 0xFE and body.strip(b"\0 \r\n"):
        found.drop("a comment")
    elif 0xE1 <= kind <= 0xEF and not (kind == 0xE2 and body[:4] == b"MPF\0") and kind != 0xEE:
        found.drop(f"data of APP{kind - 0xE0}")


def _tables(body: bytes) -> Iterator[tuple[int, int]]:
    """The AC tables of a DHT segment: number, and the symbol whose code is all zeros."""
    at = 0
    while at + 17 < len(body):
        count = sum(body[at + 1 : at + 17])
        if body[at] >> 4 == 1:
            yield body[at] & 15, body[at + 17]
        at += 17 + count


def _scan(data: Data, at: int, header: bytes, state: _State) -> int:
    """The end of a scan's data, which begin at `at`."""
    found, frame = state.found, state.frame
    marker = _MARKER.search(data, at)
    end = marker.start() if marker else len(data)
    state.scans += 1
    if frame is None or len(header) < 4 or len(header) < 4 + 2 * header[0]:
        return end
    parts = [header[1 + 2 * i] for i in range(header[0])]
    tables = {header[2 + 2 * i] & 15 for i in range(header[0])}
    first, last, bits = header[-3], header[-2], header[-1]
    state.is_single = len(parts) == len(frame.parts)
    for part in parts:
        for k in range(first, min(last, 63) + 1):
            if (part, k) in state.missing:
                state.missing[part, k] = bits & 15
    if marker and state.interval and frame.kind in _PROGRESSIVE | _HUFFMAN_IN_SEQUENCE:
        marks = [data[m.start() + 1] & 7 for m in _RESTART.finditer(data, at, end)]
        expected = -(-_units(frame, parts) // state.interval) - 1
        if marks != [i % 8 for i in range(expected)]:
            found.fault = "a part of its data is missing"
    has_ac = last > 0 and bits >> 4 == 0
    # Nothing but the code for "the rest is zero" makes sense so often; where that of one component
    # is another, zeros come from a hole in the file.
    is_sparse = all(state.first_ac.get(t, 0) & 15 == 0 for t in tables)
    if has_ac and not is_sparse and 0 <= data.find(bytes(_HOLE), at) < end:
        found.fault = "a part of its data is missing"
    return end


def _units(frame: _Frame, parts: list[int]) -> int:
    """The MCUs of a scan of these components."""
    wide = max(h for h, _ in frame.parts.values()) or 1
    high = max(v for _, v in frame.parts.values()) or 1
    if len(parts) > 1:
        return -(-frame.width // (8 * wide)) * -(-frame.height // (8 * high))
    h, v = frame.parts.get(parts[0], (1, 1))
    width, height = -(-frame.width * h // wide), -(-frame.height * v // high)
    return -(-width // 8) * -(-height // 8)


def _look_behind(data: Data, at: int, found: Survey) -> None:
    """What lies behind the picture: a motion photo's video, further pictures, a maker's data."""
    size = len(data) - at
    rest = data[at : at + 64]
    if size <= 0 or (size < 1 << 16 and not data[at:].strip(b"\0\r\n \xff")):
        return
    video = data.find(b"ftyp", at)
    pictures = len(re.findall(rb"\xff\xd8\xff[\xe0\xe1\xe2\xdb]", data[at : at + (1 << 25)]))
    xmp = found.xmp or b""
    if video >= 4 and (b"MotionPhoto" in xmp or b"MicroVideo" in xmp or video - 4 - at < 64):
        found.drop(f"a video of {len(data) - video + 4} bytes")
    elif b"MotionPhoto_Data" in data[at:]:
        found.drop("a video")
    if rest[:3] == b"\xff\xd8\xff" or pictures:
        if b"hdrgm:" in xmp or b"HDRGainMap" in xmp:
            found.drop("an HDR gain map")
        elif b"GDepth" in xmp or b"Device:Depth" in xmp or b'"Depth' in xmp:
            found.drop("a depth map")
        else:
            found.drop("further pictures" if pictures > 1 else "a further picture")
    elif video < 4:
        found.drop(f"{size} bytes behind the picture")
